"""Whose reading of the Gopher rules: what each published implementation measures where they disagree.

The papers give thresholds and one sentence for each rule; the implementations fill in the rest, each
differently. A dialect is the list of those choices, so that a document can be judged as one of them would.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One implementation's choices.

    `words`: how text becomes words, see `pipeline.filter.words`; `white_space` takes the chunks whole.
    `count_first_copy`: whether the first of several equal lines is itself a duplicate.
    `top_ngram_needs_repeat`: an n-gram that occurs once is no repetition.
    `gram_spaces`: the spaces inside an n-gram count among its characters.
    `share_of_words`: n-gram shares are of the characters of words, not of the whole text.
    `overlapping_grams`: duplicated n-grams mark the words that they cover, each counted once, first copies too;
    else copies are counted from left to right without overlap, first copies not.
    """

    words: Literal["affixes", "white_space"] = "affixes"
    word_length: Literal["mean", "median"] = "mean"
    count_symbols_as_words: bool = False
    hashes: Literal["signs", "words"] = "signs"
    ellipses: tuple[str, ...] = ("...", "…")
    bullets: tuple[str, ...] = ("•", "-")
    stop_words: Literal["distinct", "occurrences"] = "distinct"
    lower_stop_words: bool = False
    count_first_copy: bool = False
    top_ngram_needs_repeat: bool = False
    gram_spaces: bool = True
    share_of_words: bool = False
    overlapping_grams: bool = False


READINGS: dict[str, Reading] = {
    "datatrove": Reading(),
    "paper": Reading(
        words="white_space",
        count_symbols_as_words=True,
        hashes="words",
        stop_words="distinct",
        lower_stop_words=True,
        count_first_copy=True,
        top_ngram_needs_repeat=True,
        gram_spaces=False,
        share_of_words=True,
        overlapping_grams=True,
    ),
    "dolma": Reading(
        words="white_space",
        word_length="median",
        count_symbols_as_words=True,
        hashes="words",
        ellipses=("…",),
        bullets=("*", "-"),
        stop_words="occurrences",
        count_first_copy=True,
        gram_spaces=False,
        share_of_words=True,
        overlapping_grams=True,
    ),
    "dclm": Reading(
        words="white_space",
        count_symbols_as_words=True,
        ellipses=("...", ". . .", "…"),
        bullets=("●", "•", "*", "-"),
        stop_words="occurrences",
        lower_stop_words=True,
        count_first_copy=True,
        top_ngram_needs_repeat=True,
        gram_spaces=False,
        share_of_words=True,
        overlapping_grams=True,
    ),
}
