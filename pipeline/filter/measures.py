"""All values that the rules compare, computed in one pass over one tokenisation of a document.

A measure that has no meaning for a document is NaN, and no rule fails on it: stop words of a language
without a list, mean word length in scripts whose "words" are pieces, shares of a text without words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.filter.config import C4Config, FineWebConfig
from pipeline.filter.dialects import Reading
from pipeline.filter.lines import LineCounts, choose_lines
from pipeline.filter.repetition import duplicate_shares, ngram_shares
from pipeline.filter.stopwords import STOP_WORDS, UNSPACED
from pipeline.filter.words import Vocabulary

Ids = npt.NDArray[np.int64]

MEASURES = (
    "num_chars", "num_words", "word_length", "hash_word_ratio", "ellipsis_word_ratio", "bullet_line_share", "ellipsis_line_share",
    "alpha_word_share", "num_stop_words",
    "dup_paragraph_share", "dup_paragraph_char_share", "dup_line_share", "dup_line_char_share",
    *(f"top_{n}_gram_share" for n in (2, 3, 4)), *(f"dup_{n}_gram_share" for n in range(5, 11)),
    "c4_lines", "c4_kept_lines", "c4_sentences", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines",
    "terminal_line_share", "short_line_share", "fineweb_dup_char_share", "newline_word_ratio", "language_score",
)  # fmt: skip
_SENTENCE_ENDS = frozenset(".?!。？！｡．‼‽⁇⁈⁉؟۔।॥።፧፨։၊။។៕៖᠃᠉᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿⸮⸼꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗܀܁܂߹࠷࠹࠽࠾᙮᜵᜶᥄᥅៙៚⹓⹔؝؞")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measures of a document by name, and its text as the rules about lines leave it."""

    values: dict[str, float]
    text: str


def measure(
    text: str,
    *,
    language: str,
    language_score: float,
    vocabulary: Vocabulary,
    reading: Reading,
    c4: C4Config,
    fineweb: FineWebConfig,
    edit: bool,
) -> Measured:
    """Every measure of `text`, in the order of `MEASURES`.

    With `edit` the FineWeb measures are those of the text that C4's rules about lines leave, as in the
    published chain of the two.
    """
    lines = text.splitlines()
    stream = vocabulary.ids_of_lines(lines)
    chosen = choose_lines(lines, stream, vocabulary, c4)
    final = "\n".join(chosen.kept).strip() if edit else text
    ids = stream[stream != 0]
    values = {"num_chars": float(len(text))}
    values.update(_quality(text, lines, ids, language, vocabulary, reading))
    values.update(_repetition(text, ids, vocabulary, reading))
    values.update(_c4(lines, chosen))
    values.update(_fineweb(final, chosen.num_kept_words if edit else len(ids), fineweb))
    values["language_score"] = language_score
    return Measured(values=values, text=final)


def _quality(
    text: str, lines: Sequence[str], ids: Ids, language: str, vocabulary: Vocabulary, reading: Reading
) -> dict[str, float]:
    num_all = len(ids)
    words = ids if reading.count_symbols_as_words else ids[~vocabulary.is_symbol[ids]]
    lengths = vocabulary.length[words]
    in_pieces = language in UNSPACED
    return {
        "num_words": float(len(words)),
        "word_length": math.nan if in_pieces else _centre(lengths, reading),
        "hash_word_ratio": _ratio(_hashes(text, reading), num_all),
        "ellipsis_word_ratio": _ratio(sum(map(text.count, reading.ellipses)), num_all),
        "bullet_line_share": _ratio(sum([line.lstrip().startswith(reading.bullets) for line in lines]), len(lines)),
        "ellipsis_line_share": _ratio(sum([line.rstrip().endswith(reading.ellipses) for line in lines]), len(lines)),
        "alpha_word_share": _ratio(int(np.count_nonzero(vocabulary.has_letter[ids])), num_all),
        "num_stop_words": _stop_words(ids, language, vocabulary, reading),
    }


def _centre(lengths: Ids, reading: Reading) -> float:
    if not len(lengths):
        return math.nan
    return float(np.mean(lengths) if reading.word_length == "mean" else np.median(lengths))


def _hashes(text: str, reading: Reading) -> int:
    return (
        text.count("#") if reading.hashes == "signs" or "#" not in text else sum("#" in word for word in text.split())
    )


def _stop_words(ids: Ids, language: str, vocabulary: Vocabulary, reading: Reading) -> float:
    listed = STOP_WORDS.get(language)
    if listed is None:
        return math.nan
    forms = (*listed, *map(str.title, listed), *map(str.upper, listed)) if reading.lower_stop_words else listed
    wanted = [vocabulary.word_id(form) for form in forms]
    if reading.stop_words == "occurrences":
        return float(np.count_nonzero(np.isin(ids, wanted)))
    present = vocabulary.contains(ids, wanted)
    return float(sum(any(present[i :: len(listed)]) for i in range(len(listed))))


def _repetition(text: str, ids: Ids, vocabulary: Vocabulary, reading: Reading) -> dict[str, float]:
    paragraph_share, paragraph_char_share = duplicate_shares(_paragraphs(text), len(text), reading.count_first_copy)
    line_share, line_char_share = duplicate_shares(_filled_lines(text), len(text), reading.count_first_copy)
    lengths = vocabulary.length[ids]
    return {
        "dup_paragraph_share": paragraph_share,
        "dup_paragraph_char_share": paragraph_char_share,
        "dup_line_share": line_share,
        "dup_line_char_share": line_char_share,
        **ngram_shares(ids, lengths, int(lengths.sum()) if reading.share_of_words else len(text), reading),
    }


def _paragraphs(text: str) -> list[str]:
    """What stands between runs of two or more line ends."""
    pieces = text.strip().split("\n\n")
    return pieces if len(pieces) == 1 else [piece.lstrip("\n") for piece in pieces if piece and piece != "\n"]


def _filled_lines(text: str) -> list[str]:
    """What stands between runs of line ends; a run at either end of the text leaves an empty piece there."""
    lines = [line for line in text.split("\n") if line]
    return [*([""] if text.startswith("\n") else []), *lines, *([""] if text.endswith("\n") else [])]


def _c4(lines: Sequence[str], chosen: LineCounts) -> dict[str, float]:
    return {
        "c4_lines": float(len(lines)),
        "c4_kept_lines": float(len(chosen.kept)),
        "c4_sentences": float(chosen.num_sentences),
        "c4_lorem_ipsum_lines": float(chosen.num_lorem_ipsum),
        "c4_curly_bracket_lines": float(chosen.num_curly_brackets),
    }


def _fineweb(text: str, num_words: int, config: FineWebConfig) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line and not line.isspace()]
    newlines = text.count("\n")
    return {
        "terminal_line_share": _ratio(sum([line[-1] in _SENTENCE_ENDS for line in lines]), len(lines)),
        "short_line_share": _ratio(sum([len(line) <= config.short_line_chars for line in lines]), len(lines)),
        "fineweb_dup_char_share": duplicate_shares(lines, len(text) - newlines, count_first=False)[1],
        "newline_word_ratio": _ratio(newlines, num_words),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
