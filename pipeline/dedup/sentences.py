"""Spans of sentences that many documents repeat: where they lie in a text, and what joins the text where one was taken out.

Sentences end as the classifiers cut them (`pipeline.filter.reading`): behind `.`, `!`, `?` or `…` and white space, behind
`。`, `！` or `？`, and with a line. What has no word goes with the sentence before it, at the start with the first. Three in a
row, whatever lines they are on, are the span of C4 (Raffel et al. 2020, "Exploring the Limits of Transfer Learning").
"""

import re

import numpy as np
import numpy.typing as npt

from pipeline.dedup.alphabet import code_point_table
from pipeline.dedup.shingles import Bytes, Hashes, code_point, join_words, mixed, scan
from tokenizer.compiling import kept

COMPILED_WITH = "shingles-4"
_SPACE = re.compile(r"\s+")
_NEWLINE = np.uint32(10)


@kept(nogil=True, inline="always")
def _is_space(point: np.uint32) -> bool:
    """White space as Python's `str.isspace` has it."""
    if point < 0x80:
        return bool(point == 32 or (9 <= point <= 13) or (28 <= point <= 31))
    return bool(
        point == 0x85
        or point == 0xA0
        or point == 0x1680
        or (0x2000 <= point <= 0x200A)
        or point == 0x2028
        or point == 0x2029
        or point == 0x202F
        or point == 0x205F
        or point == 0x3000
    )


@kept(nogil=True, inline="always")
def _ends_before_space(point: np.uint32) -> bool:
    return bool(point == 0x2E or point == 0x21 or point == 0x3F or point == 0x2026)


@kept(nogil=True, inline="always")
def _ends_anywhere(point: np.uint32) -> bool:
    return bool(point == 0x3002 or point == 0xFF01 or point == 0xFF1F)


@kept(nogil=True)
def _find(
    data: Bytes,
    table: npt.NDArray[np.uint32],
    words: Hashes,
    starts: npt.NDArray[np.int64],
    num_words: npt.NDArray[np.int64],
    hashes: Hashes,
) -> int:
    """Writes where the sentences of `data` start, how many words they have and their hashes; returns how many they are."""
    count, at, end, text_hash, nowhere = 0, 0, data.shape[0], np.empty(2, np.uint64), np.empty(0, np.int64)
    # Of the sentence so far: where it begins and stops, its last character, whether white space and a line end follow it.
    begins, stops, last = -1, 0, np.uint32(0)
    space, newline = False, False
    while at <= end:
        before, point = at, np.uint32(0)
        if at < end:
            point, at = code_point(data, at, end)
            if _is_space(point):
                space, newline = True, newline or point == _NEWLINE
                continue
        else:
            at += 1
        over = before == end or newline or (space and _ends_before_space(last)) or _ends_anywhere(last)
        if over and begins >= 0:
            number, _ = scan(data, begins, stops, table, words, text_hash, nowhere)
            if number:
                starts[count], num_words[count] = begins, number
                hashes[count] = mixed(text_hash[0] + text_hash[1])
                count += 1
            begins = -1
        if begins < 0:
            begins = before
        stops, last, space, newline = at, point, False, False
    return count


def sentence_spans(data: Bytes, size: int, min_words: int) -> tuple[npt.NDArray[np.int64], Hashes]:
    """The bounds and hashes of all runs of `size` sentences with enough words; each goes on to where the next sentence begins."""
    room = len(data) + 1
    words, hashes = np.empty(room, np.uint64), np.empty(room, np.uint64)
    starts, num_words = np.empty(room, np.int64), np.empty(room, np.int64)
    count = _find(data, code_point_table(fold_digits=False), words, starts, num_words, hashes)
    starts[:1] = 0
    spans = np.empty(max(count - size + 1, 0), np.uint64)
    join_words(hashes, count, size, spans)
    ends = np.append(starts[:count], len(data))
    bounds = np.stack((starts[: len(spans)], ends[size : size + len(spans)]), 1)
    totals = np.append(0, np.cumsum(num_words[:count]))
    enough = totals[size : size + len(spans)] - totals[: len(spans)] >= min_words
    return bounds[enough], spans[enough]


def without_sentences(content: bytes, covered: npt.NDArray[np.int64]) -> bytes:
    """`content` without the ranges `covered`: what was on different lines or in different paragraphs stays so."""
    pieces, start = [], 0
    for first, end in covered.tolist():
        kept = content[start:first].decode()
        told = kept.rstrip()
        pieces.append(told)
        if told and end < len(content):
            pieces.append(_joint(kept[len(told) :], content[first:end].decode()))
        start = end
    return "".join([*pieces, content[start:].decode()]).encode()


def _joint(before: str, removed: str) -> str:
    """The widest break before, in or behind what is removed, and the indentation of what follows."""
    behind = removed[len(removed.rstrip()) :]
    widest: str = max((behind, before, *_SPACE.findall(removed)), key=lambda gap: (gap.count("\n"), bool(gap)))
    lines, newline, _ = widest.rpartition("\n")
    if not newline:
        return widest
    return lines + newline + (behind.rpartition("\n")[2] if "\n" in behind else "")
