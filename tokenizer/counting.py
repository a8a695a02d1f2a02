"""Counts pre-tokens of UTF-8 documents, fast where the pattern is a known one, by `regex` otherwise."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tokenizer.characters import Classes, regex_classes
from tokenizer.compiling import read_only
from tokenizer.patterns import Pattern
from tokenizer.pieces import COLUMNS, LONGEST
from tokenizer.scanning import rules_of
from tokenizer.splitting import Splitter
from tokenizer.tallying import NUM_SIZES, collected, count_pieces, hash_bytes_of
from tokenizer.training import WordCounts

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]


class Counts(Protocol):
    """Collects counts."""

    @property
    def num_long(self) -> int:
        """How many pre-tokens were too long to be counted."""

    @property
    def long_bytes(self) -> int:
        """How many bytes those had."""

    def __len__(self) -> int: ...

    def add(self, data: Bytes, documents: Offsets) -> None:
        """Counts documents: number i is the valid UTF-8 text `data[documents[i]:documents[i + 1]]`."""

    def take(self) -> "HashedCounts":
        """What was counted since the last `take`, in no particular order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedCounts:
    """Counts with a hash (FNV-1a, 64 bits) of each pre-token, for spreading them."""

    words: WordCounts
    hashes: npt.NDArray[np.uint64]


class CountingMethod:
    """Makes counters for one pattern; holds what they share. `by_regex` insists on the reference."""

    def __init__(self, pattern: Pattern, *, longest: int, by_regex: bool = False) -> None:
        self._rules = None if by_regex else rules_of(pattern)
        self._classes = regex_classes() if self._rules is not None else None
        self._splitter = Splitter(pattern)
        self._longest = min(longest, LONGEST)

    def counter(self) -> Counts:
        """A new counter."""
        if self._rules is None or self._classes is None:
            return _RegexCounts(self._splitter, self._longest)
        return _ScannedCounts(self._rules, self._classes, self._longest)


class _ScannedCounts:
    """A hash table in arrays, filled by machine code."""

    def __init__(self, rules: int, classes: Classes, longest: int) -> None:
        self._rules, self._classes, self._longest = rules, classes, longest
        self._sizes = np.zeros(NUM_SIZES, np.int64)
        self._clear()

    def _clear(self) -> None:
        self._table, self._spelled = np.zeros((1 << 13, COLUMNS), np.uint64), np.empty(1 << 15, np.uint8)
        self._sizes[:2] = 0

    def __len__(self) -> int:
        return int(self._sizes[0])

    @property
    def num_long(self) -> int:
        return int(self._sizes[2])

    @property
    def long_bytes(self) -> int:
        return int(self._sizes[3])

    def add(self, data: Bytes, documents: Offsets) -> None:
        places = (self._classes.page_of, self._classes.pages, self._rules, self._longest)
        self._table, self._spelled = count_pieces(
            read_only(data), read_only(documents), *places, self._table, self._spelled, self._sizes
        )

    def take(self) -> HashedCounts:
        data, offsets, counts = collected(self._table, self._spelled, len(self))
        self._clear()
        words = WordCounts(data=data, offsets=offsets, counts=counts)
        return HashedCounts(words=words, hashes=hash_bytes_of(read_only(data), read_only(offsets)))


class _RegexCounts:
    """A Python counter, filled by the reference."""

    def __init__(self, splitter: Splitter, longest: int) -> None:
        self._splitter, self._longest = splitter, longest
        self._counts: Counter[bytes] = Counter()
        self._num_long = self._long_bytes = 0

    @property
    def num_long(self) -> int:
        return self._num_long

    @property
    def long_bytes(self) -> int:
        return self._long_bytes

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, data: Bytes, documents: Offsets) -> None:
        ends = documents.tolist()
        texts = (data[start:end].tobytes().decode() for start, end in pairwise(ends))
        for piece, count in self._splitter.count(texts).items():
            if len(piece) <= self._longest:
                self._counts[piece] += count
            else:
                self._num_long += count
                self._long_bytes += count * len(piece)

    def take(self) -> HashedCounts:
        words = WordCounts.of(self._counts)
        self._counts = Counter()
        return HashedCounts(words=words, hashes=hash_bytes_of(read_only(words.data), read_only(words.offsets)))
