"""Records with named fields (JSON lines, rows of Parquet, Arrow and CSV) as pages."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pipeline.ingest.captures import Capture, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.kept import NOTHING_KEPT, kept_of

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_LISTS = 16  # within each other; a record may nest them until nothing could read it
METADATA = ("title", "author", "date", "language", "licence")


def found_in_fields(
    record: Mapping[str, Any], names: FieldNames, place: Place, limit: int, earlier: Mapping[str, Any] | None = None
) -> Capture | Refusal:
    """The page in one record: its HTML where it has any, else its text.

    Of the fields to keep, those in `earlier` (what was kept when the record was made) win over those of the record.
    """
    html, text = _value(record, names.html), _value(record, names.text)
    url = _text(_value(record, names.url))
    body = html if _has_text(html) else text
    if not _has_text(body):
        return _refusal_of(body, names, place, url)
    payload = body if isinstance(body, bytes) else str(body).encode("utf-8", "replace")
    if len(payload) > limit:
        return Refusal(
            place=place,
            url=url,
            reason="too_large",
            detail="the text is too large",
            value=len(payload),
            threshold=limit,
        )
    known = {name: _text(_value(record, getattr(names, name))) for name in METADATA}
    source = {**record, **(earlier or {})} if names.keep else {}
    return Capture(
        place=place,
        url=url,
        key=_text(_value(record, names.id)),
        payload=payload,
        media_type="text/html" if body is html else "text/plain",
        charset="" if isinstance(body, bytes) else "utf-8",
        metadata={name: value for name, value in known.items() if value},
        kept=kept_of({name: _value(source, name) for name in names.keep}) if names.keep else NOTHING_KEPT,
    )


def columns_among(schema: "pa.Schema", names: FieldNames, *also: str) -> list[str]:
    """The columns that hold fields we look for, or one of `also`."""
    asked = (getattr(names, name) for name in ("id", "url", "text", "html", *METADATA))
    wanted = {*asked, *names.keep, *also} - {""}
    return [
        column for column in schema.names if column in wanted or any(name.startswith(column + ".") for name in wanted)
    ]


def _refusal_of(body: Any, names: FieldNames, place: Place, url: str) -> Refusal:
    wanted = " or ".join(repr(name) for name in (names.html, names.text) if name)
    if body is None:
        return Refusal(place=place, url=url, reason="malformed", detail=f"the record has no field {wanted}")
    if isinstance(body, (str, bytes)):
        return Refusal(place=place, url=url, reason="empty", detail=f"the field {wanted} is empty")
    return Refusal(
        place=place, url=url, reason="malformed", detail=f"the field {wanted} holds {type(body).__name__}, not text"
    )


def _has_text(value: Any) -> bool:
    return isinstance(value, (str, bytes)) and bool(value.strip())


def _value(record: Any, dotted: str) -> Any:
    """The field `dotted` of a record; a name with dots in it wins over a nested field."""
    if not dotted or not isinstance(record, Mapping):
        return None
    if dotted in record:
        return record[dotted]
    name, dot, rest = dotted.partition(".")
    return _value(record.get(name), rest) if dot else None


def _text(value: Any, depth: int = 0) -> str:
    """A field as a line of text: lists are joined, what is neither text, number nor date is left out, or lies too deep in lists."""
    if isinstance(value, str):
        return " ".join(value.encode("utf-8", "replace").decode().split())
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "replace"))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        parts = (_text(item, depth + 1) for item in value) if depth < _MAX_LISTS else ()
        return ", ".join(part for part in parts if part)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return str(value) if isinstance(value, int) or math.isfinite(value) else ""
