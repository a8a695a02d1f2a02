"""Gold text of a page → a label for each of its blocks: the share of it that is in the gold text, 0..1.

A block of four words or more is judged by the share of its four-word shingles that occur in the gold text.
A shorter one counts only where the gold text has it between the places of the blocks before and after it.
"""

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_SHINGLE_WORDS = 4
_NEAR_WORDS = 60


def block_labels(texts: Sequence[str], gold: str) -> tuple[list[float], list[int]]:
    """For each block its label and its number of words."""
    words = _WORD.findall(gold)
    places: dict[tuple[str, ...], list[int]] = {}
    for start in range(len(words) - _SHINGLE_WORDS + 1):
        places.setdefault(tuple(words[start : start + _SHINGLE_WORDS]), []).append(start)
    blocks = [_WORD.findall(text) for text in texts]
    labels, spans = [0.0] * len(blocks), [(-1, -1)] * len(blocks)
    for number, block in enumerate(blocks):
        shingles = [tuple(block[start : start + _SHINGLE_WORDS]) for start in range(len(block) - _SHINGLE_WORDS + 1)]
        found = [shingle for shingle in shingles if shingle in places]
        if shingles:
            labels[number] = len(found) / len(shingles)
        if found and labels[number] >= 0.5:
            spans[number] = places[found[0]][0], places[found[-1]][-1] + _SHINGLE_WORDS
    _label_short(blocks, words, spans, labels)
    return labels, [len(block) for block in blocks]


def _label_short(blocks: list[list[str]], words: list[str], spans: list[tuple[int, int]], labels: list[float]) -> None:
    starts_after = [len(words)] * len(blocks)
    start = len(words)
    for number in reversed(range(len(blocks))):
        starts_after[number] = start
        if spans[number][0] >= 0:
            start = spans[number][0]
    end = 0
    for number, block in enumerate(blocks):
        if spans[number][0] >= 0:
            end = spans[number][1]
        elif 0 < len(block) < _SHINGLE_WORDS and _stands_between(block, words, end, max(end, starts_after[number])):
            labels[number] = 1.0


def _stands_between(block: list[str], words: list[str], low: int, high: int) -> bool:
    """Whether `words[low:high]` has `block`, close to one of its ends."""
    after = _has(block, words[low : min(high, low + _NEAR_WORDS)]) if low > 0 else False
    return after or _has(block, words[max(low, high - _NEAR_WORDS) : high])


def _has(block: list[str], words: list[str]) -> bool:
    return any(words[start : start + len(block)] == block for start in range(len(words) - len(block) + 1))
