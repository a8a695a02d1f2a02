"""The settings of the table [dedup.passages]."""

from dataclasses import dataclass
from typing import Literal

from pipeline.dedup.settings import require


@dataclass(frozen=True, kw_only=True)
class PassagesConfig:
    """Passages that many documents repeat (table [dedup.passages])."""

    action: Literal["off", "count", "remove"] = "off"
    """Remove them from the text, or only count them (dataset passages/), or do not look."""
    unit: Literal["line", "paragraph"] = "line"
    """What a passage is; paragraphs are separated by blank lines."""
    min_documents: int = 6
    """A passage in this many documents or more is a repeated one."""
    min_words: int = 4
    """Shorter passages are left alone."""
    keep_first: bool = False
    """Leave a repeated passage in the document of the smallest id."""

    def __post_init__(self) -> None:
        require(self.action in ("off", "count", "remove"), "dedup.passages.action", self.action, "off, count or remove")
        require(self.unit in ("line", "paragraph"), "dedup.passages.unit", self.unit, "line or paragraph")
        require(self.min_documents >= 2, "dedup.passages.min_documents", self.min_documents, "2 or more")
        require(self.min_words >= 1, "dedup.passages.min_words", self.min_words, "1 or more")
