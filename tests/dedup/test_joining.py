"""Comparisons that are left out: the clusters are the same, and small ones are compared throughout."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import joining
from pipeline.dedup.candidates import distinct
from pipeline.dedup.clusters import components
from pipeline.dedup.joining import JoiningPairs


def compared(pairs: np.ndarray, alike: set[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """The pairs that are asked for, when the answers are those of `alike`."""
    found, open_pairs = [], JoiningPairs(pairs, limit)
    for some in open_pairs:
        found += [(int(a), int(b)) for a, b in some]
        open_pairs.join(np.array([pair for pair in some.tolist() if tuple(pair) in alike], np.uint64).reshape(-1, 2))
    return found


def roots_of(pairs: list[tuple[int, int]], size: int) -> list[int]:
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    return list(components(ends[:, 0], ends[:, 1], size).tolist())


PAIRS = st.sets(st.tuples(st.integers(0, 25), st.integers(0, 25)).filter(lambda pair: pair[0] < pair[1]), max_size=120)


@settings(deadline=None)
@given(PAIRS, st.sets(st.integers(0, 119)), st.integers(1, 30), st.sampled_from([1, 3, 8192]))
def test_clusters_are_those_of_all_comparisons(
    pairs: set[tuple[int, int]], chosen: set[int], limit: int, at_a_time: int
) -> None:
    alike = {pair for place, pair in enumerate(sorted(pairs)) if place in chosen}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_SLICE_PAIRS", at_a_time)
        found = compared(distinct(np.array(sorted(pairs), np.uint64).reshape(-1, 2)), alike, limit)
    assert len(set(found)) == len(found)
    assert set(found) <= pairs
    expected = roots_of(sorted(alike), 26)
    assert roots_of([pair for pair in found if pair in alike], 26) == expected
    sizes = np.bincount(expected, minlength=26)
    for a, b in pairs - set(found):  # left out is only what lies within one large cluster
        assert expected[a] == expected[b]
        assert sizes[expected[a]] > limit


def test_a_clique_takes_few_comparisons_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_SLICE_PAIRS", 50)
    everything = set(combinations(range(200), 2))
    pairs = np.array(sorted(everything), np.uint64)
    assert len(compared(pairs, everything, limit=200)) == len(everything)
    assert len(compared(pairs, everything, limit=20)) <= 200 + 50


def test_nothing_to_compare() -> None:
    assert compared(np.zeros((0, 2), np.uint64), set(), 64) == []
