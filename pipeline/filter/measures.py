"""All values that the rules compare, computed in one pass over one tokenisation of a document.

A measure that has no meaning for a document is NaN, and no rule fails on it: stop words of a language
without a list, mean word length in scripts whose "words" are pieces, shares of a text without words.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.filter.bad_words import BadWords
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
    "c4_lines", "c4_kept_lines", "c4_sentences", "c4_lorem_ipsum_lines", "c4_curly_bracket_lines", "c4_bad_words",
    "terminal_line_share", "short_line_share", "fineweb_dup_char_share", "newline_word_ratio", "language_score",
    "threshold_language",
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
    gram_vocabulary: Vocabulary | None = None,
    reading: Reading,
    c4: C4Config,
    fineweb: FineWebConfig,
    bad_words: BadWords | None = None,
    edit: bool,
) -> Measured:
    """Every measure of `text`, in the order of `MEASURES`. `gram_vocabulary` cuts the words of n-grams, if others.

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
    values.update(_repetition(text, ids, vocabulary, gram_vocabulary, reading))
    values.update(_c4(lines, chosen))
    num_bad = bad_words.count(final, language) if bad_words is not None else None
    values["c4_bad_words"] = math.nan if num_bad is None else float(num_bad)
    values.update(_fineweb(final, chosen.num_kept_words if edit else len(ids), fineweb))
    values["language_score"] = language_score
    return Measured(values=values, text=final)


def _quality(
    text: str, lines: Sequence[str], ids: Ids, language: str, vocabulary: Vocabulary, reading: Reading
) -> dict[str, float]:
    num_all = len(ids)
    words = ids[~vocabulary.is_symbol[ids]] if reading.counted == "not_signs" else ids
    lengths = vocabulary.length[words]
    in_pieces = language in UNSPACED
    hashes, ellipses = _symbols(text, reading)
    marked = _marked_lines(text, lines, reading)
    return {
        "num_words": float(len(words) if reading.counted != "alphanumeric" else _begin_alphanumeric(text)),
        "word_length": math.nan if in_pieces else _centre(lengths, reading),
        "hash_word_ratio": _ratio(hashes, num_all),
        "ellipsis_word_ratio": _ratio(ellipses, num_all),
        "bullet_line_share": _ratio(sum([line.startswith(reading.bullets) for line in marked]), len(marked)),
        "ellipsis_line_share": _ratio(sum([line.endswith(reading.line_ellipses) for line in marked]), len(marked)),
        "alpha_word_share": _ratio(int(np.count_nonzero(vocabulary.has_letter[ids])), num_all),
        "num_stop_words": _stop_words(ids, language, vocabulary, reading),
    }


def _centre(lengths: Ids, reading: Reading) -> float:
    if not len(lengths):
        return math.nan
    return float(np.mean(lengths) if reading.word_length == "mean" else np.median(lengths))


def _begin_alphanumeric(text: str) -> int:
    return sum([word[0].isalnum() for word in text.split()])


def _symbols(text: str, reading: Reading) -> tuple[int, int]:
    """How many hash signs and ellipses, or how many words have one; together in both places if the reading says so."""
    if "#" not in text and not any(map(text.count, reading.ellipses)):
        return 0, 0
    if reading.symbols == "signs":
        hashes, ellipses = text.count("#"), sum(map(text.count, reading.ellipses))
        together = hashes + ellipses
    else:
        has = [("#" in word, any(sign in word for sign in reading.ellipses)) for word in text.split()]
        hashes, ellipses = sum([first for first, _ in has]), sum([second for _, second in has])
        together = sum([first or second for first, second in has])
    return (together, together) if reading.symbols_together else (hashes, ellipses)


def _marked_lines(text: str, lines: Sequence[str], reading: Reading) -> list[str]:
    """The lines whose beginnings and ends are looked at."""
    if reading.lines == "runs":
        return _filled_lines(text)
    stripped = [line.strip() for line in (lines if reading.lines == "all" else text.split("\n"))]
    return stripped if reading.lines == "all" else [line for line in stripped if line]


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


def _repetition(
    text: str, ids: Ids, vocabulary: Vocabulary, gram_vocabulary: Vocabulary | None, reading: Reading
) -> dict[str, float]:
    pieces = _pieces(text, "\n", reading)
    num_chars = {"text": len(text), "lines": sum(map(len, pieces))}
    if reading.chars_of_lines == "words":
        num_chars["words"] = int(vocabulary.length[ids].sum())
    line_share, line_char_share = duplicate_shares(pieces, num_chars[reading.chars_of_lines], reading.count_first_copy)
    paragraph_share = paragraph_char_share = math.nan
    if reading.paragraphs:
        paragraphs = _pieces(text, "\n\n", reading)
        chars = sum(map(len, paragraphs)) if reading.chars_of_lines == "lines" else len(text)
        paragraph_share, paragraph_char_share = duplicate_shares(paragraphs, chars, reading.count_first_copy)
    if gram_vocabulary is not None:
        vocabulary, ids = gram_vocabulary, gram_vocabulary.ids_of_lines(text.splitlines())
        ids = ids[ids != 0]
    lengths = vocabulary.length[ids]
    return {
        "dup_paragraph_share": paragraph_share,
        "dup_paragraph_char_share": paragraph_char_share,
        "dup_line_share": line_share,
        "dup_line_char_share": line_char_share,
        **ngram_shares(ids, lengths, int(lengths.sum()) if reading.share_of_words else len(text), reading),
    }


def _pieces(text: str, end: str, reading: Reading) -> list[str]:
    """The lines or paragraphs of a text whose copies are counted."""
    if reading.lines == "filled":
        return [stripped for piece in text.split(end) if (stripped := piece.strip())]
    return _filled_lines(text) if end == "\n" else _paragraphs(text)


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
