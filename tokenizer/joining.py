# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""Byte-pair encoding of one piece by its definition: merges are made, the lowest rank first, the leftmost of equals.

Legend: `pairs` is an open hash table with one number a merge, `left << 42 | right << 21 | rank`;
`made[rank]` is the id that a merge makes.
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part

ID_BITS = 21
MOST_IDS = 1 << ID_BITS
NO_RANK = MOST_IDS  # larger than any rank
_EMPTY = (1 << 63) - 1


@compiled_part
def mixed(number: int) -> Any:
    """The bits of a number stirred, for choosing a row of a table."""
    product = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    return product ^ (product >> np.uint64(32))


@compiled_part
def _row_of_pair(pair: int, pairs: Any) -> Any:
    mask = np.uint64(len(pairs) - 1)
    row = mixed(pair) & mask
    while pairs[row] != _EMPTY and pairs[row] >> ID_BITS != pair:
        row = (row + np.uint64(1)) & mask
    return row


@compiled_part
def rank_of(left: int, right: int, pairs: Any) -> int:
    """The rank of the merge of two ids, or `NO_RANK`."""
    found = pairs[_row_of_pair(np.int64(left) << ID_BITS | np.int64(right), pairs)]
    return found & (MOST_IDS - 1) if found != _EMPTY else NO_RANK


@compiled
def pair_table(merges: Any) -> Any:
    """The table `pairs` of merges given as rows (left, right) in order of rank; of equal ones the last counts."""
    size = 1024
    while size < 2 * len(merges):
        size *= 2
    pairs = np.full(size, _EMPTY, np.int64)
    for rank in range(len(merges)):
        pair = np.int64(merges[rank, 0]) << ID_BITS | np.int64(merges[rank, 1])
        pairs[_row_of_pair(pair, pairs)] = pair << ID_BITS | rank
    return pairs


@compiled_part
def _close_up(ids: Any, length: int) -> int:
    """Moves the ids that are left to the front and returns their number."""
    number = 0
    for place in range(length):
        if ids[place] >= 0:
            ids[number] = ids[place]
            number += 1
    return number


@compiled_part
def _push(queue: Any, size: int, rank: int, place: int) -> int:
    """Adds a merge, if it is one, to the heap `queue[:size]`; returns the size then."""
    if rank == NO_RANK:
        return size
    value, index = rank << 32 | place, size
    while index > 0:
        parent = (index - 1) >> 1
        if queue[parent] < value:
            break
        queue[index] = queue[parent]
        index = parent
    queue[index] = value
    return size + 1


@compiled_part
def _drop_top(queue: Any, size: int) -> int:
    """Removes the least of the heap `queue[:size]`; returns the size then."""
    size -= 1
    value, index = queue[size], 0
    while 2 * index + 1 < size:
        child = 2 * index + 1
        if child + 1 < size and queue[child + 1] < queue[child]:
            child += 1
        if value < queue[child]:
            break
        queue[index] = queue[child]
        index = child
    queue[index] = value
    return size


@compiled_part
def join_merges(
    data: Any, start: int, end: int, id_of_byte: Any, pairs: Any, made: Any, ids: Any, links: Any, queue: Any
) -> int:  # fmt: skip
    """Writes the ids of a piece to the start of `ids` and returns their number, in O(n log n).

    This is what `tokenizers` does, step by step: a merge that was noted and whose place has changed since is
    made if what stands there now gives the same id. `links` has the places before and behind each;
    `queue` has room for two merges a byte.
    """
    length = end - start
    size = 0
    for place in range(length):
        ids[place] = id_of_byte[data[start + place]]
        links[place, 0], links[place, 1] = place - 1, place + 1
    for place in range(length - 1):
        size = _push(queue, size, rank_of(ids[place], ids[place + 1], pairs), place)
    while size > 0:
        place, joined = queue[0] & 0xFFFFFFFF, np.int64(made[queue[0] >> 32])
        size = _drop_top(queue, size)
        gone = np.int64(links[place, 1])
        if ids[place] < 0 or gone >= length:
            continue
        rank = rank_of(ids[place], ids[gone], pairs)
        if rank == NO_RANK or made[rank] != joined:
            continue
        behind, before = np.int64(links[gone, 1]), np.int64(links[place, 0])
        ids[place], ids[gone] = joined, -1
        links[place, 1] = behind
        if behind < length:
            links[behind, 0] = place
            size = _push(queue, size, rank_of(joined, ids[behind], pairs), place)
        if before >= 0:
            size = _push(queue, size, rank_of(ids[before], joined, pairs), before)
    return _close_up(ids, length)
