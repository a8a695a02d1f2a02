"""What a response body is: its content encodings undone within a bound, its media type, its charset."""

import codecs
import re
import zlib
from typing import Any

import brotli  # type: ignore[import-untyped]
import zstandard

from pipeline import charset, markup

try:
    from isal import isal_zlib as fast_zlib  # inflates twice as fast
except ImportError:
    import zlib as fast_zlib  # type: ignore[no-redef]

_DAMAGED: Any = (zlib.error, brotli.error, zstandard.ZstdError, EOFError, fast_zlib.error)
_NUM_ENCODINGS = 5  # as other clients; each may cost as much as the limit
_STEP_BYTES = 1 << 16
_WINDOW_BYTES, _MAX_WINDOW_BYTES = 1 << 12, 1 << 20
_ZSTD_STEP_BYTES = 256
_ZSTD_WINDOW_BYTES = 1 << 23  # RFC 8878 and browsers: 8 MiB
_NO_ENCODINGS = frozenset(("", "identity", "none", "binary", "7bit", "8bit"))
_PAGE_TYPES = {"text/html": "text/html", "application/xhtml+xml": "text/html", "text/plain": "text/plain"}
_XML_TYPES = frozenset({"text/xml", "application/xml"})
_UNKNOWN_TYPES = frozenset({"", "unknown/unknown", "application/unknown", "*/*"})
_GZIP_START = b"\x1f\x8b"
_CONTROLS = bytes((*range(0x01, 0x09), *range(0x0E, 0x1B)))
_XHTML_ROOT = re.compile(rb"<html[\s>]", re.IGNORECASE)
_MAGIC = (
    b"%PDF-",
    b"%!PS-",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"RIFF",
    b"OggS",
    b"ID3",
    b"Rar!",
    b"7z\xbc\xaf",
    b"\x7fELF",
    b"MZ\x90",
)


class BodyError(ValueError):
    """A body that cannot be used; the message is the reason: `decoded_too_large`, `bad_encoding` or `unknown_encoding`."""


def decoded(body: bytes, content_encoding: str, limit: int) -> bytes:
    """`body` with its content encodings undone. Memory stays within a few times `limit` whatever the body holds.

    Raises:
        BodyError: it decodes to more than `limit` bytes, is damaged, or has an encoding that is not undone here.
    """
    names = [part.strip().lower() for part in content_encoding.split(",")]
    if len(names) > _NUM_ENCODINGS:
        raise BodyError("bad_encoding")
    names = [name for name in names if not _is_no_encoding(name)]
    if not _DECODERS.keys() >= set(names):
        raise BodyError("unknown_encoding")
    for number, name in enumerate(reversed(names)):
        if number and name.endswith("gzip") and not body.startswith(_GZIP_START):
            continue  # said twice, by the application and by the server before it, and done once
        decode = _DECODERS[name]
        try:
            body = decode(body, limit)
        except _DAMAGED:
            raise BodyError("bad_encoding") from None
    if len(body) > limit:
        raise BodyError("decoded_too_large")
    return body


def _is_no_encoding(name: str) -> bool:
    """Whether a word says nothing of an encoding: servers put charsets and media types into the header, too."""
    return name in _NO_ENCODINGS or "/" in name or (name not in _DECODERS and charset.codec_name(name) != "")


def decoded_start(body: bytes, content_encoding: str, limit: int) -> bytes | None:
    """As much of the start of a body as can be had, whole lines only if something is missing. Nothing raises.

    None is for a body of which nothing can be read: what it says is not known.
    """
    name = content_encoding.strip().lower()
    if name not in ("gzip", "x-gzip"):
        try:
            start = decoded(body, name, max(limit, len(body)))
        except BodyError:
            return None
        whole = len(start) < limit
    else:
        stream = zlib.decompressobj(31)
        try:
            start = stream.decompress(body, limit)
        except zlib.error:
            return None
        whole = stream.eof
    return start[:limit] if whole else start[: start[:limit].rfind(b"\n") + 1]


def _gunzip(body: bytes, limit: int) -> bytes:
    """All gzip members of `body`; what follows them and is none is ignored, as browsers do."""
    parts: list[bytes] = []
    left, position = limit + 1, 0
    while not parts or body.startswith(_GZIP_START, position):
        member = fast_zlib.decompressobj(31)
        window = _WINDOW_BYTES  # small at first: of a chain of tiny members, what is behind each is copied
        while not member.eof:
            fed = body[position : position + window]
            if not fed:
                raise EOFError
            piece = member.decompress(fed, left)
            parts.append(piece)
            left -= len(piece)
            if left <= 0:
                raise BodyError("decoded_too_large")
            position += len(fed)
            window = min(2 * window, _MAX_WINDOW_BYTES)
        position -= len(member.unused_data)
    return b"".join(parts)


def _inflate(body: bytes, limit: int) -> bytes:
    """zlib or, as some servers send it, bare deflate."""
    for wbits in (15, -15):
        stream = zlib.decompressobj(wbits)
        try:
            piece = stream.decompress(body, limit + 1)
        except zlib.error:
            if wbits < 0:
                raise
            continue
        if len(piece) > limit:
            raise BodyError("decoded_too_large")
        if not stream.eof:
            raise EOFError
        return piece
    raise EOFError


def _unbrotli(body: bytes, limit: int) -> bytes:
    stream, parts, left, data = brotli.Decompressor(), [], limit, body
    while True:
        piece = stream.process(data, output_buffer_limit=_STEP_BYTES)
        parts.append(piece)
        left -= len(piece)
        if left < 0:
            raise BodyError("decoded_too_large")
        if stream.is_finished():
            return b"".join(parts)
        if not piece and stream.can_accept_more_data() and not data:
            raise EOFError
        data = b""


def _unzstd(body: bytes, limit: int) -> bytes:
    """All frames of `body`, fed in pieces so small that what one gives is bounded (a block gives 128 KiB at most)."""
    stream, parts, left = (
        zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(read_across_frames=False),
        [],
        limit,
    )
    position, finished = 0, False
    while position < len(body):
        if finished:
            stream = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(
                read_across_frames=False
            )
        piece = stream.decompress(body[position : position + _ZSTD_STEP_BYTES])
        position = min(position + _ZSTD_STEP_BYTES, len(body)) - len(stream.unused_data)
        finished = stream.eof
        parts.append(piece)
        left -= len(piece)
        if left < 0:
            raise BodyError("decoded_too_large")
    if not finished:
        raise EOFError
    return b"".join(parts)


_DECODERS = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _inflate, "br": _unbrotli, "zstd": _unzstd}


def header_type(content_type: str) -> str:
    """The media type in a Content-Type header, in lower case, without parameters; of several headers the last one counts."""
    values = [value for value in content_type.split(",") if "/" in value.partition(";")[0]]
    return (values[-1] if values else content_type).partition(";")[0].strip().lower()


def may_be_page(content_type: str) -> bool:
    """Whether a response with this header is worth reading."""
    name = header_type(content_type)
    return name in _PAGE_TYPES or name in _XML_TYPES or name in _UNKNOWN_TYPES or "/" not in name


def page_type(content_type: str, payload: bytes) -> str:
    """`text/html` or `text/plain` for a usable page, from its header and its first bytes; else an empty text."""
    start = payload[:1024]
    if start.startswith(_MAGIC) or _is_binary(start):
        return ""
    name = header_type(content_type)
    if name in _PAGE_TYPES:
        return _PAGE_TYPES[name]
    if name in _XML_TYPES:
        return "text/html" if _XHTML_ROOT.search(start) else ""
    if name in _UNKNOWN_TYPES or "/" not in name:
        return "text/html" if markup.begins_as_html(start) else "text/plain"
    return ""


def _is_binary(start: bytes) -> bool:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    controls = len(start) - len(start.translate(None, _CONTROLS))
    zeros = start.count(0)
    utf16 = zeros and min(start[::2].count(0), start[1::2].count(0)) == 0  # one half of the bytes has no zeros
    return controls > len(start) // 50 or (zeros > len(start) // 50 and not utf16)
