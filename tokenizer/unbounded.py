"""Learns merges in Python's integers: for tables so large that 64 bits do not hold the sums over them.

The merges are those of `tokenizer.merging`, in the same order. Each pair is listed with the words that it was
found in; a heap holds (count, pair), and an entry whose count is out of date is put back with the present one
when it comes to the top. Merging a pair costs the words that it stands in.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

from tokenizer.alphabet import BYTE_TOKENS

Pair = tuple[int, int]


class Merge(NamedTuple):
    """A pair of ids that was merged, the id that this made, and how often the pair occurred then."""

    pair: Pair
    made: int
    frequency: int


class UnboundedLearner:
    """Learns from `words` that occur `counts` times. The ids of bytes start at `first_id`. It learns once."""

    def __init__(self, words: Sequence[bytes], counts: Sequence[int], *, first_id: int, max_token_bytes: int) -> None:
        id_of_byte = {token[0]: first_id + index for index, token in enumerate(BYTE_TOKENS)}
        self._words = [[id_of_byte[byte] for byte in word] for word in words]
        self._counts = counts
        self._first_id = first_id
        self._max_token_bytes = max_token_bytes
        self._tokens = list(BYTE_TOKENS)
        self._num_of: Counter[Pair] = Counter()
        self._found: list[list[int]] = []
        self._heap: list[tuple[int, Pair, int]] = []  # (minus the count, pair, place of its words in `_found`)
        self._push_first_pairs()

    def learn(self, vocab_size: int, *, min_frequency: int, forbidden: Collection[bytes]) -> list[Merge]:
        """The merges until the ids reach `vocab_size` or no pair is left. Tokens spelled as in `forbidden` are not made."""
        id_of = {token: self._first_id + index for index, token in enumerate(self._tokens)}
        merges: list[Merge] = []
        while self._first_id + len(self._tokens) < vocab_size and self._heap:
            negative, pair, found = heapq.heappop(self._heap)
            count = self._num_of[pair]
            if count != -negative:
                heapq.heappush(self._heap, (-count, pair, found))
                continue
            if count < min_frequency:
                break
            spelling = self._spelled(pair[0]) + self._spelled(pair[1])
            if spelling in forbidden:
                continue
            if spelling not in id_of:
                id_of[spelling] = self._first_id + len(self._tokens)
                self._tokens.append(spelling)
            self._merge(pair, id_of[spelling], self._found[found])
            self._found[found] = []
            merges.append(Merge(pair, id_of[spelling], count))
        return merges

    def _push_first_pairs(self) -> None:
        found: dict[Pair, dict[int, None]] = {}
        for number, (ids, count) in enumerate(zip(self._words, self._counts, strict=True)):
            for pair in pairwise(ids):
                self._num_of[pair] += count
                found.setdefault(pair, {})[number] = None
        self._push(found)

    def _merge(self, pair: Pair, made: int, words: list[int]) -> None:
        found: dict[Pair, dict[int, None]] = {}
        for number in words:
            self._words[number], changes = _merged(self._words[number], pair, made)
            for near, change in changes:
                if change < 0:
                    self._num_of[near] -= self._counts[number]
                elif len(self._spelled(near[0])) + len(self._spelled(near[1])) < self._max_token_bytes:
                    self._num_of[near] += self._counts[number]
                    found.setdefault(near, {})[number] = None
        self._push(found)

    def _push(self, found: dict[Pair, dict[int, None]]) -> None:
        for pair, words in found.items():
            if self._num_of[pair] > 0:
                heapq.heappush(self._heap, (-self._num_of[pair], pair, len(self._found)))
                self._found.append(list(words))

    def _spelled(self, token_id: int) -> bytes:
        return self._tokens[token_id - self._first_id]


def _merged(ids: list[int], pair: Pair, made: int) -> tuple[list[int], list[tuple[Pair, int]]]:
    """`ids` with `pair` merged, from the left, and the pairs that went (-1) and came (1) by that."""
    left, right = pair
    result: list[int] = []
    changes: list[tuple[Pair, int]] = []
    index, last = 0, len(ids) - 1
    while index <= last:
        if index < last and ids[index] == left and ids[index + 1] == right:
            if result:
                changes += (((result[-1], left), -1), ((result[-1], made), 1))
            if index + 2 <= last:
                changes += (((right, ids[index + 2]), -1), ((made, ids[index + 2]), 1))
            result.append(made)
            index += 2
        else:
            result.append(ids[index])
            index += 1
    return result, changes
