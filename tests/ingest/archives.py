"""Small archives for tests, written by hand: what they hold is known to the byte."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Sequence

import lz4.frame
import zstandard

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "zstd": lambda data: zstandard.compress(data),
    "lz4": lambda data: lz4.frame.compress(data),
    "bz2": lambda data: bz2.compress(data),
    "xz": lambda data: lzma.compress(data),
}
PROSE = "The quick brown fox jumps over the lazy dog, and then it rests for a while. "


def record(kind: str, url: str, block: bytes, *, length: int | None = None, **fields: str) -> bytes:
    """One WARC record; `length` overrides what its head says."""
    lines = [
        "WARC/1.1",
        f"WARC-Type: {kind}",
        f"WARC-Target-URI: {url}",
        "WARC-Date: 2026-01-02T03:04:05Z",
        "WARC-Record-ID: <urn:uuid:0>",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
        f"Content-Length: {len(block) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *, status: str = "200 OK", content_type: str = "text/html", **fields: str) -> bytes:
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {content_type}"] if content_type else [])]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def html(number: int, *, size: int = 200) -> bytes:
    """A page whose text names its number."""
    text = (PROSE * (size // len(PROSE) + 1))[:size]
    return f"<!doctype html><html><title>{number}</title><p>Page {number}. {text}</p></html>".encode()


def response(number: int, *, size: int = 200) -> bytes:
    """The record of the page `number`."""
    return record("response", f"http://example.com/{number}", http(html(number, size=size)))


def archive(records: Iterable[bytes], compression: str = "gzip") -> bytes:
    """Records with a member for each."""
    return b"".join(map(COMPRESSORS[compression], records))


def crawl(numbers: Sequence[int], *, size: int = 200) -> list[bytes]:
    """A warcinfo record, then for each page a request, its response and its metadata."""
    found = [record("warcinfo", "", b"software: test\r\n")]
    for number in numbers:
        url = f"http://example.com/{number}"
        found += [
            record("request", url, b"GET / HTTP/1.1\r\n\r\n"),
            response(number, size=size),
            record("metadata", url, b"via: x\r\n"),
        ]
    return found
