# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The loops of counting: the table is that of `tokenizer.pieces`, its third column the count."""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part
from tokenizer.pieces import enter, has_room, is_long, key_of, place_of_long, rebuilt, row_of, with_room
from tokenizer.scanning import classify, end_of_pretoken

_TYPES, _SPELLED, _NUM_LONG, _LONG_BYTES, _LENGTH = range(5)  # the places of `sizes`
NUM_SIZES = 5


@compiled_part
def _hash_bytes(data: Any, start: int, end: int) -> Any:
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
        hashes[number] = _hash_bytes(data, offsets[number], offsets[number + 1])
    return hashes


@compiled_part
def _count_until_full(
    data: Any, kinds: Any, start: int, end: int, rules: int, longest: int, table: Any, spelled: Any, sizes: Any
) -> int:
    """Counts the pre-tokens of `data[start:end]` as far as there is room for new ones; returns how far that was."""
    while start < end:
        stop = end_of_pretoken(data, kinds, start, end, rules)
        if stop - start > longest:
            sizes[_NUM_LONG] += 1
            sizes[_LONG_BYTES] += stop - start
            start = stop
            continue
        first, second = key_of(data, start, stop)
        row = row_of(first, second, data, start, stop, table, spelled)
        if table[row, 1] == np.uint64(0):
            if 2 * sizes[_TYPES] >= len(table) or not has_room(stop - start, sizes[_SPELLED], spelled):
                sizes[_LENGTH] = stop - start
                break
            sizes[_SPELLED] = enter(row, first, second, data, start, stop, table, spelled, sizes[_SPELLED])
            sizes[_TYPES] += 1
        table[row, 2] += np.uint64(1)
        start = stop
    return start


@compiled
def count_pieces(
    data: Any, documents: Any, page_of: Any, pages: Any, rules: int, longest: int, table: Any, spelled: Any, sizes: Any
) -> Any:
    """Counts the pre-tokens of documents into `table`. Returns table and spelled, grown.

    `sizes` has the number of types, of bytes spelled, and of pieces longer than `longest` with their bytes.
    """
    kinds = np.empty(len(data), np.uint16)
    classify(data, page_of, pages, kinds)
    for document in range(len(documents) - 1):
        position, end = documents[document], documents[document + 1]
        while position < end:
            position = _count_until_full(data, kinds, position, end, rules, longest, table, spelled, sizes)
            if position < end:
                if 2 * sizes[_TYPES] >= len(table):
                    table = rebuilt(table)
                spelled = with_room(spelled, sizes[_SPELLED] + sizes[_LENGTH])
    return table, spelled


@compiled
def collected(table: Any, spelled: Any, num_types: int) -> Any:
    """The counted pieces one behind the other, their offsets, their counts."""
    offsets = np.zeros(num_types + 1, np.int64)
    counts = np.empty(num_types, np.int64)
    rows = np.empty(num_types, np.int64)
    number = 0
    for row in range(len(table)):
        if table[row, 1] != np.uint64(0):
            rows[number], counts[number] = row, np.int64(table[row, 2])
            if is_long(table[row, 1]):
                offsets[number + 1] = offsets[number] + place_of_long(table[row, 1])[1]
            else:
                offsets[number + 1] = offsets[number] + np.int64(table[row, 1] >> np.uint64(56))
            number += 1
    data = np.empty(offsets[num_types], np.uint8)
    for number in range(num_types):
        first, second = table[rows[number], 0], table[rows[number], 1]
        at, size = offsets[number], offsets[number + 1] - offsets[number]
        if is_long(second):
            start = place_of_long(second)[0]
            for step in range(size):
                data[at + step] = spelled[start + step]
        else:
            for step in range(size):
                part, place = (first, step) if step < 8 and size >= 8 else (second, step & 7)
                data[at + step] = np.uint8(part >> np.uint64(8 * place) & np.uint64(0xFF))
    return data, offsets, counts
