"""Repetition against slow obvious counting, and the examples by which the published readings differ."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.dialects import READINGS
from pipeline.filter.repetition import duplicate_shares, ngram_shares


def slow_top(words: list[str], n: int) -> int:
    grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    return len(gram) * count


def slow_copies(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    total = position = 0
    while position <= len(words) - n:
        gram = tuple(words[position : position + n])
        if gram in seen:
            total += sum(map(len, gram))
            position += n
        else:
            seen.add(gram)
            position += 1
    return total


def slow_covered(words: list[str], n: int) -> int:
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    inside = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
    return sum(len(words[i]) for i in inside)


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dd", "e"]), max_size=60))
def test_ngrams_equal_slow_counting(words: list[str]) -> None:
    ids = np.array([["a", "bb", "ccc", "dd", "e"].index(word) + 1 for word in words], np.int64)
    lengths = np.array([len(word) for word in words], np.int64)
    num_chars = max(1, len(" ".join(words)))
    shares = ngram_shares(ids, lengths, num_chars, READINGS["datatrove"])
    covering = ngram_shares(ids, lengths, num_chars, READINGS["dclm"])
    for n in (2, 3, 4):
        assert shares[f"top_{n}_gram_share"] == slow_top(words, n) / num_chars
    for n in range(5, 11):
        assert shares[f"dup_{n}_gram_share"] == slow_copies(words, n) / num_chars
        assert covering[f"dup_{n}_gram_share"] == slow_covered(words, n) / num_chars


@pytest.mark.parametrize(("count_first", "share"), [(False, 1 / 3), (True, 2 / 3)])
def test_equal_lines_by_both_readings(count_first: bool, share: float) -> None:
    assert duplicate_shares(["A", "A", "B"], 5, count_first)[0] == share


def test_an_empty_text_has_no_shares() -> None:
    assert all(value != value for value in duplicate_shares([], 0, count_first=False))
