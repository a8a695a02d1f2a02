"""Fields of the input that are kept beside the text: one JSON object a page, the column `metadata` of its document.

The index does not hold them: they are read again with the text, from the same record.
"""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import InputError
from pipeline.ingest.config import FieldNames
from pipeline.tables import DOCUMENTS, KEPT

if TYPE_CHECKING:
    from pipeline.ingest.inputs import InputFile

# The longest value that is kept, in bytes of its JSON.
MAX_KEPT_BYTES = 64 << 10
_UNREADABLE = (pa.ArrowException, OSError, ValueError)


class Kept(NamedTuple):
    """`text` is the JSON object of the fields that are `present`; those `left_out` were too long for it."""

    text: str
    present: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


NOTHING_KEPT = Kept("")


def kept_of(values: Mapping[str, Any]) -> Kept:
    """What is kept of the fields `values`, keys sorted; null and NaN are as if the field were missing.

    A value of more than `MAX_KEPT_BYTES` is left out whole: what is cut looks like another value.
    """
    present, left_out = {}, []
    for name in sorted(values):
        try:
            value = _plain(values[name])
            text = _json(value) if value is not None else ""
        except RecursionError:  # nested so deeply that nothing would read it
            left_out.append(name)
            continue
        if len(text.encode()) > MAX_KEPT_BYTES:
            left_out.append(name)
        elif text:
            present[name] = text
    whole = ",".join(f"{_json(_text(name))}:{text}" for name, text in present.items())
    return Kept("{" + whole + "}", tuple(present), tuple(left_out))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers stay numbers, times become ISO 8601, bytes and all else text.

    Decimals without places are whole numbers, such as ids that no float holds.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        number = float(value)
        if not math.isfinite(number):
            return None
        return int(value) if isinstance(value, Decimal) and value.as_tuple().exponent == 0 else number
    if isinstance(value, Mapping):
        return {_text(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return _text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def _text(text: str) -> str:
    """A text that has a UTF-8 form: lone surrogates become question marks, as in the text of a document."""
    return text.encode("utf-8", "replace").decode()


def has_kept(schema: pa.Schema) -> bool:
    """Whether a Parquet file is of the documents of a run that kept fields of its own inputs."""
    return {*DOCUMENTS.names, KEPT} <= set(schema.names)


def check_kept(files: Iterable["InputFile"], names: FieldNames) -> None:
    """Looks before any work whether the inputs can have the fields to keep: in the first Parquet file of each source.

    Raises:
        InputError: one of the fields is in none of these files, and no other input has fields.
    """
    kinds = {file.kind for file in files}
    if not names.keep or kinds & {"jsonl", "pages", "arrow", "csv"}:
        return
    if "parquet" not in kinds:
        raise InputError(
            f"ingest.fields.keep names {', '.join(map(repr, names.keep))}, and no input has fields: only Parquet, Arrow, "
            "CSV and JSON lines have some"
        )
    firsts = {file.source: file.path for file in reversed(list(files)) if file.kind == "parquet"}
    schemas = {path: schema for path in sorted(firsts.values()) if (schema := _schema_of(path)) is not None}
    for name in names.keep:
        if schemas and all(_lacks(schema, name) for schema in schemas.values()):
            path, schema = next(iter(schemas.items()))
            raise InputError(
                f"ingest.fields.keep names {name!r}, which {path} does not have{_others(schemas)}; "
                f"it has {', '.join(schema.names)}"
            )


def _others(schemas: Mapping[str, pa.Schema]) -> str:
    return f", nor do the first files of {len(schemas) - 1} other sources" if len(schemas) > 1 else ""


def _schema_of(path: str) -> pa.Schema | None:
    """The schema of a Parquet file; None where it cannot be read, which its reader says in its place."""
    try:
        with storage.open_read(path) as file:
            return pq.read_schema(file)
    except _UNREADABLE:
        return None


def _lacks(schema: pa.Schema, name: str) -> bool:
    """Whether no row can have the field `name`, dotted or not."""
    if name in schema.names or has_kept(schema):
        return False
    first, dot, rest = name.partition(".")
    inner = schema.field(first).type if dot and first in schema.names else None
    return inner is None or not pa.types.is_struct(inner) or _lacks(pa.schema(list(inner)), rest)
