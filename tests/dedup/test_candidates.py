"""Pairs of documents with a common band key, against all pairs."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import candidates
from pipeline.dedup.bands import BAND
from pipeline.dedup.candidates import PAIR, gathered_pairs, pairs_of_buckets
from pipeline.dedup.exchange import write_exchange


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


def test_a_hundred_thousand_documents_with_the_same_bands() -> None:
    """Hot bands of the same documents bring each pair once, and no more than twice the reach a document."""
    size, hot = 100_000, 4
    bands = np.zeros(hot * size, BAND)
    bands["key"], bands["ref"] = np.repeat(np.arange(hot), size), np.tile(np.arange(size), hot)
    bands["id"] = bands["ref"] * 7919 % 100_003
    pairs = np.concatenate(list(pairs_of_buckets(bands, 64)))
    packed = np.sort(pairs[:, 0] << np.uint64(32) | pairs[:, 1])
    assert (packed[1:] > packed[:-1]).all()
    assert len(pairs) <= 2 * 16 * size
    assert len(np.unique(pairs)) == size


@settings(deadline=None, max_examples=30)
@given(
    files=st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(10, 15)), max_size=40), max_size=6),
    held=st.sampled_from([1, 10, 1000]),
)
def test_pairs_found_in_many_files_are_compared_once(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[int, int]]], held: int
) -> None:
    folder, paths = tmp_path_factory.mktemp("pairs"), []
    for number, pairs in enumerate(files):
        paths.append(str(Path(folder, f"{number}.bin")))
        write_exchange(paths[-1], np.array(pairs, PAIR), np.ones(len(pairs), np.int64), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_HELD_PAIRS", held)
        found, arrived = gathered_pairs(paths, 1)
    assert [tuple(pair) for pair in found.tolist()] == sorted({pair for pairs in files for pair in pairs})
    assert arrived.get("received/pairs", 0) == sum(map(len, files))
