"""Whether inputs can have the fields that are to be kept, told before any work."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import InputError
from pipeline.ingest.config import FieldNames
from pipeline.ingest.inputs import InputFile
from pipeline.ingest.kept import has_kept

_UNREADABLE = (pa.ArrowException, OSError, ValueError)


def check_kept(files: Iterable[InputFile], names: FieldNames) -> None:
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
