# mypy: disable-error-code="assignment,no-any-return,arg-type,operator,return-value"
# Machine code has its own types: to mypy, numbers of numpy and of Python differ.
"""The inner loops of encoding: pieces of text to ids by merges, with a table of the pieces seen so far.

The table is that of `tokenizer.tallying`. The value of a piece is `n | what << 32`: for up to three ids,
`what` is the first and the last column of the row holds the second and third; else the n ids are at
`what` in an array of ids.
"""

from typing import Any

import numpy as np

from tokenizer.compiling import compiled, compiled_part
from tokenizer.scanning import classify, end_of_pretoken
from tokenizer.tallying import doubled, key_of, row_of

_NONE = (1 << 62) - 1
_MOST_SHIFTED = 48  # bytes; longer pieces are merged with a queue
MOST_KEPT_BYTES = 1 << 10  # longer pieces are not kept in the table


@compiled_part
def rank_row(pair: int, ranks: Any) -> int:
    """Where `pair` (left << 32 | right) is in the open hash table of rows (pair, rank << 32 | id), or the row with -1."""
    mask = len(ranks) - 1
    mixed = np.uint64(pair) * np.uint64(0x9E3779B97F4A7C15)
    row = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask))
    while ranks[row, 0] != -1 and ranks[row, 0] != pair:
        row = (row + 1) & mask
    return row


@compiled
def rank_table(merges: Any, made: Any) -> Any:
    """The hash table for `rank_row`: merge number i of `merges[i]` makes the id `made[i]`."""
    size = 1024
    while size < 2 * len(merges):
        size *= 2
    ranks = np.full((size, 2), -1, np.int64)
    for rank in range(len(merges)):
        pair = np.int64(merges[rank, 0]) << 32 | np.int64(merges[rank, 1])
        row = rank_row(pair, ranks)
        ranks[row, 0], ranks[row, 1] = pair, np.int64(rank) << 32 | np.int64(made[rank])
    return ranks


@compiled_part
def _sift_up(queue: Any, size: int, rank: int, place: int) -> None:
    index = size
    while index > 0:
        parent = (index - 1) >> 1
        if queue[parent, 0] < rank or (queue[parent, 0] == rank and queue[parent, 1] < place):
            break
        queue[index, 0], queue[index, 1] = queue[parent, 0], queue[parent, 1]
        index = parent
    queue[index, 0], queue[index, 1] = rank, place


@compiled_part
def _drop_top(queue: Any, size: int) -> None:
    """Removes the first of `size` rows."""
    rank, place = queue[size - 1, 0], queue[size - 1, 1]
    index = 0
    while 2 * index + 1 < size - 1:
        child = 2 * index + 1
        if child + 1 < size - 1 and (
            queue[child + 1, 0] < queue[child, 0]
            or (queue[child + 1, 0] == queue[child, 0] and queue[child + 1, 1] < queue[child, 1])
        ):
            child += 1
        if rank < queue[child, 0] or (rank == queue[child, 0] and place < queue[child, 1]):
            break
        queue[index, 0], queue[index, 1] = queue[child, 0], queue[child, 1]
        index = child
    queue[index, 0], queue[index, 1] = rank, place


@compiled_part
def merge_piece(data: Any, start: int, end: int, id_of_byte: Any, ranks: Any, ids: Any, links: Any, queue: Any) -> int:
    """Writes the ids of a piece to the start of `ids` and returns their number.

    Merges in the order of rank, the leftmost first, in O(n log n). `ids`, `links` (before, behind) and
    `queue` are room for n, n and 2 n rows.
    """
    length = end - start
    size = 0
    for place in range(length):
        ids[place] = id_of_byte[data[start + place]]
        links[place, 0], links[place, 1] = place - 1, place + 1
    for place in range(length - 1):
        row = rank_row(np.int64(ids[place]) << 32 | np.int64(ids[place + 1]), ranks)
        if ranks[row, 0] != -1:
            _sift_up(queue, size, ranks[row, 1], place)
            size += 1
    while size > 0:
        made, place = queue[0, 0] & 0xFFFFFFFF, queue[0, 1]
        _drop_top(queue, size)
        size -= 1
        following = links[place, 1]
        if ids[place] < 0 or following >= length:
            continue
        row = rank_row(np.int64(ids[place]) << 32 | np.int64(ids[following]), ranks)
        if ranks[row, 0] == -1 or ranks[row, 1] & 0xFFFFFFFF != made:
            continue  # something else stands here by now
        ids[place], ids[following] = made, -1
        behind, previous = links[following, 1], links[place, 0]
        links[place, 1] = behind
        if behind < length:
            links[behind, 0] = place
            row = rank_row(np.int64(made) << 32 | np.int64(ids[behind]), ranks)
            if ranks[row, 0] != -1:
                _sift_up(queue, size, ranks[row, 1], place)
                size += 1
        if previous >= 0:
            row = rank_row(np.int64(ids[previous]) << 32 | np.int64(made), ranks)
            if ranks[row, 0] != -1:
                _sift_up(queue, size, ranks[row, 1], previous)
                size += 1
    number = 0
    for place in range(length):
        if ids[place] >= 0:
            ids[number] = ids[place]
            number += 1
    return number


@compiled_part
def _rank_of(left: int, right: int, ranks: Any) -> int:
    """`rank << 32 | id` of the merge of two ids, or `_NONE`."""
    row = rank_row(np.int64(left) << 32 | np.int64(right), ranks)
    return ranks[row, 1] if ranks[row, 0] != -1 else _NONE


@compiled_part
def shift_piece(data: Any, start: int, end: int, id_of_byte: Any, ranks: Any, ids: Any, best: Any) -> int:
    """As `merge_piece`, quicker for short pieces: `best[i]` is the merge at place i, and what is merged is closed up."""
    number = end - start
    for place in range(number):
        ids[place] = id_of_byte[data[start + place]]
    for place in range(number - 1):
        best[place] = _rank_of(ids[place], ids[place + 1], ranks)
    while number > 1:
        chosen = 0
        for place in range(1, number - 1):
            if best[place] < best[chosen]:
                chosen = place
        if best[chosen] == _NONE:
            break
        ids[chosen] = best[chosen] & 0xFFFFFFFF
        number -= 1
        for place in range(chosen + 1, number):
            ids[place] = ids[place + 1]
        for place in range(chosen + 1, number - 1):
            best[place] = best[place + 1]
        if chosen > 0:
            best[chosen - 1] = _rank_of(ids[chosen - 1], ids[chosen], ranks)
        if chosen < number - 1:
            best[chosen] = _rank_of(ids[chosen], ids[chosen + 1], ranks)
    return number


@compiled
def encode_pieces(
    data: Any, documents: Any, page_of: Any, pages: Any, rules: int, id_of_byte: Any, ranks: Any, shifting: bool, most_kept: int,
    table: Any, spelled: Any, kept_ids: Any, num_types: int, num_spelled: int, num_kept: int,
) -> Any:  # fmt: skip
    """The ids of all documents one behind the other, and where those of each end; then the table as it is now.

    With `rules` -1 each document is one piece. `shifting` says that each id is made by one merge only. At most about `most_kept` pieces are kept in the table.
    """
    result = np.empty(len(data), np.uint32)
    ends = np.empty(len(documents) - 1, np.int64)
    kinds = np.empty(len(data) if rules >= 0 else 0, np.uint16)
    if rules >= 0:
        classify(data, page_of, pages, kinds)
    room = 1 << 8
    ids, links, queue = np.empty(room, np.int64), np.empty((room, 2), np.int64), np.empty((3 * room, 2), np.int64)
    firsts = np.empty(_MOST_SHIFTED + 1, np.int64)
    size = 0
    for document in range(len(documents) - 1):
        start, end = documents[document], documents[document + 1]
        while start < end:
            stop = end_of_pretoken(data, kinds, start, end, rules) if rules >= 0 else end
            key = key_of(data, start, stop)
            row = row_of(key, data, start, stop, table, spelled)
            if table[row, 0] != 0:
                number, what = np.int64(table[row, 1] & np.uint64(0xFFFFFFFF)), np.int64(table[row, 1] >> np.uint64(32))
                if number <= 3:
                    more = table[row, 3]
                    result[size] = what
                    if number > 1:
                        result[size + 1] = more & np.uint64(0xFFFFFFFF)
                    if number > 2:
                        result[size + 2] = more >> np.uint64(32)
                else:
                    for step in range(number):
                        result[size + step] = kept_ids[what + step]
                size += number
                start = stop
                continue
            length = stop - start
            if length > room:
                room = 2 * length
                ids, links, queue = (
                    np.empty(room, np.int64),
                    np.empty((room, 2), np.int64),
                    np.empty((3 * room, 2), np.int64),
                )
            if shifting and length <= _MOST_SHIFTED:
                number = shift_piece(data, start, stop, id_of_byte, ranks, ids, firsts)
            else:
                number = merge_piece(data, start, stop, id_of_byte, ranks, ids, links, queue)
            for step in range(number):
                result[size + step] = ids[step]
            size += number
            if length <= MOST_KEPT_BYTES and num_types < most_kept:
                if num_spelled + length > len(spelled):
                    spelled = doubled(spelled)
                for step in range(length):
                    spelled[num_spelled + step] = data[start + step]
                what, more = ids[0], np.int64(0)
                if number <= 3:
                    if number > 1:
                        more = ids[1]
                    if number > 2:
                        more |= ids[2] << 32
                else:
                    if num_kept + number > len(kept_ids):
                        kept_ids = doubled(kept_ids)
                    for step in range(number):
                        kept_ids[num_kept + step] = ids[step]
                    what = num_kept
                    num_kept += number
                table[row, 0], table[row, 1] = key, np.uint64(what << 32 | number)
                table[row, 2], table[row, 3] = np.uint64(num_spelled << 24 | length), np.uint64(more)
                num_spelled += length
                num_types += 1
            start = stop
        ends[document] = size
    return result[:size], ends, table, spelled, kept_ids, num_types, num_spelled, num_kept
