"""Which row is sample k, for any k, in closed form: a mixture of sources, epochs, and a shuffle without index arrays.

    sample k  --mixture-->  (source, j)  --divmod by the rows of the source-->  (epoch, i)  --permutation-->  row

Nothing here depends on ranks, batch sizes or what was asked before, so every resume is exact.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import SettingError

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_ROUNDS = 6
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # SplitMix64's finaliser
_SAFE_TOTAL = 1 << 31  # below this, products of two weights fit in 64 bits


def permute(index: Ints, size: int, key: int) -> Ints:
    """A pseudo-random permutation of 0 to below `size`, evaluated at each `index`; another one for each 64-bit `key`.

    A Feistel network on pairs: an index is a pair (left, right) of digits in the mixed base
    (ceil(sqrt(size)), …), and each round adds a hash of one digit to the other, which can be
    undone, so the whole is a bijection. The few results at or above `size` go round again.
    """
    if size < 1:
        raise ValueError(f"size is {size}; allowed is 1 or more")
    base_left = math.isqrt(size - 1) + 1
    base_right = -(-size // base_left)
    keys = _round_keys(key)
    result = _rounds(index.astype(np.uint64), base_left, base_right, keys)
    while (outside := result >= np.uint64(size)).any():
        result[outside] = _rounds(result[outside], base_left, base_right, keys)
    return result.astype(np.int64)


def _rounds(index: Words, base_left: int, base_right: int, keys: Words) -> Words:
    mod_left, mod_right = np.uint64(base_left), np.uint64(base_right)
    left, right = index // mod_right, index % mod_right
    for number in range(0, _ROUNDS, 2):
        left = (left + _hash(right ^ keys[number]) % mod_left) % mod_left
        right = (right + _hash(left ^ keys[number + 1]) % mod_right) % mod_right
    return left * mod_right + right


def _hash(word: Words) -> Words:
    word = (word ^ (word >> np.uint64(30))) * _MIX_1
    word = (word ^ (word >> np.uint64(27))) * _MIX_2
    return word ^ (word >> np.uint64(31))


def _round_keys(key: int) -> Words:
    return np.frombuffer(hashlib.blake2b(key.to_bytes(8, "little"), digest_size=8 * _ROUNDS).digest(), dtype="<u8")


def key_of(*parts: int | str) -> int:
    """A 64-bit key for `permute`, from numbers and names."""
    text = "\0".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def groups_of(values: Ints) -> Iterator[tuple[int, Any]]:
    """Each value among `values`, and an index of where it is."""
    if len(values) and (values == values[0]).all():
        yield int(values[0]), slice(None)
        return
    for value in np.unique(values).tolist():
        yield value, values == value


class Mixture:
    """Assigns samples to sources so that every prefix has each source in proportion to its integer weight.

    Sources are the leaves of a balanced binary tree; of the first k samples that reach a node, the
    left half gets exactly floor(k * its weight / the weight of the node). So among the first k samples
    the count of a source is within one sample a level of the tree of k * weight / total, and exact
    whenever k is a multiple of the total.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        common = math.gcd(*weights)
        self.weights = tuple(weight // common for weight in weights)
        self._sums = [0]
        for weight in self.weights:
            self._sums.append(self._sums[-1] + weight)
        self.total = self._sums[-1]
        self._type: Any = np.int64 if self.total < _SAFE_TOTAL else object

    def assign(self, samples: Ints) -> tuple[Ints, Ints]:
        """For each sample number its source, and how many samples of that source came before it."""
        source, rank = np.empty_like(samples), np.empty_like(samples)
        self._descend(samples.astype(self._type), np.arange(len(samples)), 0, len(self.weights), source, rank)
        return source, rank

    def counts(self, num_samples: int) -> list[int]:
        """How many of the first `num_samples` samples each source has."""
        return self._count(num_samples, 0, len(self.weights))

    def _descend(self, k: Any, where: Ints, low: int, high: int, source: Ints, rank: Ints) -> None:
        if not len(where):
            return
        if high - low == 1:
            source[where], rank[where] = low, k.astype(np.int64)
            return
        middle = (low + high) // 2
        before = self._share(k, low, middle, high)
        left = np.asarray(self._share(k + 1, low, middle, high) > before, dtype=bool)
        self._descend(before[left], where[left], low, middle, source, rank)
        self._descend((k - before)[~left], where[~left], middle, high, source, rank)

    def _count(self, k: int, low: int, high: int) -> list[int]:
        if high - low == 1:
            return [k]
        middle = (low + high) // 2
        left = int(self._share(k, low, middle, high))
        return self._count(left, low, middle) + self._count(k - left, middle, high)

    def _share(self, k: Any, low: int, middle: int, high: int) -> Any:
        """floor(k * left / whole) without large products. A branch of weight 0 gets nothing."""
        left, whole = self._sums[middle] - self._sums[low], self._sums[high] - self._sums[low]
        if whole == 0:
            return k * 0
        return k // whole * left + k % whole * left // whole


def integer_weights(weights: Mapping[str, float], sources: Sequence[str]) -> tuple[int, ...]:
    """`weights` as whole numbers in exactly their proportions as written in decimals, in order of `sources`.

    Raises:
        SettingError: a weight is negative or names no source, or all are 0.
    """
    unknown = sorted(set(weights) - set(sources))
    if unknown:
        raise SettingError(f"weights name the source {unknown[0]!r}; the shards have {', '.join(map(repr, sources))}")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise SettingError(f"the weight of source {name!r} is {weight}; allowed is 0 or more")
    exact = [Fraction(str(weights.get(source, 0))) for source in sources]
    if not any(exact):
        raise SettingError("all weights are 0; at least one source needs a weight above 0")
    common = math.lcm(*(weight.denominator for weight in exact))
    return tuple(int(weight * common) for weight in exact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """From sample `start` on, sources are mixed by `weights`; `drawn` samples of each came before."""

    start: int
    weights: tuple[int, ...]
    drawn: tuple[int, ...]


class SampleOrder:
    """The row of every sample, given the number of rows of each source.

    Without weights, sources are mixed by their numbers of rows, so each row comes exactly once in
    every `num_rows` samples. `window_rows` bounds how far apart rows that are read together lie: whole
    blocks of 256 rows are shuffled, then rows within windows of that many; None shuffles globally.
    """

    block_rows = 256

    def __init__(
        self, rows: Mapping[str, int], *, seed: int = 0, shuffle: bool = True,
        weights: Mapping[str, float] | None = None, window_rows: int | None = None,
    ) -> None:  # fmt: skip
        if window_rows is not None and (window_rows < self.block_rows or window_rows % self.block_rows):
            raise SettingError(
                f"window_rows is {window_rows}; allowed is a multiple of {self.block_rows}, or none to shuffle globally"
            )
        self.sources = tuple(sorted(rows))
        self.rows = tuple(rows[source] for source in self.sources)
        self.num_rows = sum(self.rows)
        self._seed, self._shuffle, self._window_rows = seed, shuffle, window_rows
        start = Phase(start=0, weights=self._weights(weights), drawn=(0,) * len(self.sources))
        self.schedule: tuple[Phase, ...] = (start,)
        self._mixture = Mixture(start.weights)

    def reweigh(self, sample: int, weights: Mapping[str, float] | None) -> None:
        """Mixes by other weights from `sample` on; every source goes on where it is then."""
        earlier = tuple(phase for phase in self.schedule if phase.start < sample)
        drawn = (0,) * len(self.sources)
        if earlier:
            last = earlier[-1]
            counts = Mixture(last.weights).counts(sample - last.start)
            drawn = tuple(before + count for before, count in zip(last.drawn, counts, strict=True))
        self.restore((*earlier, Phase(start=sample, weights=self._weights(weights), drawn=drawn)))

    def restore(self, schedule: Sequence[Phase]) -> None:
        """Takes over the schedule of another order of the same rows."""
        self.schedule = tuple(schedule)
        self._mixture = Mixture(self.schedule[-1].weights)

    def at(self, samples: Ints) -> tuple[Ints, Ints]:
        """The source (its number) and the row of each sample number."""
        phase = self.schedule[-1]
        if len(samples) and samples.min() < phase.start:
            return self._at_earlier(samples)
        source, rank = self._mixture.assign(samples - phase.start)
        row = np.empty_like(source)
        for number, chosen in groups_of(source):
            row[chosen] = self._rows_of(number, rank[chosen] + phase.drawn[number])
        return source, row

    def _at_earlier(self, samples: Ints) -> tuple[Ints, Ints]:
        """As `at`, for samples from before the last change of weights."""
        source, row = np.empty_like(samples), np.empty_like(samples)
        ends = [phase.start for phase in self.schedule[1:]] + [np.iinfo(np.int64).max]
        for number, (phase, end) in enumerate(zip(self.schedule, ends, strict=True)):
            chosen = (samples >= phase.start) & (samples < end)
            part = self._copy()
            part.restore(self.schedule[: number + 1])
            source[chosen], row[chosen] = part.at(samples[chosen])
        return source, row

    def _copy(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _rows_of(self, source: int, rank: Ints) -> Ints:
        size = self.rows[source]
        epoch, index = np.divmod(rank, size)
        if not self._shuffle:
            return index
        row = np.empty_like(index)
        for number, chosen in groups_of(epoch):
            row[chosen] = self._permuted(index[chosen], size, (self._seed, self.sources[source], number))
        return row

    def _permuted(self, index: Ints, size: int, name: tuple[int | str, ...]) -> Ints:
        window = self._window_rows
        if window is None or window >= size:
            return permute(index, size, key_of("rows", *name))
        result = np.empty_like(index)
        for number, chosen in groups_of(index // window):
            width = min(window, size - number * window)
            result[chosen] = (
                permute(index[chosen] - number * window, width, key_of("window", *name, number)) + number * window
            )
        return self._block_permuted(result, size, key_of("blocks", *name))

    def _block_permuted(self, index: Ints, size: int, key: int) -> Ints:
        """Permutes the whole blocks; the rows behind the last whole block stay."""
        num_blocks = size // self.block_rows
        block, place = np.divmod(index, self.block_rows)
        whole = block < num_blocks
        block[whole] = permute(block[whole], num_blocks, key)
        return block * self.block_rows + place

    def _weights(self, weights: Mapping[str, float] | None) -> tuple[int, ...]:
        return self.rows if weights is None else integer_weights(weights, self.sources)
