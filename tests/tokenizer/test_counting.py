"""Counting equals the reference, in one go or in many, with what is too long counted apart."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.counting import CountingMethod, HashedCounts
from tokenizer.patterns import Pattern, pattern_named
from tokenizer.splitting import Splitter
from tokenizer.tallying import hash_bytes_of

METHOD = CountingMethod(pattern_named("o200k"), longest=12)


def as_dict(counted: HashedCounts) -> dict[bytes, int]:
    words = counted.words
    ends, data = words.offsets.tolist(), words.data.tobytes()
    return {data[start:end]: count for start, end, count in zip(ends, ends[1:], words.counts.tolist(), strict=False)}


def add(counter: object, texts: list[str]) -> None:
    data = np.frombuffer("".join(texts).encode(), dtype=np.uint8)
    offsets = np.concatenate(([0], np.cumsum([len(text.encode()) for text in texts]))).astype(np.int64)
    counter.add(data, offsets)  # type: ignore[attr-defined]


def expected(texts: list[str], longest: int) -> tuple[Counter[bytes], int, int]:
    counts = Splitter(pattern_named("o200k")).count(texts)
    long = {piece: count for piece, count in counts.items() if len(piece) > longest}
    return (
        Counter({piece: count for piece, count in counts.items() if len(piece) <= longest}),
        sum(long.values()),
        sum(len(piece) * count for piece, count in long.items()),
    )


@given(st.lists(st.text(alphabet="abAB1 \n'字é-", max_size=30), max_size=8))
@settings(max_examples=100, deadline=None)
def test_counts_equal_the_reference(texts: list[str]) -> None:
    counter = METHOD.counter()
    for text in texts:  # one call a text, and empty texts among them
        add(counter, [text, ""])
    counts, num_long, long_bytes = expected(texts, 12)
    assert len(counter) == len(counts)
    counted = counter.take()
    assert as_dict(counted) == counts
    assert (counter.num_long, counter.long_bytes) == (num_long, long_bytes)
    assert len(counter) == 0
    assert as_dict(counter.take()) == {}
    assert counted.hashes.tolist() == hash_bytes_of(counted.words.data, counted.words.offsets).tolist()


def test_the_table_grows(real_texts: list[str]) -> None:
    counter = METHOD.counter()
    add(counter, real_texts)
    counts, num_long, long_bytes = expected(real_texts, 12)
    assert len(counts) > 20_000  # several doublings
    assert as_dict(counter.take()) == counts
    assert (counter.num_long, counter.long_bytes) == (num_long, long_bytes)


def test_an_unknown_pattern_is_counted_by_the_reference(paragraphs: list[str]) -> None:
    odd = Pattern(name="odd", version=1, regex=r"[aeiou]+|[^aeiou]+")
    counter = CountingMethod(odd, longest=1000).counter()
    add(counter, paragraphs)
    assert as_dict(counter.take()) == Splitter(odd).count(paragraphs)


@pytest.mark.parametrize("by_regex", [False, True])
def test_both_ways_have_the_same_length_limit(by_regex: bool, paragraphs: list[str]) -> None:
    counter = CountingMethod(pattern_named("o200k"), longest=12, by_regex=by_regex).counter()
    add(counter, paragraphs)
    counts, num_long, long_bytes = expected(paragraphs, 12)
    assert num_long > 5
    assert (as_dict(counter.take()), counter.num_long, counter.long_bytes) == (counts, num_long, long_bytes)


def test_hashes_are_fnv_1a() -> None:
    # Published values of the 64-bit FNV-1a of "", "a" and "foobar".
    data = np.frombuffer(b"afoobar", dtype=np.uint8)
    hashes = hash_bytes_of(data, np.array([0, 0, 1, 7])).tolist()
    assert hashes == [0xCBF29CE484222325, 0xAF63DC4C8601EC8C, 0x85944171F73967E8]
