"""The rules of C4 about single lines: which lines of a text stay, and what the rules about documents count in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.filter.config import C4Config
from pipeline.filter.words import Vocabulary

Ids = npt.NDArray[np.int64]

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


def choose_lines(lines: Sequence[str], stream: Ids, vocabulary: Vocabulary, config: C4Config) -> LineCounts:
    """The `LineCounts` of a text. `stream` holds the word ids of its lines, each line ended by a 0."""
    counts = LineCounts()
    ends = np.flatnonzero(stream == 0)
    as_they_stand: list[int] = []
    without_citations: list[str] = []
    for number, raw in enumerate(lines):
        line = raw.strip()
        if len(line) > config.max_word_length and any(len(word) > config.max_word_length for word in line.split()):
            continue
        if config.remove_citations and "[" in line:
            line = _CITATION.sub("", line)
        if config.require_terminal_punctuation and (not line.endswith(_TERMINAL) or line.endswith("...")):
            continue
        if len(raw.split(None, config.min_words_per_line)) < config.min_words_per_line:
            continue
        if not _stays(line, counts, config):
            continue
        counts.kept.append(line)
        if len(line) == len(raw) or line == raw.strip():
            as_they_stand.append(number)
        else:
            without_citations.append(line)
    _count_words(counts, _lines_of(stream, ends, as_they_stand), vocabulary)
    if without_citations:
        _count_words(counts, vocabulary.ids_of_lines(without_citations), vocabulary)
    return counts


def _stays(line: str, counts: LineCounts, config: C4Config) -> bool:
    """Whether what the line says lets it stay; notes what condemns the document."""
    lowered = line.lower()
    if "lorem ipsum" in lowered:
        counts.num_lorem_ipsum += 1
    elif config.drop_javascript_lines and "javascript" in lowered:
        return False
    elif "{" in line:
        counts.num_curly_brackets += 1
    elif config.drop_policy_lines:
        return not any(policy in lowered for policy in _POLICIES)
    return True


def _lines_of(stream: Ids, ends: Ids, chosen: list[int]) -> Ids:
    """The part of `stream` that belongs to the chosen lines."""
    mask = np.zeros(len(ends), np.bool_)
    mask[chosen] = True
    return stream[np.repeat(mask, np.diff(ends, prepend=-1))]


def _count_words(counts: LineCounts, stream: Ids, vocabulary: Vocabulary) -> None:
    """Adds the words and sentences of whole lines. A sentence starts with a line, and after an end with the next word."""
    if not len(stream):
        return
    line_ends = stream == 0
    num_lines = int(np.count_nonzero(line_ends))
    role = vocabulary.sentence_role[stream]
    role[line_ends] = 3
    role = role[role != 2]
    counts.num_kept_words += len(stream) - num_lines
    counts.num_sentences += num_lines + int(np.count_nonzero((role[:-1] == 1) & (role[1:] == 0)))
