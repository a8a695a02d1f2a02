"""Byte streams: every compression, any way of reading, damage at any byte."""

import io
import random

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.codecs import compression_of, zstd_dictionary
from pipeline.streams import ByteStream, open_stream
from tests.ingest.archives import COMPRESSORS

PACKED = [name for name in COMPRESSORS if name]
members_of_bytes = st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=5)


def stream_of(data: bytes, compression: str, start: int = 0) -> ByteStream:
    return ByteStream(io.BytesIO(data), compression=compression, start=start)


@pytest.mark.parametrize("compression", COMPRESSORS)
@given(members=members_of_bytes, seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_any_way_of_reading_gives_the_same_bytes(compression: str, members: list[bytes], seed: int) -> None:
    stream = stream_of(b"".join(map(COMPRESSORS[compression], members)), compression)
    whole, chance, taken = b"".join(members), random.Random(seed), 0
    while taken < len(whole):
        size = chance.randrange(1, 700)
        match chance.randrange(4):
            case 0:
                assert stream.read(size) == whole[taken : taken + size]
                taken = min(taken + size, len(whole))
            case 1:
                taken += stream.skip(size)
            case 2:
                assert stream.peek(size) == whole[taken : taken + size]
            case _:
                line = stream.readline(size)
                end = whole.find(b"\n", taken, taken + size)
                assert line == whole[taken : end + 1 if end >= 0 else taken + size]
                taken += len(line)
        assert stream.tell() == taken
    assert stream.read(10) == b""
    assert stream.damage is None


@pytest.mark.parametrize("compression", PACKED)
def test_members_are_found_where_they_begin(compression: str) -> None:
    parts = [COMPRESSORS[compression](bytes([letter]) * 70_000) for letter in b"abc"]
    data = b"".join(parts)
    stream = stream_of(data, compression)
    starts = []
    for _ in parts:
        starts.append(stream.member())
        stream.read(1)
        assert stream.member() is None
        stream.skip(69_999)
    assert starts == [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    assert stream.member() is None  # the end begins nothing
    assert stream_of(data, compression, start=starts[1] or 0).read(3) == b"bbb"


@pytest.mark.parametrize("compression", PACKED)
@given(cut=st.floats(0.0, 1.0, exclude_max=True))
@settings(max_examples=30, deadline=None)
def test_a_cut_gives_what_came_before_and_says_where(compression: str, cut: float) -> None:
    parts = [COMPRESSORS[compression](random.Random(number).randbytes(5000)) for number in range(3)]
    data = b"".join(parts)
    length = max(int(len(data) * cut), 7)
    stream = stream_of(data[:length], compression)
    out = stream.read(1 << 20)
    whole = b"".join(random.Random(number).randbytes(5000) for number in range(3))
    assert whole.startswith(out)
    edges = [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    if length in edges:
        assert stream.damage is None
    else:
        assert stream.damage is not None
        assert stream.damage.position == max(edge for edge in edges if edge < length)
        assert stream.damage.reason in ("truncated_file", "unreadable_file")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4", "bz2", "xz"])
def test_garbage_behind_a_member_is_damage_and_zeros_are_not(compression: str) -> None:
    good = COMPRESSORS[compression](b"good")
    padded = stream_of(good + bytes(1000) + good + bytes(70_000), compression)
    assert padded.read(100) == b"goodgood"
    assert padded.damage is None
    broken = stream_of(good + b"garbage that is no member", compression)
    assert broken.read(100) == b"good"
    assert broken.damage is not None
    assert broken.damage.position == len(good)


@pytest.mark.parametrize("compression", PACKED)
def test_a_bomb_is_decoded_a_bounded_piece_at_a_time(compression: str) -> None:
    bomb = COMPRESSORS[compression](bytes(50 << 20))
    stream = stream_of(bomb, compression)
    stream.read(1)
    assert len(stream._buffer) <= 16 << 20
    assert stream.skip(1 << 40) == (50 << 20) - 1


def test_warc_zst_dictionaries_are_used() -> None:
    samples = [b"the same words again and again %d" % number for number in range(1000)]
    dictionary = zstandard.train_dictionary(1024, samples)
    frames = b"".join(zstandard.ZstdCompressor(dict_data=dictionary).compress(sample) for sample in samples[:3])
    for content in (dictionary.as_bytes(), zstandard.compress(dictionary.as_bytes())):
        data = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content + frames
        raw = io.BytesIO(data)
        stream = ByteStream(raw, compression=compression_of(data), dictionary=zstd_dictionary(raw))
        assert stream.read(1 << 20) == b"".join(samples[:3])
        assert stream.damage is None


def test_compression_is_read_off_the_bytes_not_the_name(tmp_path: object) -> None:
    path = f"{tmp_path}/misnamed.txt"
    with open(path, "wb") as file:
        file.write(COMPRESSORS["gzip"](b"hello"))
    with open_stream(path) as stream:
        assert stream.read(10) == b"hello"


def test_skipping_in_a_plain_file_seeks() -> None:
    raw = io.BytesIO(bytes(1 << 20) + b"end")
    stream = ByteStream(raw, compression="")
    stream.read(1)
    assert stream.skip((1 << 20) - 1) == (1 << 20) - 1
    assert stream.read(10) == b"end"
    assert stream.skip(1 << 30) == 0
