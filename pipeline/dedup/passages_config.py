"""The settings of the table [dedup.passages]."""

from dataclasses import dataclass
from typing import Literal

from pipeline.dedup.settings import require


@dataclass(frozen=True, kw_only=True)
class PassagesConfig:
    """Passages that many documents repeat (table [dedup.passages])."""

    action: Literal["off", "count", "remove"] = "off"
    """Remove them from the text, or only count them (dataset passages/), or do not look."""
    unit: Literal["line", "paragraph", "run", "sentences"] = "line"
    """What a passage is; paragraphs are separated by blank lines, a run is `run_words` words or more in a row, sentences
    are `span_sentences` or more in a row. As in C4: sentences with min_documents = 2 and keep_first."""
    min_documents: int = 6
    """A passage in this many documents or more is a repeated one."""
    min_words: int = 4
    """Shorter lines, paragraphs and spans of sentences are left alone."""
    run_words: int = 50
    """Words of the shortest run (characters in scripts without spaces), with unit = "run"."""
    span_sentences: int = 3
    """Sentences of the shortest span, with unit = "sentences"."""
    keep_first: bool = False
    """Leave a repeated passage in the document of the smallest id."""

    def __post_init__(self) -> None:
        require(self.action in ("off", "count", "remove"), "dedup.passages.action", self.action, "off, count or remove")
        units = ("line", "paragraph", "run", "sentences")
        require(self.unit in units, "dedup.passages.unit", self.unit, "line, paragraph, run or sentences")
        require(self.run_words >= 5, "dedup.passages.run_words", self.run_words, "5 or more")
        require(self.span_sentences >= 1, "dedup.passages.span_sentences", self.span_sentences, "1 or more")
        require(self.min_documents >= 2, "dedup.passages.min_documents", self.min_documents, "2 or more")
        require(self.min_words >= 1, "dedup.passages.min_words", self.min_words, "1 or more")
