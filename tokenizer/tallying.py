# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The hash table behind counting and encoding, in arrays, for machine code.

`table` is an open hash table of rows (key, value, start << 24 | size, more). The key of a piece of at most seven
bytes is the piece itself with its size, so that a look-up touches one line of the cache; of a longer
one it is a hash, and the piece is compared with `spelled[start:start + size]`. Key 0 is an empty row.
Encoding puts more into a row (see `tokenizer.applying`).
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part
from tokenizer.scanning import classify, end_of_pretoken

_MULTIPLIER = 0x9E3779B97F4A7C15
_LONG = 1 << 63


@compiled_part
def hash_bytes(data: Any, start: int, end: int) -> Any:
    """FNV-1a, 64 bits."""
    value = np.uint64(0xCBF29CE484222325)
    for index in range(start, end):
        value = (value ^ np.uint64(data[index])) * np.uint64(0x100000001B3)
    return value


@compiled
def hash_bytes_of(data: Any, offsets: Any) -> Any:
    """The FNV-1a hash of each of the pieces of `data` that `offsets` cut."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for number in range(len(hashes)):
        hashes[number] = hash_bytes(data, offsets[number], offsets[number + 1])
    return hashes


@compiled_part
def _eight(data: Any, start: int) -> Any:
    """Eight bytes as one number; the compiler makes one load of it."""
    value = np.uint64(0)
    for index in range(8):
        value |= np.uint64(data[start + index]) << np.uint64(8 * index)
    return value


@compiled_part
def key_of(data: Any, start: int, end: int) -> Any:
    """The key of a piece; never 0."""
    size = end - start
    if size < 8:
        key = np.uint64(size)
        for index in range(start, end):
            key = key << np.uint64(8) | np.uint64(data[index])
        return key
    key = np.uint64(size) * np.uint64(_MULTIPLIER)
    position = start
    while position + 8 < end:
        key = (key ^ _eight(data, position)) * np.uint64(_MULTIPLIER)
        key ^= key >> np.uint64(29)
        position += 8
    key = (key ^ _eight(data, end - 8)) * np.uint64(_MULTIPLIER)
    return key ^ (key >> np.uint64(29)) | np.uint64(_LONG)


@compiled_part
def mixed(key: Any) -> Any:
    """`key` with its bits stirred, so that any of them can choose a row."""
    product = key * np.uint64(_MULTIPLIER)
    return product ^ (product >> np.uint64(32))


@compiled_part
def _same(data: Any, start: int, end: int, spelled: Any, first: int) -> bool:
    """Whether `data[start:end]`, of eight bytes or more, is what stands in `spelled` from `first` on."""
    position = start
    while position + 8 < end:
        if _eight(data, position) != _eight(spelled, first + position - start):
            return False
        position += 8
    return bool(_eight(data, end - 8) == _eight(spelled, first + end - 8 - start))


@compiled_part
def row_of(key: Any, data: Any, start: int, end: int, table: Any, spelled: Any) -> int:
    """Where a piece is in `table`, or the empty row where it would go."""
    mask = len(table) - 1
    row = np.int64(mixed(key) & np.uint64(mask))
    while table[row, 0] != 0:
        if table[row, 0] == key:
            if not key & np.uint64(_LONG):
                return row
            first = np.int64(table[row, 2] >> np.uint64(24))
            if np.int64(table[row, 2] & np.uint64(0xFFFFFF)) == end - start and _same(data, start, end, spelled, first):
                return row
        row = (row + 1) & mask
    return row


@compiled
def doubled(array: Any) -> Any:
    """`array` with twice the room."""
    bigger = np.empty(2 * len(array), array.dtype)
    bigger[: len(array)] = array
    return bigger


@compiled
def rebuilt(table: Any) -> Any:
    """`table` with four times the rows."""
    bigger = np.zeros((4 * len(table), 4), np.uint64)
    mask = len(bigger) - 1
    for old in range(len(table)):
        key = table[old, 0]
        if key != 0:
            row = np.int64(mixed(key) & np.uint64(mask))
            while bigger[row, 0] != 0:
                row = (row + 1) & mask
            for column in range(4):
                bigger[row, column] = table[old, column]
    return bigger


@compiled
def count_pieces(
    data: Any,
    documents: Any,
    page_of: Any,
    pages: Any,
    rules: int,
    longest: int,
    table: Any,
    spelled: Any,
    num_types: int,
    num_spelled: int,
) -> Any:
    """Counts the pre-tokens of documents into `table`, whose values are counts.

    Returns table and spelled (grown), types, bytes spelled, and how many pieces were too long, in pieces and bytes.
    """
    num_long, long_bytes = 0, 0
    kinds = np.empty(len(data), np.uint16)
    classify(data, page_of, pages, kinds)
    for document in range(len(documents) - 1):
        start, end = documents[document], documents[document + 1]
        while start < end:
            stop = end_of_pretoken(data, kinds, start, end, rules)
            if stop - start > longest:
                num_long += 1
                long_bytes += stop - start
                start = stop
                continue
            key = key_of(data, start, stop)
            row = row_of(key, data, start, stop, table, spelled)
            table[row, 1] += np.uint64(1)
            if table[row, 0] == 0:
                size = stop - start
                while num_spelled + size > len(spelled):
                    spelled = doubled(spelled)
                for step in range(size):
                    spelled[num_spelled + step] = data[start + step]
                table[row, 0], table[row, 2] = key, np.uint64(num_spelled << 24 | size)
                num_spelled += size
                num_types += 1
                if 2 * num_types > len(table):
                    table = rebuilt(table)
            start = stop
    return table, spelled, num_types, num_spelled, num_long, long_bytes


@compiled
def collected(table: Any, spelled: Any, num_types: int, num_spelled: int) -> Any:
    """The counted pieces one behind the other, their offsets, their counts."""
    data = np.empty(num_spelled, np.uint8)
    offsets = np.zeros(num_types + 1, np.int64)
    counts = np.empty(num_types, np.int64)
    number = 0
    for row in range(len(table)):
        if table[row, 0] != 0:
            where, at = np.int64(table[row, 2]), offsets[number]
            first, size = where >> 24, where & 0xFFFFFF
            for step in range(size):
                data[at + step] = spelled[first + step]
            offsets[number + 1] = at + size
            counts[number] = np.int64(table[row, 1])
            number += 1
    return data, offsets, counts
