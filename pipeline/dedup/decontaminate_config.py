"""The settings of the table [dedup.decontaminate]."""

from dataclasses import dataclass
from typing import Literal

from pipeline.dedup.settings import require


@dataclass(frozen=True, kw_only=True)
class DecontaminateConfig:
    """Evaluation sets whose items must not be in the documents (table [dedup.decontaminate])."""

    sets: tuple[str, ...] = ()
    """JSON lines files (also .gz, .zst), one item a line. None: nothing is looked for."""
    fields: tuple[str, ...] = ()
    """The fields of an item to search for; none: every string in it, lists of strings included."""
    ngram_words: int = 13
    """Words in an n-gram."""
    min_words: int = 8
    """Items whose longest string is shorter are not searched for; one of up to `ngram_words` words is, as a whole."""
    min_field_ngrams: int = 3
    """A field of an item, such as the question, also counts by itself if it has at least so many n-grams."""
    max_items: int = 10
    """An n-gram that more items share is of a template and does not count."""
    threshold: float = 0.5
    """A document is contaminated when it holds at least this share of the n-grams of one item, or of a field of it."""
    action: Literal["drop", "flag"] = "drop"
    """Reject contaminated documents, or only write them into the report."""

    def __post_init__(self) -> None:
        require(self.ngram_words >= 1, "dedup.decontaminate.ngram_words", self.ngram_words, "1 or more")
        ok = 1 <= self.min_words <= self.ngram_words
        require(ok, "dedup.decontaminate.min_words", self.min_words, f"1 up to ngram_words ({self.ngram_words})")
        least = self.min_field_ngrams
        require(least >= 1, "dedup.decontaminate.min_field_ngrams", least, "1 or more")
        require(self.max_items >= 1, "dedup.decontaminate.max_items", self.max_items, "1 or more")
        require(0 < self.threshold <= 1, "dedup.decontaminate.threshold", self.threshold, "above 0, up to 1")
        require(self.action in ("drop", "flag"), "dedup.decontaminate.action", self.action, "drop or flag")
