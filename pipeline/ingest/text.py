"""Plain text and HTML files. A file is one page, or each of its lines or paragraphs is one."""

from collections.abc import Iterator

from pipeline.ingest.captures import Capture, Found, Place, Refusal
from pipeline.streams import ByteStream

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def found_in_file(stream: ByteStream, kind: str, limit: int) -> Iterator[Capture | Refusal]:
    """The one page that a file is; `kind` is `html` or `text`. A file that is damaged is no page."""
    place = Place(kind=kind, position=0, length=0)
    payload = stream.read(limit + 1)
    if stream.damage is not None:
        yield Refusal(place=place, reason=stream.damage.reason, detail=stream.damage.detail)
    elif len(payload) > limit:
        size = len(payload) + stream.skip(1 << 62)
        yield Refusal(place=place, reason="too_large", detail="the file is too large", value=size, threshold=limit)
    else:
        yield found_in_unit(payload, kind, place)


def found_in_units(
    stream: ByteStream, unit: str, limit: int, *, start: int = 0, end: int | None = None
) -> Iterator[Found]:
    """The lines, or the stretches between blank lines, that begin between the bytes `start` and `end` of a file.

    A stream of lines must begin one byte before `start`; paragraphs are read from the start of their file only.
    """
    kind = f"text_{unit}"
    if not start and stream.peek(2) in _UTF_16:
        detail = f"the file is in UTF-16, which has no {unit}s of bytes; UTF-8 is wanted, as `iconv -f UTF-16 -t UTF-8` writes it"
        yield Refusal(place=Place(kind=kind, position=0), reason="unreadable_file", detail=detail)
        return
    if start:
        stream.skip_line()  # the line that the range before this one has begun
    while True:
        position, payload, size = next_unit(stream, unit, limit)
        if not size or (end is not None and position >= end):
            break
        if stream.damage is not None and not stream.peek(1):
            break
        place = Place(kind=kind, position=position, length=size)
        if size > limit:
            yield Refusal(
                place=place, reason="too_large", detail=f"the {unit} is too large", value=size, threshold=limit
            )
        else:
            yield found_in_unit(payload, kind, place)
    if stream.damage is not None:
        place = Place(kind=kind, position=stream.damage.position)
        yield Refusal(place=place, reason=stream.damage.reason, detail=stream.damage.detail)


def next_unit(stream: ByteStream, unit: str, limit: int) -> tuple[int, bytes, int]:
    """Where the next line or paragraph lies, its bytes and its full size, which is 0 at the end."""
    line, position = b"", stream.start + stream.tell()
    while not line.strip():
        position = stream.start + stream.tell()
        line = stream.readline(limit + 1)
        if not line:
            return position, b"", 0
    lines, size = [], 0
    while line.strip():
        size += len(line)
        if size <= limit:
            lines.append(line)
        if not line.endswith(b"\n"):
            size += stream.skip_line()
        if unit == "line":
            break
        line = stream.readline(limit + 1)
    return position, b"".join(lines).rstrip(b"\r\n"), size


def found_in_unit(payload: bytes, kind: str, place: Place) -> Capture | Refusal:
    """The page that the bytes of a file, a line or a paragraph are."""
    if not payload.strip():
        return Refusal(place=place, reason="empty", detail="there is nothing in it")
    if kind != "html" and b"\0" in payload[:4096] and not payload.startswith(_UTF_16):
        return Refusal(place=place, reason="media_type", detail="not text: it holds null bytes")
    return Capture(place=place, url="", payload=payload, media_type="text/html" if kind == "html" else "text/plain")
