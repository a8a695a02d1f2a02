"""How close an extracted text is to a gold text: precision and recall of four-word shingles.

As in the article extraction benchmark of Scrapinghub: shingles are counted as multisets, each page has the same
weight, and F1 is that of the mean precision and the mean recall.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_WORD = re.compile(r"\w+")
_SHINGLE_WORDS = 4


class Score(NamedTuple):
    """Means over pages, and the F1 of the two means."""

    f1: float
    precision: float
    recall: float


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """The multiset of four-word shingles; a shorter text is one shingle, an empty one none."""
    words = _WORD.findall(text)
    windows = (tuple(words[start : start + _SHINGLE_WORDS]) for start in range(max(1, len(words) - _SHINGLE_WORDS + 1)))
    return Counter(window for window in windows if window)


def page_score(gold: str, found: str) -> tuple[float | None, float | None]:
    """Precision and recall of one page; none where there is nothing to be precise about, or nothing to recall."""
    wanted, given = shingles(gold), shingles(found)
    common = (wanted & given).total()
    precision = common / given.total() if given else None
    recall = common / wanted.total() if wanted else None
    return precision, recall


def score(pairs: Iterable[tuple[str, str]]) -> Score:
    """The score over pairs of gold and extracted text."""
    scores = [page_score(gold, found) for gold, found in pairs]
    precisions = [value for value, _ in scores if value is not None]
    recalls = [value for _, value in scores if value is not None]
    precision = sum(precisions) / max(1, len(precisions))
    recall = sum(recalls) / max(1, len(recalls))
    total = precision + recall
    return Score(f1=2 * precision * recall / total if total else 0.0, precision=precision, recall=recall)
