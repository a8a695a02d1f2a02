"""N-gram models as ARPA files, the format that KenLM and SRILM share: written from counts, and read to score text.

An interpolated model fits a backing-off file exactly: each known n-gram gets its whole probability,
each context what it leaves for shorter ones. The end-of-text token is `<s>` at the start of an n-gram
and `</s>` at its end.
"""

import math
from collections.abc import Iterator, Sequence
from typing import IO, Protocol

import numpy as np

from model.ngram import Floats, Ints, NgramModel
from pipeline.errors import DataError

_NEVER = -99.0


class Sink(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes, /) -> int:
        """Appends `data`."""
        ...


def write_arpa(model: NgramModel, words: Sequence[str], end_id: int, file: Sink) -> None:
    """Writes `model` with these names of its tokens, none of which may hold a space."""
    probabilities = [model.ngram_probabilities(n) for n in range(1, len(model.orders) + 1)]
    sizes = [len(order.keys) for order in model.orders]
    header = [f"ngram {n}={size + (2 if n == 1 else 0)}" for n, size in enumerate(sizes, start=1)]
    file.write("\n".join(["\\data\\", *header, ""]).encode() + b"\n")
    for n, order in enumerate(model.orders, start=1):
        tokens = model.ngram_tokens(n)
        back = _backoffs(model, n)
        file.write(f"\\{n}-grams:\n".encode())
        if n == 1:
            file.write(f"{_NEVER:.6f}\t<unk>\n{_NEVER:.6f}\t<s>{_tab(back, end_id)}\n".encode())
        for index in range(len(order.keys)):
            gram = _spelled(tokens[index], words, end_id)
            tail = "" if n == 1 and index == end_id else _tab(back, index)
            file.write(f"{math.log10(probabilities[n - 1][index]):.7f}\t{gram}{tail}\n".encode())
        file.write(b"\n")
    file.write(b"\\end\\\n")


def _spelled(tokens: Ints, words: Sequence[str], end_id: int) -> str:
    """An n-gram in words."""
    names = [words[token] for token in tokens]
    if len(names) > 1 and tokens[0] == end_id:
        names[0] = "<s>"
    if tokens[-1] == end_id:
        names[-1] = "</s>"
    return " ".join(names)


def _backoffs(model: NgramModel, n: int) -> Floats | None:
    """What each n-gram as a context leaves for shorter ones; None for the longest."""
    return model.left_over(n) if n < len(model.orders) else None


def _tab(back: Floats | None, index: int) -> str:
    if back is None or not 0 < back[index] < 1:
        return ""
    return f"\t{np.log10(back[index]):.7f}"


class ArpaModel:
    """A model read from an ARPA file; scores are logarithms to base 10, as KenLM gives them."""

    def __init__(self, file: IO[bytes]) -> None:
        self.grams: dict[tuple[str, ...], tuple[float, float]] = {}
        self.order = 0
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8").strip()
            if text.endswith("-grams:"):
                self.order = int(text[1:].partition("-")[0])
            elif self.order and text and not text.startswith("\\"):
                self._add(text.split("\t"), number)

    def _add(self, parts: list[str], number: int) -> None:
        try:
            gram = tuple(parts[1].split(" "))
            self.grams[gram] = (float(parts[0]), float(parts[2]) if len(parts) > 2 else 0.0)
        except (IndexError, ValueError):
            raise DataError(
                f"line {number} of the ARPA file is not: number, tab, words, and perhaps tab, number"
            ) from None

    def scores(self, words: Sequence[str]) -> Iterator[tuple[float, int]]:
        """For each word and the end of the sentence: the logarithm of its probability, and the length of the n-gram found."""
        history: tuple[str, ...] = ("<s>",)
        for word in [*words, "</s>"]:
            word = word if (word,) in self.grams else "<unk>"
            yield self._score(history[-(self.order - 1) :] if self.order > 1 else (), word)
            history = (*history, word)

    def _score(self, context: tuple[str, ...], word: str) -> tuple[float, int]:
        penalty = 0.0
        while True:
            found = self.grams.get((*context, word))
            if found is not None:
                return penalty + found[0], len(context) + 1
            if not context:
                raise DataError(f"the ARPA file has no unigram {word!r}")
            penalty += self.grams.get(context, (0.0, 0.0))[1]
            context = context[1:]
