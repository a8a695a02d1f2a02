"""Repetition inside one document: equal lines, the commonest n-gram, n-grams that come again.

A gram that comes again has a shorter one that does, so each length looks only where the one before found
something; the work for lengths 5 to 10 together is small in ordinary text.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.filter.dialects import Reading

Ids = npt.NDArray[np.int64]


def duplicate_shares(pieces: Sequence[str], num_chars: int, count_first: bool) -> tuple[float, float]:
    """The share of `pieces` that equal another, and of `num_chars` that they hold.

    With `count_first` every copy counts, else all but the first.
    """
    if not pieces or not num_chars:
        return math.nan, math.nan
    distinct = set(pieces)
    if len(distinct) == len(pieces):
        return 0.0, 0.0
    if count_first:
        seen: dict[str, int] = {}
        for piece in pieces:
            seen[piece] = seen.get(piece, 0) + 1
        copies = [(count, len(piece)) for piece, count in seen.items() if count > 1]
        return sum(count for count, _ in copies) / len(pieces), sum(count * size for count, size in copies) / num_chars
    return (len(pieces) - len(distinct)) / len(pieces), (sum(map(len, pieces)) - sum(map(len, distinct))) / num_chars


def ngram_shares(ids: Ids, lengths: Ids, num_chars: int, reading: Reading) -> dict[str, float]:
    """`top_n_gram_share` for n = 2, 3, 4 and `dup_n_gram_share` for n = 5 … 10, as shares of `num_chars`."""
    shares: dict[str, float] = {}
    if not num_chars:
        return {f"top_{n}_gram_share": math.nan for n in (2, 3, 4)} | {
            f"dup_{n}_gram_share": math.nan for n in range(5, 11)
        }
    before = np.concatenate(([0], np.cumsum(lengths)))
    grams = _Grams(ids)
    for n in range(2, 11):
        grams.extend()
        if n < 5:
            shares[f"top_{n}_gram_share"] = _top(grams, before, reading) / num_chars
        else:
            shares[f"dup_{n}_gram_share"] = _repeated(grams, before, num_chars, reading)
    return shares


class _Grams:
    """The n-grams of a text that occur more than once, for growing n.

    `positions` are where they start, ascending, and `names` says which gram it is (0 … number - 1).
    """

    def __init__(self, ids: Ids) -> None:
        self.n = 1
        self.num_words = len(ids)
        self.positions: Ids = np.arange(len(ids))
        self.names = ids
        self._ids = ids
        self._base = int(ids.max(initial=0)) + 1

    def extend(self) -> None:
        """Goes from n to n + 1."""
        self.n += 1
        start = self.positions
        if self.n > 2 and len(start):
            follows = np.zeros(len(start), np.bool_)
            follows[:-1] = start[1:] == start[:-1] + 1
        else:
            follows = start + self.n <= self.num_words
        start, names = start[follows], self.names[follows]
        if not len(start):
            self.positions, self.names = start, names
            return
        self._keep_repeated(start, names * self._base + self._ids[start + self.n - 1])

    def _keep_repeated(self, start: Ids, keys: Ids) -> None:
        order = keys.argsort(kind="stable")
        ordered = keys[order]
        differs = np.empty(len(keys), np.bool_)
        differs[0] = True
        np.not_equal(ordered[1:], ordered[:-1], out=differs[1:])
        again = ~differs
        repeated = again.copy()
        repeated[:-1] |= again[1:]
        names = np.cumsum(differs)[repeated] - 1
        places = order[repeated]
        back = places.argsort()
        self.positions, self.names = start[places[back]], names[back]


def _repeated(grams: _Grams, before: Ids, num_chars: int, reading: Reading) -> float:
    """The share of the characters that repeated n-grams hold, as `reading` counts them."""
    if not len(grams.positions):
        return 0.0
    if reading.repeated_grams == "copies":
        return _copies(grams, before) / num_chars
    if reading.repeated_grams == "covered":
        return _covered(grams, before) / num_chars
    of_all = int((before[grams.n :] - before[: -grams.n]).sum())
    return int((before[grams.positions + grams.n] - before[grams.positions]).sum()) / max(1, of_all)


def _top(grams: _Grams, before: Ids, reading: Reading) -> int:
    """Characters in all copies of the commonest gram: of several the first, or the longest."""
    n = grams.n
    if grams.num_words < n:
        return 0
    spaces = n - 1 if reading.gram_spaces else 0
    if not len(grams.positions):
        return 0 if reading.top_ngram_needs_repeat else int(before[n] - before[0]) + spaces
    counts = np.bincount(grams.names)
    most = counts.max()
    commonest = grams.positions[counts[grams.names] == most]
    if reading.top_ties == "longest":
        return int(most) * (int((before[commonest + n] - before[commonest]).max()) + spaces)
    place = int(commonest[0])
    return int(most) * (int(before[place + n] - before[place]) + spaces)


def _copies(grams: _Grams, before: Ids) -> int:
    """Characters in the copies of a gram after its first, from left to right without overlap."""
    total = free = 0
    if not len(grams.positions):
        return 0
    seen: set[int] = set()
    sizes = (before[grams.positions + grams.n] - before[grams.positions]).tolist()
    for place, name, size in zip(grams.positions.tolist(), grams.names.tolist(), sizes, strict=True):
        if place < free:
            continue
        if name in seen:
            total += size
            free = place + grams.n
        else:
            seen.add(name)
    return total


def _covered(grams: _Grams, before: Ids) -> int:
    """Characters of the words that lie in some repeated gram, each word once."""
    if not len(grams.positions):
        return 0
    marks = np.zeros(grams.num_words + 1, np.int64)
    np.add.at(marks, grams.positions, 1)
    np.add.at(marks, np.minimum(grams.positions + grams.n, grams.num_words), -1)
    inside = np.cumsum(marks)[:-1] > 0
    return int(np.diff(before)[inside].sum())
