# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The loop of encoding: text is cut into pieces, and pieces become ids; those of common pieces are remembered.

`recent` is a table of `RECENT` rows of four numbers: a piece of at most `_LONGEST_KEPT` bytes with its size,
and its ids, 21 bits each, at most three. A piece has a place in two neighbouring rows, which are one line of
the cache of a core; a new one takes the first, what was there the second. So the table never grows and never
has to start over. A longer piece seldom comes again, and is encoded anew.
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part
from tokenizer.joining import ID_BITS, MOST_IDS, join_merges
from tokenizer.matching import match_tokens
from tokenizer.pieces import eight_bytes, fewer_bytes, key_of, row_of
from tokenizer.scanning import classify, end_of_pretoken

RECENT = 1 << 18
SPARE = 3  # behind the ids: three are written at once
_LONGEST_KEPT = 23  # bytes of a piece
_ROOM = 256  # bytes of a piece, to begin with
_WINDOW = 1 << 15  # bytes whose characters are classified at a time, to begin with
_AHEAD = 8  # bytes behind a piece that may decide where it ends
_NONE = MOST_IDS - 1  # no id
_FIRST_STIR, _SECOND_STIR = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


@compiled_part
def _key(data: Any, start: int, size: int) -> Any:
    """A piece and its size in three numbers."""
    if size < 8:
        return np.uint64(0), np.uint64(0), fewer_bytes(data, start, size) | np.uint64(size) << np.uint64(56)
    first = eight_bytes(data, start)
    if size < 16:
        return first, np.uint64(0), fewer_bytes(data, start + 8, size - 8) | np.uint64(size) << np.uint64(56)
    second = eight_bytes(data, start + 8)
    return first, second, fewer_bytes(data, start + 16, size - 16) | np.uint64(size) << np.uint64(56)


@compiled_part
def _first_row(first: Any, second: Any, third: Any, recent: Any) -> Any:
    value = (first * np.uint64(_FIRST_STIR) ^ second) * np.uint64(_SECOND_STIR) ^ third
    value *= np.uint64(_FIRST_STIR)
    return (value ^ value >> np.uint64(32)) & np.uint64(len(recent) - 2)


@compiled_part
def _remember(row: Any, first: Any, second: Any, third: Any, result: Any, at: int, number: int, recent: Any) -> None:
    for column in range(4):
        recent[row + np.uint64(1), column] = recent[row, column]
    packed = np.uint64(0)
    for step in range(3):
        token = np.uint64(result[at + step]) if step < number else np.uint64(_NONE)
        packed |= token << np.uint64(ID_BITS * step)
    recent[row, 0], recent[row, 1], recent[row, 2], recent[row, 3] = first, second, third, packed


@compiled_part
def _encode_piece(
    data: Any, start: int, end: int, model: Any, ids: Any, links: Any, queue: Any, result: Any, at: int
) -> int:
    """Writes the ids of one piece to `result[at:]` and returns their number."""
    id_of_byte, pairs, made, tree, whole = model
    if len(whole[0]) > 0:
        first, second = key_of(data, start, end)
        row = row_of(first, second, data, start, end, whole[0], whole[1])
        if whole[0][row, 1] != np.uint64(0):
            result[at] = whole[0][row, 2]
            return 1
    number = match_tokens(data, start, end, pairs, tree, result, at, queue) if len(tree[0]) > 0 else -1
    if number < 0:
        number = join_merges(data, start, end, id_of_byte, pairs, made, ids, links, queue)
        for step in range(number):
            result[at + step] = ids[step]
    return number


@compiled_part
def _encode_part(
    data: Any, kinds: Any, is_last: bool, rules: int, model: Any, recent: Any,
    ids: Any, links: Any, queue: Any, result: Any, at: int,
) -> Any:  # fmt: skip
    """Encodes `data` as far as its cuts are certain and its pieces not longer than `ids`; returns how far that was, and the end of the ids."""
    start, end = np.int64(0), np.int64(len(data))
    while start < end:
        stop = end_of_pretoken(data, kinds, start, end, rules) if rules >= 0 else end
        size = stop - start
        if not is_last and stop + _AHEAD > end:
            break
        if size > _LONGEST_KEPT:
            if size > len(ids):
                break
            at += _encode_piece(data, start, stop, model, ids, links, queue, result, at)
            start = stop
            continue
        first, second, third = _key(data, start, size)
        row = _first_row(first, second, third, recent)
        if recent[row, 2] != third or recent[row, 0] != first or recent[row, 1] != second:
            row += np.uint64(1)
        if recent[row, 2] == third and recent[row, 0] == first and recent[row, 1] == second:
            packed = recent[row, 3]
            result[at] = packed & np.uint64(_NONE)
            result[at + 1] = packed >> np.uint64(ID_BITS) & np.uint64(_NONE)
            result[at + 2] = packed >> np.uint64(2 * ID_BITS)
            at += 1 + (result[at + 1] != _NONE) + (result[at + 2] != _NONE)
        else:
            number = _encode_piece(data, start, stop, model, ids, links, queue, result, at)
            if number <= 3:
                _remember(row - np.uint64(1), first, second, third, result, at, number, recent)
            at += number
        start = stop
    return start, at


@compiled
def encode_documents(
    data: Any, documents: Any, page_of: Any, pages: Any, rules: int, model: Any, recent: Any, result: Any
) -> Any:
    """Writes the ids of all documents into `result`, one behind the other, and returns where those of each end.

    With `rules` -1 each document is one piece. `model` is (ids of bytes, pairs, made, tree, whole): the tree is that of
    `tokenizer.matching`, or empty arrays where only merges will do; `whole` is a table of pieces that are
    not to be merged, or empty. `result` has room for each byte and `SPARE` more.
    """
    ends = np.empty(len(documents) - 1, np.int64)
    window, room = _WINDOW, _ROOM
    kinds = np.empty(window, np.uint16)
    ids, links, queue = np.empty(room, np.int32), np.empty((room, 2), np.int32), np.empty(2 * room, np.int64)
    at = 0
    for document in range(len(documents) - 1):
        position, end = documents[document], documents[document + 1]
        while position < end:
            stop = min(position + window, end) if rules >= 0 else end
            while stop < end and data[stop] & 0xC0 == 0x80:
                stop -= 1
            if rules >= 0:
                classify(data[position:stop], page_of, pages, kinds)
            done, at = _encode_part(
                data[position:stop], kinds, stop == end, rules, model, recent, ids, links, queue, result, at
            )
            position += done
            if done == 0:  # one piece is longer than either
                room *= 4
                window = max(window, 4 * room)
                kinds = np.empty(window, np.uint16)
                ids, links, queue = (
                    np.empty(room, np.int32),
                    np.empty((room, 2), np.int32),
                    np.empty(2 * room, np.int64),
                )
        ends[document] = at
    return ends
