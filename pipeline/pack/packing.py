"""Which piece of which document lies where in which row. Pure arithmetic on lengths: no tokens, no I/O.

A document of n tokens has n+1 *labels*: its tokens and the end-of-text that closes it. The input that
leads to a label is the token before it, and end-of-text leads to the first. So a row of T positions
holds up to T labels, and neighbours share one end-of-text:

    slots      0    1    2    3    4    5    6          T = 6: one slot more than positions
    tokens   [EOT] a1   a2  [EOT] b1   b2  [EOT]
    inputs   (EOT  a1   a2) (EOT  b1   b2)              positions 0-2: a, positions 3-5: b
    labels    a1   a2   EOT  b1   b2   EOT

A document with more labels than T is cut every T labels. The rest of it, a *continued* piece, starts
with the last token before the cut as its first input. That token is not the end-of-text which the
neighbour before it ends with, so a continued piece that is not first in its row leaves one position
empty before it. Every label of every document is at exactly one position, whatever the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Method = Literal["best_fit", "concat", "one_per_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where every piece lies, in order of row and position; one entry a piece in every array.

    `document` is the number of the piece's document, `offset` the number of its first label within
    that document, and it has the positions `start` to below `end` of row `row`.
    """

    document: Ints
    offset: Ints
    row: Ints
    start: Ints
    end: Ints
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pieces:
    """Pieces before they have a place: document, offset and number of labels of each."""

    document: Ints
    offset: Ints
    labels: Ints


def pack(num_labels: Sequence[int] | Ints, sequence_length: int, method: Method = "best_fit") -> Layout:
    """The layout of documents with `num_labels` labels each (1 or more), in rows of `sequence_length` positions.

    Depends on the lengths and their order alone. Best-fit decreasing puts each piece, longest first,
    into the fullest row that still has room for it.
    """
    lengths = np.asarray(num_labels, dtype=np.int64)
    if method == "concat":
        pieces, row = _concat(lengths, sequence_length)
    else:
        pieces = _split(lengths, sequence_length)
        row = np.arange(len(pieces.labels), dtype=np.int64)
        if method == "best_fit":
            row = best_fit_decreasing(_room(pieces, sequence_length), sequence_length)
    return _place(pieces, row)


def best_fit_decreasing(sizes: Ints, capacity: int) -> Ints:
    """The row of each size, rows numbered as they are opened; equal sizes go in order.

    `room` has bit c set while some open row has exactly c free positions, so the fullest row with
    room for a size is the lowest bit at or above it.
    """
    rows_with: list[list[int]] = [[] for _ in range(capacity + 1)]
    order = np.argsort(-sizes, kind="stable")
    placed: list[int] = []
    room = num_rows = 0
    for size in sizes[order].tolist():
        above = room >> size
        if above:
            free = size + (above & -above).bit_length() - 1
            rows = rows_with[free]
            row = rows.pop()
            if not rows:
                room ^= 1 << free
        else:
            free, row = capacity, num_rows
            num_rows += 1
        placed.append(row)
        left = free - size
        if left:
            rows_with[left].append(row)
            room |= 1 << left
    result = np.empty(len(sizes), dtype=np.int64)
    result[order] = placed
    return result


def _split(lengths: Ints, capacity: int) -> _Pieces:
    """Whole documents, and documents longer than `capacity` cut every `capacity` labels."""
    num_pieces = -(-lengths // capacity)
    document = np.repeat(np.arange(len(lengths), dtype=np.int64), num_pieces)
    offset = _ranges(num_pieces) * capacity
    labels = np.minimum(lengths[document] - offset, capacity)
    return _Pieces(document=document, offset=offset, labels=labels)


def _concat(lengths: Ints, capacity: int) -> tuple[_Pieces, Ints]:
    """All labels as one stream, cut wherever a row is full; the pieces and their rows."""
    end = np.cumsum(lengths)
    first_row, last_row = (end - lengths) // capacity, (end - 1) // capacity
    num_pieces = last_row - first_row + 1
    document = np.repeat(np.arange(len(lengths), dtype=np.int64), num_pieces)
    row = np.repeat(first_row, num_pieces) + _ranges(num_pieces)
    begin = np.maximum((end - lengths)[document], row * capacity)
    labels = np.minimum(end[document], (row + 1) * capacity) - begin
    return _Pieces(document=document, offset=begin - (end - lengths)[document], labels=labels), row


def _room(pieces: _Pieces, capacity: int) -> Ints:
    """The positions that a piece needs anywhere in a row: a continued one may need an empty one before it."""
    return np.minimum(pieces.labels + (pieces.offset > 0), capacity)


def _ranges(counts: Ints) -> Ints:
    """0, 1, … below each count, one after the other."""
    return np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)


def _place(pieces: _Pieces, row: Ints) -> Layout:
    """Sets the pieces of each row side by side: a continued piece first, then in order of document."""
    continued = pieces.offset > 0
    order = np.lexsort((pieces.document, ~continued, row))
    row, labels, continued = row[order], pieces.labels[order], continued[order]
    first = np.ones(len(row), dtype=bool)
    first[1:] = row[1:] != row[:-1]
    end = np.cumsum(labels + (continued & ~first))
    row_begin = np.repeat((end - labels)[first], np.diff(np.append(np.flatnonzero(first), len(row))))
    end -= row_begin
    return Layout(
        document=pieces.document[order],
        offset=pieces.offset[order],
        row=row,
        start=end - labels,
        end=end,
        num_rows=int(row.max()) + 1 if len(row) else 0,
    )
