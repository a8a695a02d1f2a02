"""Which candidates still have to be compared: none whose large cluster has both of them already.

The clusters are the connected components of the verified pairs, so a pair that others connect adds nothing to them.
In clusters of up to `limit` documents all pairs are compared all the same, so that people see how alike the members
are; in a larger one it takes about one comparison a document, and not thirty.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.dedup.candidates import sorted_distinct
from pipeline.dedup.plan import References
from tokenizer.compiling import kept

_SLICE_PAIRS = 8192
_HALF, _LOW = np.int64(32), np.int64(0xFFFFFFFF)

Numbers = npt.NDArray[np.int64]


@kept(nogil=True)
def _root(parent: Numbers, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kept(nogil=True)
def _open(firsts: Numbers, seconds: Numbers, parent: Numbers, sizes: Numbers, limit: int) -> npt.NDArray[np.bool_]:
    out = np.empty(firsts.shape[0], np.bool_)
    for i in range(firsts.shape[0]):
        root = _root(parent, firsts[i])
        out[i] = sizes[root] <= limit or root != _root(parent, seconds[i])
    return out


@kept(nogil=True)
def _join(firsts: Numbers, seconds: Numbers, parent: Numbers, sizes: Numbers) -> None:
    for i in range(firsts.shape[0]):
        a, b = _root(parent, firsts[i]), _root(parent, seconds[i])
        if a != b:
            parent[max(a, b)] = min(a, b)
            sizes[min(a, b)] += sizes[max(a, b)]


class JoiningPairs:
    """The candidates of one part, some at a time, and the clusters that those found alike have grown to.

    First comes one pair of each document, with that of its candidates which has the most: so clusters grow as early
    as can be. Then come the others in order. Memory: 8 bytes a pair and 32 a document.
    """

    def __init__(self, pairs: References, limit: int) -> None:
        self._refs, self._limit = sorted_distinct(pairs.ravel()), limit
        firsts, seconds = (np.searchsorted(self._refs, pairs[:, place]) for place in (0, 1))
        packed, leading = firsts << _HALF | seconds, leading_pairs(firsts, seconds, len(self._refs))
        self._packed = np.concatenate((packed[leading], np.delete(packed, leading)))
        self._parent, self._sizes = np.arange(len(self._refs)), np.ones(len(self._refs), np.int64)

    def __iter__(self) -> Iterator[References]:
        """The pairs that are worth a comparison when their turn comes."""
        for start in range(0, len(self._packed), _SLICE_PAIRS):
            packed = self._packed[start : start + _SLICE_PAIRS]
            firsts, seconds = packed >> _HALF, packed & _LOW
            wanted = _open(firsts, seconds, self._parent, self._sizes, self._limit)
            if wanted.any():
                yield np.stack((self._refs[firsts[wanted]], self._refs[seconds[wanted]]), 1)

    def join(self, pairs: References) -> None:
        """Takes note of pairs that are alike."""
        firsts, seconds = (np.searchsorted(self._refs, pairs[:, place]) for place in (0, 1))
        _join(firsts, seconds, self._parent, self._sizes)


def leading_pairs(firsts: Numbers, seconds: Numbers, num_nodes: int) -> Numbers:
    """The places of one pair of each node, with that of its partners which has the most pairs; by that partner, then
    by node. A node that has more pairs than its partners leads theirs instead."""
    degrees = np.bincount(firsts, minlength=num_nodes) + np.bincount(seconds, minlength=num_nodes)
    ranks = np.empty(num_nodes, np.int64)
    ranks[np.argsort(-degrees, kind="stable")] = np.arange(num_nodes)
    swapped = ranks[firsts] > ranks[seconds]
    hubs, others = ranks[np.where(swapped, seconds, firsts)], np.where(swapped, firsts, seconds)
    best = np.full(num_nodes, num_nodes)
    np.minimum.at(best, others, hubs)
    leading = np.flatnonzero(hubs == best[others])
    return leading[np.argsort(hubs[leading] << _HALF | others[leading])]
