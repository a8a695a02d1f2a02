"""Records of WARC, WET and ARC files in any compression, each with the place to find it again.

Readers are lenient where files in the wild are sloppy (blank lines, line ends, angle brackets around a
URL, missing reason phrases) and go on behind what they cannot read: a damaged member of a compressed
file costs that record, not the rest. Follows WARC 1.1 (ISO 28500) and the ARC 1 and 2 record lines.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO

import zstandard

from pipeline.codecs import compression_of, zstd_dictionary
from pipeline.ingest import http
from pipeline.ingest.captures import Capture, Found, Other, Place, Refusal, usable_media_type
from pipeline.ingest.config import PageRules
from pipeline.ingest.starts import next_start
from pipeline.optout import HEADERS
from pipeline.streams import ByteStream

_LINE_BYTES = 1 << 16
_HEAD_BYTES = 1 << 18
# The media type of some has parameters, that of others is missing.
_ARC_1 = re.compile(rb"(\S.*?) (\S+) (\d{12,17}) (?:(.*) )?(\d+)\s*$")
_ARC_2 = re.compile(rb"(\S.*?) (\S+) (\d{12,17}) (\S+) (\S+) (\S+) (\S+) (\d+) (\S+) (\d+)\s*$")
_WEB = ("http:", "https:")
_WISHES = tuple(name.encode() for name in sorted(HEADERS))
# Types that leave open whether it is a page: its first bytes tell.
_UNSTATED = frozenset(("", "unknown/unknown", "application/unknown", "text/xml", "application/xml"))
_PAGE_TYPES = frozenset(("response", "resource", "conversion"))


@dataclass(slots=True)
class Record:
    """One record of an archive whose head has been read; its block is still in the stream."""

    type: str
    url: str
    date: str
    fields: Mapping[str, str]
    size: int
    place: Place
    stream: ByteStream
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.size

    def read(self, size: int) -> bytes:
        """The next bytes of the block, at most `size`."""
        data = self.stream.read(min(size, self.left))
        self.left -= len(data)
        return data

    def skip(self) -> bool:
        """Passes over what is left of the block; false if the file ends before it does."""
        self.left -= self.stream.skip(self.left) if self.left else 0
        return self.left == 0


def found_in_archive(raw: IO[bytes], rules: PageRules, *, start: int = 0, end: int | None = None) -> Iterator[Found]:
    """What an archive holds between the bytes `start` and `end`, in order: the records that begin there.

    A range that does not begin with the file begins at the first record behind `start`, if one begins before `end`.
    """
    head = raw.read(64)
    compression = compression_of(head)
    dictionary = zstd_dictionary(raw) if compression == "zstd" else None
    position = next_start(raw, compression, start, end, dictionary) if start else 0
    while position is not None:
        stream = ByteStream(raw, compression=compression, start=position, dictionary=dictionary)
        cursor = _Cursor(stream)
        yield from _found_in_stream(stream, cursor, rules, end)
        if stream.damage is None:
            if end is not None:
                yield from _overlap(raw, compression, dictionary, cursor, end)
            return
        broken = stream.damage
        yield Refusal(place=Place(kind="warc", position=broken.position), reason=broken.reason, detail=broken.detail)
        position = next_start(raw, compression, broken.position + 1, end, dictionary) if compression else None


def _overlap(
    raw: IO[bytes],
    compression: str,
    dictionary: zstandard.ZstdCompressionDict | None,
    cursor: "_Cursor",
    end: int,
) -> Iterator[Refusal]:
    """A refusal if the range behind this one begins inside our last record: at a record of an archive within the archive."""
    following = cursor.member if cursor.member >= end else None
    inner = next_start(raw, compression, end, following, dictionary)
    if inner is not None:
        detail = "an archive lies inside this archive, so it cannot be read in parts; set ingest.split_bytes = 0"
        yield Refusal(place=Place(kind="warc", position=inner), reason="unreadable_file", detail=detail)


def found_at(stream: ByteStream, rules: PageRules) -> Found | None:
    """What the record at the next byte of `stream` is, or None where no whole record is."""
    record = _next_record(stream, _Cursor(stream))
    if not isinstance(record, Record):
        return record
    return found_in_record(record, rules)


class _Cursor:
    """Where the record under way lies: at a member of its own, or inside one."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.member = stream.start

    def place(self) -> Place:
        member = self._stream.member()
        if member is None:
            return Place(kind="warc_stream", position=self._stream.tell())
        self.member = member
        return Place(kind="warc", position=member)


def _found_in_stream(stream: ByteStream, cursor: _Cursor, rules: PageRules, end: int | None) -> Iterator[Found]:
    while True:
        record = _next_record(stream, cursor)
        if record is None or (end is not None and cursor.member >= end):
            return
        if isinstance(record, Refusal):
            yield record
            continue
        found = found_in_record(record, rules)
        whole = record.skip()
        if stream.damage is not None:
            return  # the caller reports the damage, once
        if not whole:
            yield _cut_off(record)
            return
        _skip_blank(stream)
        if isinstance(found, Other):
            yield found
        elif record.place.kind == "warc_stream" and stream.start:
            yield Refusal(
                place=record.place,
                url=record.url,
                reason="malformed",
                detail="the record lies inside a compressed member behind damage",
            )
        else:
            yield replace(found, place=_with_length(record.place, stream))


def _cut_off(record: Record) -> Refusal:
    detail = f"the file ends {record.left} bytes before the record at byte {record.place.position} does"
    return Refusal(place=record.place, url=record.url, reason="truncated_file", detail=detail)


def _with_length(place: Place, stream: ByteStream) -> Place:
    if place.kind != "warc":
        return place
    following = stream.member()
    end = following if following is not None else stream.raw_position()
    return replace(place, length=end - place.position)


def _skip_blank(stream: ByteStream) -> None:
    """Passes over the two line ends behind a record, so that the next byte is that of the next record."""
    while stream.peek(1) in (b"\r", b"\n"):
        stream.read(1)


def _next_record(stream: ByteStream, cursor: _Cursor) -> Record | Refusal | None:
    """The next record, or a refusal of what lies where one should, or None at the end."""
    place = cursor.place()
    line = stream.readline(_LINE_BYTES)
    while line and not line.strip():
        place = cursor.place() if cursor.place().kind == "warc" or place.kind != "warc" else place
        line = stream.readline(_LINE_BYTES)
    if not line or (stream.damage is not None and not line.endswith(b"\n")):
        return None
    if line.startswith(b"WARC/"):
        return _warc_record(stream, place)
    arc = _ARC_2.match(line) or _ARC_1.match(line)
    if arc is not None:
        return _arc_record(stream, place, arc)
    _resynchronise(stream)
    return Refusal(place=place, reason="malformed", detail=f"no record begins here but {line[:60]!r}")


def _resynchronise(stream: ByteStream) -> None:
    """Passes over lines up to one that begins a record."""
    while True:
        head = stream.peek(512)
        if not head or head.startswith(b"WARC/") or _ARC_1.match(head.partition(b"\n")[0]):
            return
        stream.skip_line()


def _warc_record(stream: ByteStream, place: Place) -> Record | Refusal | None:
    lines = []
    size = 0
    while (line := stream.readline(_LINE_BYTES)).strip():
        size += len(line)
        if size > _HEAD_BYTES:
            _resynchronise(stream)
            return Refusal(place=place, reason="malformed", detail="the record head does not end")
        lines.append(line)
    if not line:
        return (
            None
            if stream.damage
            else Refusal(place=place, reason="truncated_file", detail="the file ends inside a record head")
        )
    fields = http.parse_fields(b"".join(lines))
    length = fields.get("content-length", "")
    if not length.isdecimal() or len(length) > 18:
        _resynchronise(stream)
        return Refusal(
            place=place, url=_target(fields), reason="malformed", detail=f"Content-Length is {length[:40]!r}"
        )
    kind = fields.get("warc-type", "").lower() or "without_type"
    return Record(kind, _target(fields), fields.get("warc-date", ""), fields, int(length), place, stream)


def _target(fields: Mapping[str, str]) -> str:
    return fields.get("warc-target-uri", "").strip("<> ").replace(" ", "%20")


def _arc_record(stream: ByteStream, place: Place, line: "re.Match[bytes]") -> Record:
    url = line[1].decode("utf-8", "replace").replace(" ", "%20")
    stamp = line[3].decode()[:14].ljust(14, "0")
    date = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:{stamp[12:14]}Z"
    kind = "response" if url[:6].lower().startswith(_WEB) else "arc_" + url.partition(":")[0].lower()[:20]
    return Record(kind, url, date, {}, int(line[line.re.groups]), place, stream)


def found_in_record(record: Record, rules: PageRules) -> Found:
    """What one record is: a page that can be used, one that cannot, or something else."""
    if record.type not in _PAGE_TYPES:
        return Other(kind=record.type)
    if not record.url[:6].lower().startswith(_WEB):
        return Other(kind=f"{record.type}_not_of_the_web")
    if record.type == "response":
        return _response(record, rules)
    return _resource(record, rules)


def _response(record: Record, rules: PageRules) -> Capture | Refusal:
    block = record.read(http.HEAD_BYTES)
    head_bytes, body = http.split_head(block)
    head = http.parse_head(head_bytes)
    while head is not None and 100 <= head.status < 200 and body.startswith(b"HTTP/"):  # what came before the answer
        head_bytes, body = http.split_head(body)
        head = http.parse_head(head_bytes)
    if head is None:
        return _refuse(record, "malformed", f"no HTTP status line but {block[:40]!r}")
    if head.status not in rules.statuses:
        return _refuse(record, "http_status", f"HTTP status {head.status}", value=head.status)
    cut = record.fields.get("warc-truncated", "")
    if cut and not rules.keep_truncated:
        return _refuse(record, "truncated", f"WARC-Truncated: {cut[:40]}")
    media_type = usable_media_type(head.media_type)
    if not media_type and head.media_type not in _UNSTATED:
        return _refuse(record, "media_type", head.media_type[:80])
    found = _payload(record, rules, head, media_type, body)
    wishes = _wishes(head_bytes)
    return replace(found, wishes=wishes) if wishes and isinstance(found, Capture) else found


def _wishes(head: bytes) -> list[tuple[str, str]]:
    """The header fields that may say what a page is not to be used for; heads without any are not taken apart again."""
    lower = head.lower()
    if not any(name in lower for name in _WISHES):
        return []
    return [field for field in http.all_fields(head.partition(b"\n")[2]) if field[0] in HEADERS]


def _payload(record: Record, rules: PageRules, head: http.Head, media_type: str, body: bytes) -> Capture | Refusal:
    limit = rules.max_page_bytes
    if record.left + len(body) > 2 * limit:
        return _refuse(
            record, "too_large", "the stored body is too large", value=record.left + len(body), threshold=limit
        )
    body += record.read(record.left)
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        body = http.dechunked(body)
    try:
        payload = http.decoded(body, head.fields.get("content-encoding", ""), limit)
    except http.TooLarge:
        return _refuse(record, "too_large", "the decoded body is too large", threshold=limit)
    except http.BadEncoding as error:
        return _refuse(record, "malformed", str(error))
    return _checked(record, rules, payload, media_type, head.charset)


def _resource(record: Record, rules: PageRules) -> Capture | Refusal:
    content_type = record.fields.get("content-type", "")
    media_type = usable_media_type(http.media_type_of(content_type))
    if not media_type:
        return _refuse(record, "media_type", content_type[:80] or "none stated")
    if record.size > rules.max_page_bytes:
        return _refuse(
            record, "too_large", "the stored body is too large", value=record.size, threshold=rules.max_page_bytes
        )
    return _checked(record, rules, record.read(record.left), media_type, http.charset_of(content_type))


def _checked(record: Record, rules: PageRules, payload: bytes, media_type: str, charset: str) -> Capture | Refusal:
    if not payload.strip():
        return _refuse(record, "empty", "the body is empty")
    if len(payload) > rules.max_page_bytes:
        return _refuse(record, "too_large", "the body is too large", value=len(payload), threshold=rules.max_page_bytes)
    if not media_type and not http.looks_like_html(payload):
        return _refuse(record, "media_type", "none of a page stated, and the body does not begin as HTML")
    if record.type == "conversion" and not charset:
        charset = "utf-8"
    return Capture(
        place=record.place,
        url=record.url,
        payload=payload,
        media_type=media_type or "text/html",
        charset=charset,
        date=record.date,
    )


def _refuse(
    record: Record, reason: str, detail: str, *, value: float | None = None, threshold: float | None = None
) -> Refusal:
    return Refusal(place=record.place, url=record.url, reason=reason, detail=detail, value=value, threshold=threshold)
