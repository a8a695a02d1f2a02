# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The inner loops of `tokenizer.training`: pairs in a heap, each with the places where it stands.

All different pre-tokens lie one behind the other in one array with a gap between them. A token fills as
many cells as it has bytes; its id is in its first cell and in its last, so the neighbours of a token are
found without links. The heap holds entries (count, pair, places); one whose count is out of date is put
back with the present one when it comes to the top. Merging a pair costs the number of its places, and
a look-up for each different neighbour. The order of merges is that of `tokenizers`.

Legend: a pair is `left << 32 | right`, so pairs are ordered by (left, right). `spelled` has the bytes of
tokens one behind the other; spelling number n is `spelled[ends[n]:ends[n + 1]]`.
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part

_EMPTY = -1
_GAP = -1  # a cell between two pre-tokens
_INSIDE = -2  # a cell that was the first of a token and lies within a longer one now


@compiled_part
def _pair_row(pair: int, pairs: Any) -> int:
    """Where `pair` is in the open hash table `pairs` of rows (pair, count), or where it would go."""
    mask = len(pairs) - 1
    mixed = np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)
    row = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while pairs[row, 0] != _EMPTY and pairs[row, 0] != pair:
        row = (row + 1) & mask
    return row


@compiled_part
def _add_to_pair(pair: int, change: int, pairs: Any) -> int:
    """Changes the count of a pair, new or not; returns 1 if it is new."""
    row = _pair_row(pair, pairs)
    if pairs[row, 0] == _EMPTY:
        pairs[row, 0], pairs[row, 1] = pair, change
        return 1
    pairs[row, 1] += change
    return 0


@compiled
def _new_pairs(size: int) -> Any:
    pairs = np.zeros((size, 2), np.int64)
    pairs[:, 0] = _EMPTY
    return pairs


@compiled
def _with_room(pairs: Any, num_pairs: int) -> Any:
    """The table of pairs with at least twice as many rows as pairs."""
    if 2 * num_pairs <= len(pairs):
        return pairs
    size = len(pairs)
    while size < 4 * num_pairs:
        size *= 2
    bigger = _new_pairs(size)
    for row in range(len(pairs)):
        if pairs[row, 0] != _EMPTY:
            _add_to_pair(pairs[row, 0], pairs[row, 1], bigger)
    return bigger


@compiled
def _grown(array: Any, size: int) -> Any:
    """`array` with room for at least `size` items."""
    if size <= len(array):
        return array
    bigger = np.empty(max(size, 2 * len(array)), array.dtype)
    bigger[: len(array)] = array
    return bigger


@compiled
def _grown_rows(array: Any, size: int) -> Any:
    """`array` with room for at least `size` rows."""
    if size <= len(array):
        return array
    bigger = np.empty((max(size, 2 * len(array)), array.shape[1]), array.dtype)
    bigger[: len(array)] = array
    return bigger


@compiled_part
def _before(count: int, pair: int, entry: int, other_count: int, other_pair: int, other_entry: int) -> bool:
    if count != other_count:
        return count > other_count
    if pair != other_pair:
        return pair < other_pair
    return entry < other_entry


@compiled_part
def _push(heap: Any, size: int, count: int, pair: int, entry: int) -> None:
    """Adds to the heap `heap[:size]` of rows (count, pair, entry)."""
    index = size
    while index > 0:
        parent = (index - 1) >> 2
        if not _before(count, pair, entry, heap[parent, 0], heap[parent, 1], heap[parent, 2]):
            break
        heap[index, 0], heap[index, 1], heap[index, 2] = heap[parent, 0], heap[parent, 1], heap[parent, 2]
        index = parent
    heap[index, 0], heap[index, 1], heap[index, 2] = count, pair, entry


@compiled_part
def _replace_top(heap: Any, size: int, count: int, pair: int, entry: int) -> None:
    """Puts another row in the place of the first and lets it sink."""
    index = 0
    while True:
        first = 4 * index + 1
        if first >= size:
            break
        best = first
        for child in range(first + 1, min(first + 4, size)):
            if _before(heap[child, 0], heap[child, 1], heap[child, 2], heap[best, 0], heap[best, 1], heap[best, 2]):
                best = child
        if not _before(heap[best, 0], heap[best, 1], heap[best, 2], count, pair, entry):
            break
        heap[index, 0], heap[index, 1], heap[index, 2] = heap[best, 0], heap[best, 1], heap[best, 2]
        index = best
    heap[index, 0], heap[index, 1], heap[index, 2] = count, pair, entry


@compiled_part
def _hash_of(data: Any, start: int, end: int) -> int:
    value = np.uint64(0xCBF29CE484222325)
    for index in range(start, end):
        value = (value ^ np.uint64(data[index])) * np.uint64(0x100000001B3)
    return np.int64(value >> np.uint64(2))


@compiled_part
def _token_place(table: Any, offsets: Any, data: Any, start: int, end: int) -> int:
    """Where the spelling `data[start:end]` is in the open hash table of spellings, or where it would go."""
    mask = len(table) - 1
    index = _hash_of(data, start, end) & mask
    while table[index] != _EMPTY:
        other = table[index]
        first = offsets[other]
        if offsets[other + 1] - first == end - start:
            same = True
            for step in range(end - start):
                if data[first + step] != data[start + step]:
                    same = False
                    break
            if same:
                return index
        index = (index + 1) & mask
    return index


@compiled
def _lay_out(data: Any, offsets: Any, id_of_byte: Any) -> Any:
    """The cells of all words of two bytes or more, with a gap before and behind each, and the word of each cell."""
    num_words = len(offsets) - 1
    size = 1
    for word in range(num_words):
        length = offsets[word + 1] - offsets[word]
        size += length + 1 if length > 1 else 0
    cells = np.full(size, _GAP, np.int32)
    word_of = np.zeros(size, np.int32)
    cell = 1
    for word in range(num_words):
        if offsets[word + 1] - offsets[word] > 1:
            for index in range(offsets[word], offsets[word + 1]):
                cells[cell] = id_of_byte[data[index]]
                word_of[cell] = word
                cell += 1
            cell += 1
    return cells, word_of


@compiled
def _first_entries(cells: Any, word_of: Any, counts: Any, first_id: int) -> Any:
    """For each pair of bytes its count and its places: counts[256, 256], starts[256 * 256 + 1], places."""
    sums = np.zeros((256, 256), np.int64)
    starts = np.zeros(256 * 256 + 1, np.int64)
    for cell in range(len(cells) - 1):
        left, right = cells[cell] - first_id, cells[cell + 1] - first_id
        if cells[cell] >= 0 and cells[cell + 1] >= 0:
            sums[left, right] += counts[word_of[cell]]
            starts[256 * left + right + 1] += 1
    for pair in range(256 * 256):
        starts[pair + 1] += starts[pair]
    filled = starts.copy()
    places = np.empty(max(16, 2 * starts[-1]), np.int32)
    for cell in range(len(cells) - 1):
        if cells[cell] >= 0 and cells[cell + 1] >= 0:
            pair = 256 * (cells[cell] - first_id) + cells[cell + 1] - first_id
            places[filled[pair]] = cell
            filled[pair] += 1
    return sums, starts, places


@compiled_part
def _merge_places(
    places: Any, start: int, end: int, left: int, right: int, new_id: int, cells: Any, word_of: Any, counts: Any, token_bytes: Any,
    before: Any, after: Any, noted: Any,
) -> Any:  # fmt: skip
    """Merges the pair at its places, and notes the neighbours there.

    `before` and `after` have rows (sum of counts, number of places) by neighbour; `noted` gets rows
    (neighbour before, place of that pair, neighbour behind, place of that pair), neighbours -1 where
    there is none. Returns the number of rows.
    """
    left_bytes, right_bytes = token_bytes[left], token_bytes[right]
    size = left_bytes + right_bytes
    num_noted = 0
    for index in range(start, end):
        place = places[index]
        if cells[place] != left or cells[place + left_bytes] != right:
            continue  # merged with something else since it was noted
        count = counts[word_of[place]]
        previous, following = cells[place - 1], cells[place + size]
        if right_bytes > 1:
            cells[place + left_bytes] = _INSIDE
        cells[place] = cells[place + size - 1] = new_id
        noted[num_noted, 0], noted[num_noted, 2] = previous, following
        if previous >= 0:
            before[previous, 0] += count
            before[previous, 1] += 1
            noted[num_noted, 1] = place - token_bytes[previous]
        if following >= 0:
            after[following, 0] += count
            after[following, 1] += 1
            noted[num_noted, 3] = place
        num_noted += 1
    return num_noted


@compiled_part
def _touched_neighbours(noted: Any, num_noted: int, column: int, sums: Any, touched: Any) -> int:
    """Lists each different neighbour of a column once; its number of places becomes negative as a mark."""
    num_touched = 0
    for index in range(num_noted):
        neighbour = noted[index, column]
        if neighbour >= 0 and sums[neighbour, 1] > 0:
            sums[neighbour, 1] = -sums[neighbour, 1]
            touched[num_touched] = neighbour
            num_touched += 1
    return num_touched


@compiled
def learn_merges(
    data: Any, offsets: Any, counts: Any, id_of_byte: Any, first_id: int, vocab_size: int, min_frequency: int, max_token_bytes: int,
    forbidden: Any, forbidden_offsets: Any,
) -> Any:  # fmt: skip
    """Pairs merged, ids they made, counts they had: arrays of shapes [m, 2], [m], [m].

    Tokens spelled like a name in `forbidden` are not made.
    """
    num_forbidden = len(forbidden_offsets) - 1
    spelled = np.empty(1 << 16, np.uint8)
    ends = np.zeros(vocab_size + num_forbidden + 2, np.int64)
    table_size = 1 << 10
    while table_size < 4 * len(ends):
        table_size *= 2
    table = np.full(table_size, _EMPTY, np.int32)
    token_bytes = np.ones(vocab_size + 1, np.int64)
    number_of = np.empty(vocab_size + 1, np.int32)  # of an id, the number of its spelling
    id_of = np.empty(len(ends), np.int32)  # of a spelling, the id; -1 for forbidden names
    num_spelled = 0
    for index in range(256 + num_forbidden):
        start = ends[num_spelled]
        if index < 256:
            size = 1
            spelled[start] = index
        else:
            first = forbidden_offsets[index - 256]
            size = forbidden_offsets[index - 255] - first
            spelled = _grown(spelled, start + size)
            for step in range(size):
                spelled[start + step] = forbidden[first + step]
        row = _token_place(table, ends, spelled, start, start + size)
        if table[row] == _EMPTY:
            table[row] = num_spelled
            ends[num_spelled + 1] = start + size
            id_of[num_spelled] = -1
            if index < 256:
                id_of[num_spelled] = id_of_byte[index]
                number_of[id_of_byte[index]] = num_spelled
            num_spelled += 1

    cells, word_of = _lay_out(data, offsets, id_of_byte)
    sums, starts, places = _first_entries(cells, word_of, counts, first_id)
    num_used = starts[-1]
    pairs = _new_pairs(1 << 18)
    num_pairs = 0
    heap = np.empty((1 << 17, 3), np.int64)
    heap_size = 0
    entries = np.empty((1 << 17, 3), np.int64)  # rows (first place, behind the last, pair)
    num_entries = 0
    for pair in range(256 * 256):
        count = sums[pair >> 8, pair & 0xFF]
        if count > 0:
            key = np.int64((pair >> 8) + first_id) << 32 | np.int64((pair & 0xFF) + first_id)
            num_pairs += _add_to_pair(key, count, pairs)
            entries[num_entries, 0], entries[num_entries, 1], entries[num_entries, 2] = (
                starts[pair],
                starts[pair + 1],
                key,
            )
            _push(heap, heap_size, count, key, num_entries)
            heap_size += 1
            num_entries += 1

    merges = np.empty((max(16, vocab_size), 2), np.int64)
    made = np.empty((max(16, vocab_size), 2), np.int64)  # rows (id, count)
    num_merges = 0
    num_ids = first_id + 256
    before = np.zeros((vocab_size + 1, 2), np.int64)
    after = np.zeros((vocab_size + 1, 2), np.int64)
    touched = np.empty(vocab_size + 1, np.int32)
    noted = np.empty((1 << 12, 4), np.int32)

    while num_ids < vocab_size and heap_size > 0:
        count, key, entry = heap[0, 0], heap[0, 1], heap[0, 2]
        present = pairs[_pair_row(key, pairs), 1]
        if count != present:
            _replace_top(heap, heap_size, present, key, entry)
            continue
        if count < min_frequency:
            break
        heap_size -= 1
        _replace_top(heap, heap_size, heap[heap_size, 0], heap[heap_size, 1], heap[heap_size, 2])

        left, right = np.int32(key >> 32), np.int32(key & 0xFFFFFFFF)
        size = token_bytes[left] + token_bytes[right]
        start = ends[num_spelled]
        spelled = _grown(spelled, start + size)
        for step in range(token_bytes[left]):
            spelled[start + step] = spelled[ends[number_of[left]] + step]
        for step in range(token_bytes[right]):
            spelled[start + token_bytes[left] + step] = spelled[ends[number_of[right]] + step]
        row = _token_place(table, ends, spelled, start, start + size)
        if table[row] == _EMPTY:
            new_id = num_ids
            table[row] = num_spelled
            ends[num_spelled + 1] = start + size
            id_of[num_spelled], number_of[new_id], token_bytes[new_id] = new_id, num_spelled, size
            num_spelled += 1
            num_ids += 1
        else:
            new_id = id_of[table[row]]  # this token came from another pair before
            if new_id < 0:
                continue
        merges, made = _grown_rows(merges, num_merges + 1), _grown_rows(made, num_merges + 1)
        merges[num_merges, 0], merges[num_merges, 1] = left, right
        made[num_merges, 0], made[num_merges, 1] = new_id, count
        num_merges += 1

        first, last = entries[entry, 0], entries[entry, 1]
        noted = _grown_rows(noted, last - first)
        num_noted = _merge_places(
            places, first, last, left, right, new_id, cells, word_of, counts, token_bytes, before, after, noted
        )
        places = _grown(places, num_used + 2 * num_noted)
        first_entry = num_entries
        for side in range(2):
            neighbours = before if side == 0 else after
            num_touched = _touched_neighbours(noted, num_noted, 2 * side, neighbours, touched)
            pairs = _with_room(pairs, num_pairs + 2 * num_touched)
            entries = _grown_rows(entries, num_entries + num_touched)
            for index in range(num_touched):
                neighbour = np.int64(touched[index])
                change = neighbours[neighbour, 0]
                gone = neighbour << 32 | np.int64(left) if side == 0 else np.int64(right) << 32 | neighbour
                num_pairs += _add_to_pair(gone, -change, pairs)
                come = neighbour << 32 | np.int64(new_id) if side == 0 else np.int64(new_id) << 32 | neighbour
                if token_bytes[neighbour] + size < max_token_bytes:
                    num_pairs += _add_to_pair(come, change, pairs)
                else:
                    come = np.int64(_EMPTY)
                # The number of places gives way to where the next one goes; both are cleared below.
                entries[num_entries, 0], entries[num_entries, 2] = num_used, come
                num_used -= neighbours[neighbour, 1]
                neighbours[neighbour, 1] = entries[num_entries, 0]
                entries[num_entries, 1] = num_used
                num_entries += 1
            for index in range(num_noted):
                neighbour = noted[index, 2 * side]
                if neighbour >= 0:
                    places[neighbours[neighbour, 1]] = noted[index, 2 * side + 1]
                    neighbours[neighbour, 1] += 1
            for index in range(num_touched):
                neighbours[touched[index], 0] = neighbours[touched[index], 1] = 0
        heap = _grown_rows(heap, heap_size + num_entries - first_entry)
        for entry in range(first_entry, num_entries):
            key = entries[entry, 2]
            count = pairs[_pair_row(key, pairs), 1] if key != _EMPTY else 0
            if count > 0:
                _push(heap, heap_size, count, key, entry)
                heap_size += 1
    return merges[:num_merges], made[:num_merges, 0], made[:num_merges, 1]
