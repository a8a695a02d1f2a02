"""WARC 1.1 records, and parts of an archive that survive a kill.

A record is one gzip member, so its offset is enough to read it. Responses are stored as received: the
content encoding stays, the transfer encoding is undone (its header is kept as `X-Crawler-Transfer-Encoding`).
"""

import base64
import functools
import hashlib
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

Headers = Sequence[tuple[str, str]]
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_STORED_BYTES = 0xFFFF
_ENCODED = ("gzip", "x-gzip", "br", "zstd", "deflate")
_ASCII = bytes(range(128))
REVISIT_IDENTICAL = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
REVISIT_UNCHANGED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and the answer to it, as far as it came."""

    url: str
    at: float  # seconds since the epoch
    seconds: float
    address: str
    request_headers: Headers
    status: int
    reason: str
    headers: Headers
    body: bytes
    method: str = "GET"
    truncated: bool = False  # only the start of the body was read
    version: str = "1.1"  # of HTTP, in the answer

    def header(self, name: str) -> str:
        """The value of a response header as text, several joined by commas; empty if there is none."""
        return ", ".join(_as_text(value) for key, value in self.headers if key.lower() == name)

    @property
    def location(self) -> str:
        """Where a redirect leads: the first header that says so, bytes above ASCII escaped one by one, as browsers do."""
        value = next((value for key, value in self.headers if key.lower() == "location"), "")
        return quote(value.encode("utf-8", "surrogateescape"), safe=_ASCII)


def _as_text(value: str) -> str:
    """A header value in a form that can be written: bytes that are no UTF-8 are Latin-1."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def warcinfo_record(fields: Mapping[str, str], *, filename: str, at: float) -> bytes:
    """The record that opens a part and says who made it."""
    headers = [("WARC-Filename", filename), ("Content-Type", "application/warc-fields")]
    return _record("warcinfo", "", at, headers, _fields(list(fields.items())))[0]


def exchange_records(exchange: Exchange, metadata: Headers, *, digest: str = "") -> bytes:
    """Response, request and metadata records of one exchange; the response comes first. `digest` is that of the body, if known."""
    response, response_id = _record(
        "response",
        exchange.url,
        exchange.at,
        [
            ("WARC-IP-Address", exchange.address),
            ("WARC-Payload-Digest", digest or block_digest(exchange.body)),
            ("WARC-Truncated", "length" if exchange.truncated else ""),
            ("Content-Type", "application/http;msgtype=response"),
        ],
        response_head(exchange, len(exchange.body)) + exchange.body,
        stored=exchange.header("content-encoding").lower() in _ENCODED,
    )
    return response + _companions(exchange, metadata, response_id)


def revisit_records(
    exchange: Exchange, metadata: Headers, *, profile: str, refers_to: str, refers_to_date: str, digest: str
) -> bytes:
    """Revisit, request and metadata records: the payload is that of another record of the archive."""
    revisit, revisit_id = _record(
        "revisit",
        exchange.url,
        exchange.at,
        [
            ("WARC-IP-Address", exchange.address),
            ("WARC-Profile", profile),
            ("WARC-Refers-To-Target-URI", refers_to),
            ("WARC-Refers-To-Date", refers_to_date),
            ("WARC-Payload-Digest", digest),
            ("Content-Type", "application/http;msgtype=response"),
        ],
        response_head(exchange, None),
    )
    return revisit + _companions(exchange, metadata, revisit_id)


def request_records(exchange: Exchange, metadata: Headers) -> bytes:
    """Request and metadata records alone: for answers whose body its owner does not want to be kept."""
    return _companions(exchange, metadata, "")


def _companions(exchange: Exchange, metadata: Headers, concurrent_to: str) -> bytes:
    together = [("WARC-Concurrent-To", concurrent_to)]
    target = exchange.url[exchange.url.index("/", exchange.url.index("//") + 2) :]
    lines = [
        f"{exchange.method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in exchange.request_headers),
        "",
        "",
    ]
    request, request_id = _record(
        "request",
        exchange.url,
        exchange.at,
        [*together, ("Content-Type", "application/http;msgtype=request")],
        "\r\n".join(lines).encode(),
        stored=True,
    )
    together = [("WARC-Concurrent-To", concurrent_to or request_id)]
    about, _ = _record(
        "metadata",
        exchange.url,
        exchange.at,
        [*together, ("Content-Type", "application/warc-fields")],
        _fields(metadata),
        stored=True,
    )
    return request + about


def response_head(exchange: Exchange, num_body_bytes: int | None) -> bytes:
    """Status line and headers as received, save the transfer encoding, which is undone, and the length that follows from it."""
    lines = [f"HTTP/{exchange.version} {exchange.status} {exchange.reason}"]
    for name, value in exchange.headers:
        lower = name.lower()
        if lower == "transfer-encoding":
            lines.append(f"X-Crawler-Transfer-Encoding: {value}")
        elif lower != "content-length" or num_body_bytes is None:
            lines.append(f"{name}: {value}")
    if num_body_bytes is not None:
        lines.append(f"Content-Length: {num_body_bytes}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _fields(fields: Headers) -> bytes:
    return "".join(f"{name}: {' '.join(value.split())}\r\n" for name, value in fields if value).encode(
        "utf-8", "replace"
    )


def _record(
    kind: str, url: str, at: float, headers: Headers, block: bytes, *, stored: bool = False
) -> tuple[bytes, str]:
    """One record as a gzip member, and its id. `stored` skips the deflation of what is deflated already or short."""
    record_id = f"<urn:uuid:{uuid.uuid4()}>"
    lines = ["WARC/1.1", f"WARC-Type: {kind}", f"WARC-Record-ID: {record_id}", f"WARC-Date: {warc_date(at)}"]
    if url:
        lines.append(f"WARC-Target-URI: {url}")
    lines += [f"{name}: {value}" for name, value in headers if value]
    lines += [f"WARC-Block-Digest: {block_digest(block)}", f"Content-Length: {len(block)}", "", ""]
    content = "\r\n".join(lines).encode("utf-8", "replace") + block + b"\r\n\r\n"
    return (_stored if stored else _deflated)(content), record_id


def _deflated(content: bytes) -> bytes:
    """A gzip member."""
    member = zlib.compressobj(1, zlib.DEFLATED, 31)
    return member.compress(content) + member.flush()


def _stored(content: bytes) -> bytes:
    """A gzip member that holds `content` as it is, without the cost of setting up a compressor (RFC 1951, 3.2.4)."""
    parts = [_GZIP_HEAD]
    last = max(0, len(content) - 1) // _STORED_BYTES * _STORED_BYTES
    for start in range(0, last + 1, _STORED_BYTES):
        piece = content[start : start + _STORED_BYTES]
        parts += (struct.pack("<BHH", start == last, len(piece), len(piece) ^ 0xFFFF), piece)
    parts.append(struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFF_FFFF))
    return b"".join(parts)


def block_digest(content: bytes) -> str:
    """A digest as WARC writes it, of a block or of a body as received."""
    return "sha1:" + base64.b32encode(hashlib.sha1(content).digest()).decode()


def warc_date(at: float) -> str:
    """A time as WARC writes it."""
    return _date(int(at))


@functools.lru_cache(maxsize=64)  # all records of a second have it
def _date(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"
