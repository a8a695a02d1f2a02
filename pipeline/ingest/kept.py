"""Fields of the input that are kept beside the text: one JSON object a page, the column `metadata` of its document.

The index does not hold them: they are read again with the text, from the same record.
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.tables import DOCUMENTS, KEPT

# The longest value that is kept, in bytes of its JSON.
MAX_KEPT_BYTES = 64 << 10


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
