"""HTTP messages as archives hold them: lenient heads, chunked bodies, content encodings undone within bounds."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import brotli
import zstandard

from pipeline.markup import begins_as_html

_STATUS_LINE = re.compile(rb"(?:HTTP[A-Z]?/[\d.]+|ICY|SPDY/\S*)[ \t]+(\d{3})(?:\s|$)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]{0,4096})?\r?\n")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_ENCODING = "content-encoding"
HEAD_BYTES = 1 << 18
_PIECE_BYTES = 1 << 16
_ZSTD_STEP_BYTES = 1 << 12
_WINDOW_BYTES = 1 << 12
_GZIP_START = b"\x1f\x8b"
_ZSTD_START = b"\x28\xb5\x2f\xfd"


class TooLarge(Exception):
    """A body decodes to more bytes than are allowed."""


class BadEncoding(Exception):
    """A body is cut off or corrupt behind a part that did decode."""


class Head(NamedTuple):
    """Status and header fields (names in lower case) of an HTTP response: the last of equal ones, but all content encodings."""

    status: int
    fields: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The media type in lower case without parameters, or empty."""
        return media_type_of(self.fields.get("content-type", ""))

    @property
    def charset(self) -> str:
        """The charset that the Content-Type states, in lower case, or empty."""
        return charset_of(self.fields.get("content-type", ""))


def media_type_of(content_type: str) -> str:
    """The media type of a Content-Type field in lower case, or empty."""
    match = _MEDIA_TYPE.match(content_type.strip().lower())
    return match[0] if match else ""


def charset_of(content_type: str) -> str:
    """The charset of a Content-Type field in lower case, or empty."""
    match = _CHARSET.search(content_type)
    return match[1].lower() if match else ""


def split_head(block: bytes) -> tuple[bytes, bytes]:
    """`block` as head and body, parted at the first empty line; the whole is head where there is none."""
    position = 0
    while True:
        end = block.find(b"\n", position)
        if end < 0:
            return block, b""
        if block[position:end].strip(b"\r") == b"":
            return block[:position], block[end + 1 :]
        position = end + 1


def parse_head(head: bytes) -> Head | None:
    """The head of a response, or None where there is no status line."""
    match = _STATUS_LINE.match(head)
    if match is None:
        return None
    _, _, rest = head.partition(b"\n")
    fields = all_fields(rest)
    encodings = [value for name, value in fields if name == _ENCODING]
    return Head(int(match[1]), dict(fields) | ({_ENCODING: ", ".join(encodings)} if encodings else {}))


def parse_fields(lines: bytes) -> dict[str, str]:
    """Header fields by name in lower case; folded lines are joined, lines without a colon are passed over."""
    return dict(all_fields(lines))


def all_fields(lines: bytes) -> list[tuple[str, str]]:
    """As `parse_fields`, in order, and all of those with the same name."""
    fields: list[tuple[str, str]] = []
    name = ""
    for line in lines.decode("utf-8", "replace").split("\n"):
        if line[:1] in (" ", "\t") and name:
            fields[-1] = (name, f"{fields[-1][1]} {line.strip()}".strip())
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name:
            fields.append((name, value.strip()))
    return fields


def looks_like_html(payload: bytes) -> bool:
    """Whether the first bytes are those of an HTML page."""
    return begins_as_html(payload[:2048])


def dechunked(body: bytes) -> bytes:
    """`body` without chunked transfer coding.

    Archives often keep the header of a body that they decoded: such a body stays as it is.
    """
    pieces: list[bytes] = []
    position = 0
    while match := _CHUNK_SIZE.match(body, position):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(pieces)
        start = match.end()
        pieces.append(body[start : start + size])
        position = start + size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1
    return b"".join([*pieces, body[position:]])


def decoded(body: bytes, content_encoding: str, limit: int) -> bytes:
    """`body` with its content encodings undone, the last first.

    A body that does not even begin as its encoding says is taken as decoded already; so is one of an unknown encoding.

    Raises:
        TooLarge: more than `limit` bytes come out.
        BadEncoding: the body breaks in the middle.
    """
    for name in reversed([part.strip().lower() for part in content_encoding.split(",")]):
        decode = _DECODERS.get(name)
        if decode is not None and body:
            body = _bounded(decode(body), body, limit)
    return body


def _bounded(pieces: Iterator[bytes], undecoded: bytes, limit: int) -> bytes:
    taken: list[bytes] = []
    total = 0
    try:
        for piece in pieces:
            taken.append(piece)
            total += len(piece)
            if total > limit:
                raise TooLarge
    except EOFError:
        raise BadEncoding("the compressed body is cut off") from None
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        if not total:
            return undecoded
        raise BadEncoding(f"the compressed body breaks: {error}") from None
    return b"".join(taken)


def _gzip(body: bytes) -> Iterator[bytes]:
    """All members of `body`; as gzip readers do, what follows a whole one and is none is passed over."""
    position = 0
    while True:
        codec = zlib.decompressobj(31)
        window = _WINDOW_BYTES  # small at first: of a chain of tiny members, what is behind each is copied
        while not codec.eof:
            fed = codec.unconsumed_tail or body[position : position + window]
            position += 0 if codec.unconsumed_tail else len(fed)
            out = codec.decompress(fed, _PIECE_BYTES)
            if not fed and not out and not codec.eof:
                raise EOFError
            yield out
            window = min(2 * window, _PIECE_BYTES)
        position -= len(codec.unused_data)
        if not body.startswith(_GZIP_START, position):
            return


def _deflate(body: bytes) -> Iterator[bytes]:
    """Deflate as the standard has it (with a zlib wrapper) or as some servers send it (without)."""
    wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    yield from _inflate(zlib.decompressobj(15 if wrapped else -15), body)


def _inflate(codec: "zlib._Decompress", body: bytes) -> Iterator[bytes]:
    while not codec.eof:
        out = codec.decompress(body, _PIECE_BYTES)
        body = codec.unconsumed_tail
        if not out and not codec.eof:
            raise EOFError
        yield out


def _brotli(body: bytes) -> Iterator[bytes]:
    codec = brotli.Decompressor()
    while not codec.is_finished():
        out = codec.process(body, output_buffer_limit=_PIECE_BYTES)
        body = b""
        if not out and not codec.is_finished() and codec.can_accept_more_data():
            raise EOFError
        yield out


def _zstd(body: bytes) -> Iterator[bytes]:
    """All frames of `body`; as of gzip, what follows a whole one and is none is passed over."""
    position = 0
    while True:
        codec = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        while not codec.eof:
            fed = body[position : position + _ZSTD_STEP_BYTES]
            if not fed:
                raise EOFError
            yield codec.decompress(fed)
            position += len(fed)
        position -= len(codec.unused_data)
        if not body.startswith(_ZSTD_START, position):
            return


_DECODERS: Mapping[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
