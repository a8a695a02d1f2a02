"""Pairs of documents with a common band key, against all pairs."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import candidates
from pipeline.dedup.bands import BAND
from pipeline.dedup.candidates import pairs_of_buckets


def bands_of(keys: list[int]) -> np.ndarray:
    bands = np.zeros(len(keys), BAND)
    bands["key"] = keys
    bands["ref"] = np.arange(len(keys))
    bands["id"] = np.arange(len(keys)) * 7919 % 1009  # ids in another order than references
    return bands


def found_pairs(bands: np.ndarray, limit: int, reach: int = 16, first_own: int = 0) -> set[tuple[int, int]]:
    return {tuple(pair) for chunk in pairs_of_buckets(bands, limit, reach, first_own) for pair in chunk.tolist()}


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), max_size=60), st.sampled_from([1, 2, 7, 1000]), st.integers(0, 20))
def test_all_pairs_of_small_buckets(keys: list[int], chunk: int, first_own: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_CHUNK_PAIRS", chunk)  # wherever the output runs full, nothing is lost
        found = found_pairs(bands_of(keys), limit=100, first_own=first_own)
    buckets = defaultdict(list)
    for ref, key in enumerate(keys):
        buckets[key].append(ref)
    assert found == {pair for bucket in buckets.values() for pair in combinations(bucket, 2) if max(pair) >= first_own}


@settings(deadline=None)
@given(st.integers(5, 120), st.integers(1, 5), st.sampled_from([3, 1000]))
def test_large_buckets_grow_with_their_size(size: int, reach: int, chunk: int) -> None:
    bands = bands_of([42] * size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_CHUNK_PAIRS", chunk)
        found = found_pairs(bands, limit=4, reach=reach)
    order = bands["ref"][np.argsort(bands["id"])].tolist()
    expected = {(second, at) for at in range(size) for second in range(at) if second < reach or second >= at - reach}
    assert found == {tuple(sorted((order[a], order[b]))) for a, b in expected}
    assert len(found) <= 2 * reach * size
