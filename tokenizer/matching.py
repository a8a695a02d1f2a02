# mypy: disable-error-code="assignment,call-overload,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""Byte-pair encoding from left to right: the ids of a piece without making its merges one by one.

A row of tokens is what the merges give exactly if each two neighbours are, and whether two are can be
told from the merges that made them (`_stay_apart`). So the longest token is taken at each place that can
follow the one before, and where none can, the one before is made shorter (the method of van Antwerpen
and Neubeck, "So many tokens, so little time", GitHub, 2024). Time is linear in the bytes.

Holds where each id is made by one merge only. Tokens that no text gives are left out of the search.

Legend: `parts[id]` is `left << 42 | right << 21 | rank + 1` of the merge that makes an id, 0 for single bytes;
`prefixes[id]` is the longest other token that it starts with, or -1. `known` has bits for all pairs that
have a merge, and few others: most questions end there, near the core. `answers` has what was asked of
neighbours lately, `left << 22 | right << 1 | whether they stay apart` or -1. `branches` is an open hash table of
(node, character, node) in one number each. A node where a token ends has its id; the others have larger
numbers, the root the least of those; `within[node - number of ids]` is the longest token on the way to it. A step is a whole character, so that three bytes of Chinese cost one
look-up; only where a token begins or ends within a character are there steps of one byte.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part
from tokenizer.joining import ID_BITS, MOST_IDS, NO_RANK, join_merges, mixed, rank_of

_ID = MOST_IDS - 1
_KNOWN_BYTES = 1 << 16
_FREE = -1
NUM_ANSWERS = 1 << 14
_BYTES = 0x110000  # the numbers of steps of one byte follow those of characters
_NO_TEXT = -1


@compiled_part
def _step_at(data: Any, start: int, end: int) -> Any:
    """The size and the number of the step at `start`; size `_NO_TEXT` where the bytes are in no text."""
    byte, size = np.int64(data[start]), np.int64(1)
    if byte < 0x80:
        return size, byte
    if byte < 0xC0:
        return size, byte + _BYTES
    size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
    number = byte & (0x7F >> size)
    for place in range(start + 1, min(start + size, end)):
        if data[place] & 0xC0 != 0x80:
            return np.int64(_NO_TEXT), byte
        number = number << 6 | np.int64(data[place]) & 0x3F
    if start + size > end:
        return np.int64(1), byte + _BYTES  # the token ends within this character
    return (size, number) if number < _BYTES else (np.int64(_NO_TEXT), byte)


@compiled_part
def _branch_row(node: int, step: int, branches: Any) -> Any:
    mask = np.uint64(len(branches) - 1)
    key = np.int64(node) << ID_BITS | np.int64(step)
    row = mixed(key) & mask
    while branches[row] != _FREE and branches[row] >> ID_BITS != key:
        row = (row + np.uint64(1)) & mask
    return row


@compiled_part
def _child(node: int, step: int, branches: Any) -> int:
    found = branches[_branch_row(node, step, branches)]
    return found & _ID if found != _FREE else -1


@compiled_part
def _bit_of(left: int, right: int, known: Any) -> Any:
    """The place in `known`, and the bit there, of a pair."""
    stirred = mixed(np.int64(left) << ID_BITS | np.int64(right))
    return (stirred >> np.uint64(8)) & np.uint64(len(known) - 1), np.uint8(1) << np.uint8(stirred & np.uint64(7))


@compiled_part
def _stay_apart(left: int, right: int, pairs: Any, known: Any, parts: Any) -> bool:
    """Whether two tokens, each what the merges give for its own bytes, are that for both together as well.

    They are not if some merge across the border comes before one of those that made them. So they are
    taken apart, the later made first, and what then touches at the border is looked up.
    """
    limit = np.int64(NO_RANK)
    left_parts, right_parts = parts[left], parts[right]
    while True:
        place, bit = _bit_of(left, right, known)
        if known[place] & bit and rank_of(left, right, pairs) < limit:
            return False
        left_rank, right_rank = (left_parts & _ID) - 1, (right_parts & _ID) - 1
        if left_rank > right_rank:
            limit = left_rank
            left = left_parts >> ID_BITS & _ID
            left_parts = parts[left]
        elif right_rank >= 0:
            limit = right_rank + 1  # of equal merges the one on the left comes first
            right = right_parts >> (2 * ID_BITS)
            right_parts = parts[right]
        else:
            return True


@compiled_part
def _can_follow(left: int, right: int, pairs: Any, known: Any, parts: Any, answers: Any) -> bool:
    """As `_stay_apart`, from memory where this was asked lately."""
    question = np.int64(left) << ID_BITS | np.int64(right)
    row = mixed(question) >> np.uint64(8) & np.uint64(len(answers) - 1)
    if answers[row] >> 1 != question:
        answers[row] = question << 1 | np.int64(_stay_apart(left, right, pairs, known, parts))
    return answers[row] & 1 != 0


@compiled_part
def _longest(data: Any, start: int, end: int, branches: Any, within: Any, num_ids: int) -> int:
    """The longest token at `start`."""
    node = np.int64(num_ids)
    while start < end:
        byte, size = np.int64(data[start]), np.int64(1)
        step = byte
        if byte >= 0xC0:  # whole characters: this is text
            size = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if start + size > end:
                break
            step = byte & (0x7F >> size)
            for place in range(start + 1, start + size):
                step = step << 6 | np.int64(data[place]) & 0x3F
        elif byte >= 0x80:
            step = byte + _BYTES
        following = _child(node, step, branches)
        if following < 0:
            if size > 1:
                return _longest_within(data, start, start + size - 1, branches, within, num_ids, node)
            break
        node = following
        start += size
    return node if node < num_ids else np.int64(within[node - num_ids])


@compiled_part
def _longest_within(data: Any, start: int, end: int, branches: Any, within: Any, num_ids: int, node: int) -> int:
    """The longest token on the way to `node`, or from there on if it ends within a character."""
    found = node if node < num_ids else np.int64(within[node - num_ids])
    while start < end:
        node = _child(node, np.int64(data[start]) + _BYTES, branches)
        if node < 0:
            break
        if node < num_ids:
            found = node
        start += 1
    return found


@compiled_part
def match_tokens(data: Any, start: int, end: int, pairs: Any, tree: Any, ids: Any, first: int, dead: Any) -> int:
    """Writes the ids of a piece to `ids[first:]` and returns their number; -1 if there is no way, which merges always find.

    `dead` has room for each place and one more.
    """
    sizes, prefixes, branches, within, known, parts, answers = tree
    length, num_ids = end - start, len(sizes)
    for place in range(length + 1):
        dead[place] = 0
    number, place = 0, 0
    token = _longest(data, start, end, branches, within, num_ids)
    while place < length:
        last = np.int64(ids[first + number - 1]) if number > 0 else np.int64(-1)
        stop = place + np.int64(sizes[token])
        if dead[stop] == 0 and (last < 0 or _can_follow(last, token, pairs, known, parts, answers)):
            ids[first + number] = token
            number += 1
            place = stop
            if place < length:
                token = _longest(data, start + place, end, branches, within, num_ids)
        elif prefixes[token] >= 0:
            token = np.int64(prefixes[token])
        elif number == 0:
            return -1
        else:
            dead[place] = 1  # nothing can follow here: try the one before again, shorter
            number -= 1
            place -= np.int64(sizes[last])
            token = last
    return number


@compiled
def merge_parts(merges: Any, made: Any, num_ids: int) -> Any:
    """The arrays `known` and `parts` of merges given as rows (left, right) in order of rank."""
    size = _KNOWN_BYTES
    while size < len(merges):
        size *= 2
    known, parts = np.zeros(size, np.uint8), np.zeros(num_ids, np.int64)
    for rank in range(len(merges)):
        left, right = np.int64(merges[rank, 0]), np.int64(merges[rank, 1])
        place, bit = _bit_of(left, right, known)
        known[place] |= bit
        parts[made[rank]] = left << (2 * ID_BITS) | right << ID_BITS | np.int64(rank + 1)
    return known, parts


@compiled
def own_tokens(data: Any, offsets: Any, id_of_byte: Any, pairs: Any, made: Any, longest: int) -> Any:
    """Whether merges make one id of each of the tokens that `data` and `offsets` spell."""
    ids, links, queue = np.empty(longest, np.int32), np.empty((longest, 2), np.int32), np.empty(2 * longest, np.int64)
    found = np.zeros(len(offsets) - 1, np.bool_)
    for number in range(len(found)):
        start, end = offsets[number], offsets[number + 1]
        found[number] = join_merges(data, start, end, id_of_byte, pairs, made, ids, links, queue) == 1
    return found


def longest_prefixes(tokens: Sequence[bytes]) -> list[int]:
    """For each token the number of the longest other one that it starts with, or -1."""
    result, open_ones = [-1] * len(tokens), list[int]()
    for number in sorted(range(len(tokens)), key=tokens.__getitem__):
        while open_ones and not tokens[number].startswith(tokens[open_ones[-1]]):
            open_ones.pop()
        if open_ones:
            result[number] = open_ones[-1]
        open_ones.append(number)
    return result


@compiled
def search_tree(data: Any, offsets: Any, tokens: Any, sizes: Any, prefixes: Any) -> Any:
    """The arrays `branches` and `within` of tokens that `data` and `offsets` spell, shorter ones first."""
    num_ids = len(sizes)
    branches = np.full(_room_for(len(data)), _FREE, np.int64)
    within = np.full(len(data) + 1, -1, np.int32)
    num_nodes = num_ids + 1
    for number in range(len(tokens)):
        node, start, end = np.int64(num_ids), offsets[number], offsets[number + 1]
        while start < end:
            size, step = _step_at(data, start, end)
            if size == _NO_TEXT:
                break
            start += size
            row = _branch_row(node, step, branches)
            if branches[row] == _FREE:
                following = np.int64(tokens[number])
                if start < end:
                    following = np.int64(num_nodes)
                    within[num_nodes - num_ids] = _prefix_of(tokens[number], start - offsets[number], sizes, prefixes)
                    num_nodes += 1
                branches[row] = (node << ID_BITS | step) << ID_BITS | following
            node = branches[row] & _ID
    return _packed(branches), within[: num_nodes - num_ids].copy()


@compiled_part
def _prefix_of(token: int, most: int, sizes: Any, prefixes: Any) -> int:
    """The longest token of at most so many bytes that another one starts with, or -1."""
    token = np.int64(prefixes[token])
    while token >= 0 and sizes[token] > most:
        token = np.int64(prefixes[token])
    return token


@compiled_part
def _room_for(number: int) -> int:
    room = 1024
    while room < 2 * number:
        room *= 2
    return room


@compiled
def _packed(branches: Any) -> Any:
    """The same table at the least room, which keeps it nearer to the core."""
    result = np.full(_room_for(np.sum(branches != _FREE)), _FREE, np.int64)
    for branch in branches:
        if branch != _FREE:
            row = _branch_row(branch >> (2 * ID_BITS), branch >> ID_BITS & _ID, result)
            result[row] = branch
    return result
