"""The rules of C4 about single lines: which lines of a text stay, and what the rules about documents count in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.filter.config import C4Config

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_TERMINAL = (".", "?", "!", '"', "'")
_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


@dataclass(slots=True)
class LineCounts:
    """The lines that stay, stripped and without citations, and the counts of the rules about documents.

    A line with `lorem ipsum` or a curly bracket stays here: it condemns the document, not the line.
    """

    kept: list[str] = field(default_factory=list)
    num_sentences: int = 0
    num_kept_words: int = 0
    num_lorem_ipsum: int = 0
    num_curly_brackets: int = 0


def choose_lines(
    lines: Sequence[str], stream: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], roles: npt.NDArray[np.int8], config: C4Config
) -> LineCounts:
    """The `LineCounts` of a text. `stream` holds the word ids of its lines, `ends` where each line ends in it."""
    counts = LineCounts()
    stops = ends.tolist()
    chosen: list[int] = []
    for number, raw in enumerate(lines):
        line = raw.strip()
        if len(line) > config.max_word_length and any(len(word) > config.max_word_length for word in line.split()):
            continue
        if config.remove_citations and "[" in line:
            line = _CITATION.sub("", line)
        if config.require_terminal_punctuation and (not line.endswith(_TERMINAL) or line.endswith("...")):
            continue
        # Signs are words of their own in the stream, so a line with few of those needs a second look.
        start = stops[number - 1] + 1 if number else 0
        if stops[number] - start < config.min_words_per_line + 6 and len(raw.split()) < config.min_words_per_line:
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            counts.num_lorem_ipsum += 1
        elif config.drop_javascript_lines and "javascript" in lowered:
            continue
        elif "{" in line:
            counts.num_curly_brackets += 1
        elif config.drop_policy_lines and any(policy in lowered for policy in _POLICIES):
            continue
        counts.kept.append(line)
        chosen.append(number)
    _count_words(counts, chosen, stream, ends, roles)
    return counts


def _count_words(
    counts: LineCounts, chosen: list[int], stream: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], roles: npt.NDArray[np.int8]
) -> None:
    """Words and sentences of the chosen lines. A sentence starts with a line, and after an end with the next word."""
    if not chosen:
        return
    mask = np.zeros(len(ends), np.bool_)
    mask[chosen] = True
    sizes = np.diff(ends, prepend=-1)
    kept = stream[np.repeat(mask, sizes)]
    counts.num_kept_words = len(kept) - len(chosen)
    role = roles[kept]
    role[kept == 0] = 3
    role = role[role != 2]
    counts.num_sentences = len(chosen) + int(np.count_nonzero((role[:-1] == 1) & (role[1:] == 0)))
