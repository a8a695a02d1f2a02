"""Where records begin in the middle of an archive: how a range of a large file finds its first record."""

import re
from collections.abc import Iterator
from typing import IO

import zstandard

from pipeline.codecs import DECODING_ERRORS, codec_factory

_SCAN_BYTES = 1 << 20
_PROBE_BYTES = 1 << 16
_OVERLAP_BYTES = 64
_MEMBER = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "lz4": re.compile(rb"\x04\x22\x4d\x18"),
    # The literal comes first: a pattern that begins with a look back is tried at every byte, 60 times slower.
    "": re.compile(rb"WARC/(?:(?<=\n\r\nWARC/)|(?<=\n\nWARC/))\d\.\d+\r?\n"),
}
_RECORD = re.compile(rb"\s*(?:WARC/\d\.\d+\r?\n|\S+ \S+ \d{12,17} )")


def next_start(
    raw: IO[bytes],
    compression: str,
    start: int,
    end: int | None,
    dictionary: zstandard.ZstdCompressionDict | None = None,
) -> int | None:
    """The first byte from `start` on and before `end` where a record begins, together with a member if compressed."""
    if compression not in _MEMBER:
        return None
    for position in _candidates(raw, _MEMBER[compression], start, end):
        if not compression or _begins_record(raw, compression, position, dictionary):
            return position
    return None


def _candidates(raw: IO[bytes], pattern: "re.Pattern[bytes]", start: int, end: int | None) -> Iterator[int]:
    """The places where `pattern` matches, each once, in order."""
    base = max(start - 4, 0)  # the pattern of plain files looks back
    last = start - 1
    while end is None or base < end:
        raw.seek(base)
        block = raw.read(_SCAN_BYTES)
        for match in pattern.finditer(block):
            position = base + match.start()
            if position > last and (end is None or position < end):
                last = position
                yield position
        if len(block) <= _OVERLAP_BYTES:
            return
        base += len(block) - _OVERLAP_BYTES


def _begins_record(
    raw: IO[bytes], compression: str, position: int, dictionary: zstandard.ZstdCompressionDict | None
) -> bool:
    raw.seek(position)
    codec, out = codec_factory(compression, dictionary)(), b""
    try:
        piece = codec.step(raw.read(_PROBE_BYTES))
        out += piece.out
        while len(out) < 512 and not piece.ended and (piece.rest or piece.pending):
            piece = codec.step(piece.rest)
            out += piece.out
    except DECODING_ERRORS:
        return False
    return _RECORD.match(out) is not None
