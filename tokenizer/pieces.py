# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The hash table of pieces of text behind counting and encoding, in arrays, for machine code.

`table` is an open hash table of rows (first, second, and two columns for whoever uses it). A piece of up
to 15 bytes is written into the first two columns, with its size, so that a look-up touches one line of
the cache. For a longer one they are a hash and where the piece stands: `spelled[start:start + size]`.
A row with 0 in the second column is empty.
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part

COLUMNS = 4
LONGEST = (1 << 24) - 1  # bytes of a piece that a row can describe
_MULTIPLIER = 0x9E3779B97F4A7C15
_LONG = 1 << 63


@compiled_part
def eight_bytes(data: Any, start: int) -> Any:
    """Eight bytes as one number; the compiler makes one load of it."""
    value = np.uint64(0)
    for index in range(8):
        value |= np.uint64(data[start + index]) << np.uint64(8 * index)
    return value


@compiled_part
def fewer_bytes(data: Any, start: int, size: int) -> Any:
    """At most seven bytes as one number."""
    if start + 8 <= len(data):
        return eight_bytes(data, start) & ((np.uint64(1) << np.uint64(8 * size)) - np.uint64(1))
    value = np.uint64(0)
    for index in range(size):
        value |= np.uint64(data[start + index]) << np.uint64(8 * index)
    return value


@compiled_part
def _hash_of_long(data: Any, start: int, end: int) -> Any:
    value = np.uint64(end - start) * np.uint64(_MULTIPLIER)
    for position in range(start, end - 8, 8):
        value = (value ^ eight_bytes(data, position)) * np.uint64(_MULTIPLIER)
        value ^= value >> np.uint64(29)
    value = (value ^ eight_bytes(data, end - 8)) * np.uint64(_MULTIPLIER)
    return value ^ (value >> np.uint64(29))


@compiled_part
def key_of(data: Any, start: int, end: int) -> Any:
    """The first two columns of a piece; of a long one the second is only the mark that it is long."""
    size = end - start
    if size < 8:
        return np.uint64(0), fewer_bytes(data, start, size) | np.uint64(size) << np.uint64(56)
    if size < 16:
        return eight_bytes(data, start), fewer_bytes(data, start + 8, size - 8) | np.uint64(size) << np.uint64(56)
    return _hash_of_long(data, start, end), np.uint64(_LONG)


@compiled_part
def is_long(second: Any) -> bool:
    """Whether a row, by its second column, is of a piece that stands in `spelled`."""
    return second & np.uint64(_LONG) != np.uint64(0)


@compiled_part
def place_of_long(second: Any) -> Any:
    """Where in `spelled` the long piece of a row starts, and its size."""
    return np.int64((second & np.uint64(_LONG - 1)) >> np.uint64(24)), np.int64(second & np.uint64(LONGEST))


@compiled_part
def _same(data: Any, start: int, end: int, spelled: Any, second: Any) -> bool:
    """Whether the long piece `data[start:end]` is that of a row."""
    first, size = place_of_long(second)
    if size != end - start:
        return False
    for step in range(0, size - 8, 8):
        if eight_bytes(data, start + step) != eight_bytes(spelled, first + step):
            return False
    return eight_bytes(data, end - 8) == eight_bytes(spelled, first + size - 8)


@compiled_part
def _row_to_begin_with(first: Any, second: Any) -> Any:
    long = np.uint64(_LONG) if is_long(second) else second
    value = (first ^ long * np.uint64(_MULTIPLIER)) * np.uint64(_MULTIPLIER)
    return value ^ (value >> np.uint64(32))


@compiled_part
def row_of(first: Any, second: Any, data: Any, start: int, end: int, table: Any, spelled: Any) -> Any:
    """Where the piece `data[start:end]`, of that key, is in `table`, or the empty row where it would go."""
    mask = np.uint64(len(table) - 1)
    row = _row_to_begin_with(first, second) & mask
    while table[row, 1] != np.uint64(0):
        if table[row, 0] == first and (
            table[row, 1] == second
            or (is_long(second) and is_long(table[row, 1]) and _same(data, start, end, spelled, table[row, 1]))
        ):
            break
        row = (row + np.uint64(1)) & mask
    return row


@compiled_part
def has_room(size: int, num_spelled: int, spelled: Any) -> bool:
    """Whether a new piece of that size can be spelled out."""
    return size < 16 or num_spelled + size <= len(spelled)


@compiled_part
def enter(
    row: Any, first: Any, second: Any, data: Any, start: int, end: int, table: Any, spelled: Any, num_spelled: int
) -> int:
    """Writes a piece into an empty row. Returns the bytes now used in `spelled`."""
    size = end - start
    table[row, 0], table[row, 1] = first, second
    if not is_long(second):
        return num_spelled
    for step in range(size):
        spelled[num_spelled + step] = data[start + step]
    table[row, 1] = second | np.uint64(num_spelled) << np.uint64(24) | np.uint64(size)
    return num_spelled + size


@compiled
def piece_table(data: Any, offsets: Any, values: Any) -> Any:
    """A table of the pieces that `data` and `offsets` spell, with their values in the third column, and `spelled`."""
    size = 1024
    while size < 2 * len(values):
        size *= 2
    table, spelled, num_spelled = np.zeros((size, COLUMNS), np.uint64), np.empty(len(data), np.uint8), 0
    for number in range(len(values)):
        start, end = offsets[number], offsets[number + 1]
        first, second = key_of(data, start, end)
        row = row_of(first, second, data, start, end, table, spelled)
        if table[row, 1] == np.uint64(0):
            num_spelled = enter(row, first, second, data, start, end, table, spelled, num_spelled)
        table[row, 2] = values[number]
    return table, spelled


@compiled
def with_room(array: Any, size: int) -> Any:
    """`array`, made longer if it has no room for `size` items."""
    if size <= len(array):
        return array
    bigger = np.empty(max(size, 2 * len(array)), array.dtype)
    bigger[: len(array)] = array
    return bigger


@compiled
def rebuilt(table: Any) -> Any:
    """`table` with four times the rows."""
    bigger = np.zeros((4 * len(table), COLUMNS), np.uint64)
    mask = np.uint64(len(bigger) - 1)
    for old in range(len(table)):
        if table[old, 1] != np.uint64(0):
            row = _row_to_begin_with(table[old, 0], table[old, 1]) & mask
            while bigger[row, 1] != np.uint64(0):
                row = (row + np.uint64(1)) & mask
            for column in range(COLUMNS):
                bigger[row, column] = table[old, column]
    return bigger
