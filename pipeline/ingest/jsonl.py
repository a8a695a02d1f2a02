"""Pages in JSON lines. The place of a page is that of its line, in decoded bytes."""

import re
from collections.abc import Iterator

from pipeline import jsonl
from pipeline.ingest.captures import Capture, Found, Place, Refusal
from pipeline.ingest.config import FieldNames
from pipeline.ingest.fields import found_in_fields
from pipeline.streams import ByteStream

# JSON escapes may write one byte of text as six; beyond that a line cannot be an acceptable page.
_ESCAPED_BYTES = 6
_OTHER_FIELDS_BYTES = 1 << 20
_LOOK_BYTES = 64
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UTF_16_WANTED = "UTF-16; UTF-8 is wanted, as `iconv -f UTF-16 -t UTF-8` writes it"
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[")
_OPEN_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{[ \t\r]*\n")


def found_in_lines(
    stream: ByteStream, names: FieldNames, limit: int, *, start: int = 0, end: int | None = None
) -> Iterator[Found]:
    """The pages in the lines that begin between the bytes `start` and `end` of a file.

    `stream` must begin one byte before `start`, so that a line end before the first line of the range is seen.
    """
    if start:
        stream.skip_line()
    elif detail := _no_lines(stream.peek(_LOOK_BYTES)):
        yield Refusal(place=Place(kind="jsonl", position=0), reason="unreadable_file", detail=detail)
        return
    for line in jsonl.lines(stream, limit=longest_line(limit)):
        position = stream.start + line.position
        if end is not None and position >= end:
            return
        if stream.damage is not None and not stream.peek(1):
            break  # the last line is cut off by the damage, which is reported once
        yield found_in_line(line, names, limit, Place(kind="jsonl", position=position, length=line.size))
    if stream.damage is not None:
        place = Place(kind="jsonl", position=stream.damage.position)
        yield Refusal(place=place, reason=stream.damage.reason, detail=stream.damage.detail)


def _no_lines(start: bytes) -> str:
    """Why a file that begins so holds no JSON lines; empty if it may hold some."""
    if start.startswith(UTF_16):
        return f"the file is in {UTF_16_WANTED}"
    if _ARRAY.match(start):
        return "the file is a JSON array; one object a line is wanted, as `jq -c '.[]'` writes them"
    if _OPEN_OBJECT.match(start):
        return "the file is JSON over several lines; one object a line is wanted, as `jq -c .` writes them"
    return ""


def found_in_line(line: jsonl.Line, names: FieldNames, limit: int, place: Place) -> Capture | Refusal:
    """The page in one line."""
    if line.data is None:
        return Refusal(
            place=place,
            reason="too_large",
            detail="the line is too long",
            value=line.size,
            threshold=longest_line(limit),
        )
    try:
        record = jsonl.parsed(line.data)
    except ValueError as error:
        return Refusal(place=place, reason="malformed", detail=f"not a JSON object: {error}")
    return found_in_fields(record, names, place, limit)


def longest_line(limit: int) -> int:
    """The length of a line, in bytes, beyond which its page must be too large."""
    return limit * _ESCAPED_BYTES + _OTHER_FIELDS_BYTES
