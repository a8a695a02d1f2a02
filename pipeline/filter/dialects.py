"""Whose reading of the Gopher rules: what each published implementation measures where they disagree.

The papers give thresholds and one sentence for each rule; the implementations fill in the rest, each
differently. A dialect is the list of those choices, so that a document can be judged as one of them would.
`datatrove` and `dolma` follow the code of those packages and are compared with them in tests; `dclm` follows the
code of the DCLM repository and its configuration of the RefinedWeb filters; `paper` is our reading of Rae et al.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One implementation's choices.

    `words`: how text becomes words, see `pipeline.filter.words`; `white_space` takes the chunks whole.
    `gram_words`: the words of n-grams: the same, or those of Unicode's word boundaries without punctuation.
    `counted`: which words `num_words` counts: all, those with more than signs, those that begin with a letter or digit.
    `symbols`: hash signs and ellipses are counted (`signs`), or the words that contain one (`words`).
    `symbols_together`: hash signs and ellipses are one measure, compared with both thresholds.
    `lines`: of which lines shares of bullets and ellipses are: `all`, stripped; `runs` of text between line ends, as
    they stand; `filled`, stripped and not empty.
    `count_first_copy`: whether the first of several equal lines is itself a duplicate.
    `chars_of_lines`: characters of equal lines are a share of the `text`, of its `words`, or of the `lines` themselves.
    `paragraphs`: whether repeated paragraphs are a measure at all.
    `top_ngram_needs_repeat`: an n-gram that occurs once is no repetition. `top_ties`: which of several commonest counts.
    `gram_spaces`: the spaces inside an n-gram count among its characters.
    `share_of_words`: n-gram shares are of the characters of words, not of the whole text.
    `repeated_grams`: `copies` counts the copies after the first, from left to right without overlap; `covered` the
    words that lie in some repeated n-gram, each once; `grams` all repeated n-grams as a share of all n-grams.
    """

    words: Literal["affixes", "white_space"] = "affixes"
    gram_words: Literal["same", "unicode"] = "same"
    counted: Literal["all", "not_signs", "alphanumeric"] = "not_signs"
    word_length: Literal["mean", "median"] = "mean"
    symbols: Literal["signs", "words"] = "signs"
    symbols_together: bool = False
    ellipses: tuple[str, ...] = ("...", "…")
    line_ellipses: tuple[str, ...] = ("...", "…")
    bullets: tuple[str, ...] = ("•", "-")
    lines: Literal["all", "runs", "filled"] = "all"
    stop_words: Literal["distinct", "occurrences"] = "distinct"
    lower_stop_words: bool = False
    count_first_copy: bool = False
    chars_of_lines: Literal["text", "words", "lines"] = "text"
    paragraphs: bool = True
    top_ngram_needs_repeat: bool = False
    top_ties: Literal["first", "longest"] = "first"
    gram_spaces: bool = True
    share_of_words: bool = False
    repeated_grams: Literal["copies", "covered", "grams"] = "copies"


READINGS: dict[str, Reading] = {
    "datatrove": Reading(),
    "paper": Reading(
        words="white_space",
        counted="all",
        symbols="words",
        lower_stop_words=True,
        count_first_copy=True,
        top_ngram_needs_repeat=True,
        gram_spaces=False,
        share_of_words=True,
        repeated_grams="covered",
    ),
    "dolma": Reading(
        words="white_space",
        counted="all",
        word_length="median",
        symbols="words",
        symbols_together=True,
        ellipses=("…",),
        line_ellipses=("…",),
        bullets=("*", "-"),
        lines="runs",
        stop_words="occurrences",
        count_first_copy=True,
        chars_of_lines="words",
        paragraphs=False,
        gram_spaces=False,
        share_of_words=True,
        repeated_grams="grams",
    ),
    "dclm": Reading(
        words="white_space",
        gram_words="unicode",
        counted="alphanumeric",
        symbols_together=True,
        ellipses=("...", ". . .", "…"),
        line_ellipses=("...", ". . .", "…"),
        bullets=("●", "•", "*", "-"),
        lines="filled",
        stop_words="occurrences",
        lower_stop_words=True,
        count_first_copy=True,
        chars_of_lines="lines",
        top_ngram_needs_repeat=True,
        top_ties="longest",
        gram_spaces=False,
        share_of_words=True,
        repeated_grams="covered",
    ),
}
