"""Cuts text into pre-tokens with the `regex` library: the reference that every faster way must equal."""

from collections import Counter
from collections.abc import Iterable

import regex

from tokenizer.patterns import Pattern


class Splitter:
    """Cuts text as `pattern` says. The pieces, joined, are the text."""

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._regex = regex.compile(pattern.regex)

    def split(self, text: str) -> list[str]:
        """The pre-tokens of `text` in order."""
        pieces: list[str] = self._regex.findall(text)
        return pieces

    def count(self, texts: Iterable[str]) -> Counter[bytes]:
        """How often each pre-token occurs in `texts`, as UTF-8."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self._regex.findall(text))
        return Counter({piece.encode(): count for piece, count in counts.items()})
