"""Decoders of compressed files, one member at a time, a bounded piece at a time."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable
from typing import IO, NamedTuple, Protocol

import zstandard

from pipeline.errors import InputError

OUTPUT_BYTES = 1 << 18
_ZSTD_STEP_BYTES = 1 << 8
_ZSTD_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW_BYTES = 1 << 31
_ZSTD_DICTIONARY_BYTES = 16 << 20
DECODING_ERRORS = (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError, RuntimeError, zstandard.ZstdError)


class Piece(NamedTuple):
    """What one step gives: bytes `out`, the `rest` of the input, and whether more is `pending` that needs no input."""

    out: bytes
    rest: bytes
    ended: bool
    pending: bool


class Codec(Protocol):
    """Decodes one member, a bounded piece at a time."""

    def step(self, data: bytes) -> Piece:
        """Decodes some of `data`."""


class _Deflate:
    def __init__(self, bits: int) -> None:
        self._codec = zlib.decompressobj(bits)

    def step(self, data: bytes) -> Piece:
        out = self._codec.decompress(data, OUTPUT_BYTES)
        ended = self._codec.eof
        rest = self._codec.unused_data if ended else self._codec.unconsumed_tail
        return Piece(out, rest, ended, not ended and len(out) == OUTPUT_BYTES)


class _Buffering:
    """The decoders of the standard library's kind (`needs_input`): bz2, lzma, lz4."""

    def __init__(self, codec: "bz2.BZ2Decompressor | lzma.LZMADecompressor") -> None:
        self._codec = codec

    def step(self, data: bytes) -> Piece:
        out = self._codec.decompress(data, OUTPUT_BYTES)
        ended = self._codec.eof
        rest = self._codec.unused_data or b"" if ended else b""  # lz4 gives None for nothing
        return Piece(out, rest, ended, not ended and not self._codec.needs_input)


class _Zstandard:
    """Zstandard bounds no output, but 4 bytes give at most 128 KiB: small steps of input bound it."""

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=_ZSTD_WINDOW_BYTES)
        self._codec = decompressor.decompressobj()
        self._held, self._at, self._step = b"", 0, _ZSTD_STEP_BYTES

    def step(self, data: bytes) -> Piece:
        if data:
            self._held, self._at = data, 0
        out = self._codec.decompress(self._held[self._at : self._at + self._step])
        self._at += self._step
        self._step = min(2 * self._step, 4 * _ZSTD_STEP_BYTES) if len(out) < OUTPUT_BYTES else _ZSTD_STEP_BYTES // 4
        if self._codec.eof:
            return Piece(out, self._codec.unused_data + self._held[self._at :], True, False)
        return Piece(out, b"", False, self._at < len(self._held))


class _Plain:
    def step(self, data: bytes) -> Piece:
        return Piece(data, b"", False, False)


# What a member begins with; zstd files may also hold skippable frames.
HEADS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
    "bz2": re.compile(rb"BZh[1-9]"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}


def compression_of(head: bytes) -> str:
    """The compression that the first bytes of a file show: gzip, zstd, lz4, bz2, xz, or empty."""
    return next((name for name, magic in HEADS.items() if magic.match(head)), "")


def _lz4_codec() -> Codec:
    try:
        import lz4.frame
    except ImportError as error:
        raise InputError("reading .lz4 files needs the package lz4; install it or use gzip or zstd") from error
    return _Buffering(lz4.frame.LZ4FrameDecompressor())


def codec_factory(compression: str, dictionary: zstandard.ZstdCompressionDict | None = None) -> Callable[[], Codec]:
    """What makes a decoder for each member of a stream of the named compression."""

    def make() -> Codec:
        match compression:
            case "gzip":
                return _Deflate(31)
            case "zstd":
                return _Zstandard(dictionary)
            case "lz4":
                return _lz4_codec()
            case "bz2":
                return _Buffering(bz2.BZ2Decompressor())
            case "xz":
                return _Buffering(lzma.LZMADecompressor(lzma.FORMAT_XZ))
        return _Plain()

    return make


def zstd_dictionary(raw: IO[bytes]) -> zstandard.ZstdCompressionDict | None:
    """The dictionary that a `.warc.zst` file carries in its first, skippable frame (by the IIPC proposal), or None."""
    raw.seek(0)
    head = raw.read(8)
    if not head.startswith(_ZSTD_DICTIONARY_MAGIC) or len(head) < 8:
        return None
    size = int.from_bytes(head[4:8], "little")
    if size > _ZSTD_DICTIONARY_BYTES:
        return None
    content = raw.read(size)
    if content.startswith(_ZSTD_MAGIC):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return zstandard.ZstdCompressionDict(content) if content else None
