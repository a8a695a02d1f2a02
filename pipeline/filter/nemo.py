"""The measures of the rule set `nemo`: what NeMo Curator's heuristic filters for English ask that Gopher's rules do not.

Definitions follow its `heuristic_filter.py`, numbers its `heuristic_filter_en.yaml` (NVIDIA/NeMo-Curator, 716c714). They are taken
only where the set is on. Characters are counted in one pass over their codes, words are what lies between white space.
"""

import math
import re

import numpy as np

from pipeline.filter.stopwords import UNSPACED

NEMO_MEASURES = (
    "nemo_other_char_share", "nemo_digit_share", "nemo_white_space_share", "nemo_bracket_share", "nemo_url_share",
    "nemo_symbol_word_share", "nemo_longest_word", "nemo_boilerplate_share", "nemo_end_mark_line_share",
)  # fmt: skip
# What English prose is made of besides spaces; its filter for other languages does not ask.
_PROSE = list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789\n?!,.")
_DIGITS, _WHITE_SPACE, _BRACKETS = list(b"0123456789"), list(b"\t\n\r\b "), list(b"{}[]()")
# An address ends at the first character that is none of these: a space, a quotation mark, `#` or `~`.
_URL = re.compile(r"https?://[!$-_a-z]+")
_HASHES = re.compile("#+")
_ELLIPSES = frozenset(("...", "…", "[...]", "[…]", "(...)", "-»"))
_END_MARKS = frozenset(".?!\"'")
# In other languages than English those of their scripts as well, and typographic quotation marks.
_ALL_END_MARKS = _END_MARKS | frozenset("”’»」』。！？．؟۔।॥።၊။៕")
# The signs of notices about cookies and terms, each a few words of one, in small letters.
_NOTICES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies", "privacy overview",
    "cookies policy", "necessary cookies are absolutely essential", "cookies that may not be particularly necessary",
    "without changing your cookie settings",
)  # fmt: skip


def nemo_measures(text: str, language: str) -> dict[str, float]:
    """The measures by name, in the order of `NEMO_MEASURES`; NaN where one has no meaning for the text or its language."""
    words = text.split()
    spaced, english = language not in UNSPACED, language == "en"
    return {
        **_shares_of_characters(text, english=english),
        "nemo_url_share": _share(sum(map(len, _URL.findall(text))) if "://" in text else 0, len(text)),
        "nemo_symbol_word_share": _share(_symbol_words(text, words), len(words)) if spaced else math.nan,
        "nemo_longest_word": float(max(map(len, words))) if words and spaced else math.nan,
        "nemo_boilerplate_share": _boilerplate_share(text),
        "nemo_end_mark_line_share": _end_mark_share(text, _END_MARKS if english else _ALL_END_MARKS),
    }


def _shares_of_characters(text: str, *, english: bool) -> dict[str, float]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.bincount(codes[codes < 128], minlength=128)
    prose, digits, spaces, brackets = (
        int(counts[chosen].sum()) for chosen in (_PROSE, _DIGITS, _WHITE_SPACE, _BRACKETS)
    )
    if not text.isascii():
        brackets += text.count("⟨") + text.count("⟩")
    return {
        "nemo_other_char_share": _share(len(text) - prose, len(text)) if english else math.nan,
        "nemo_digit_share": _share(digits, len(text)),
        "nemo_white_space_share": _share(spaces, len(text)),
        "nemo_bracket_share": _share(brackets, len(text)),
    }


def _symbol_words(text: str, words: list[str]) -> int:
    """How many words are an ellipsis, or have more runs of `#` than half their characters."""
    has_ellipses = any(sign in text for sign in ("...", "…", "-»"))
    ellipses = sum([word in _ELLIPSES for word in words]) if has_ellipses else 0
    if "#" not in text:
        return ellipses
    return ellipses + sum([2 * len(_HASHES.findall(word)) > len(word) for word in words if "#" in word])


def _boilerplate_share(text: str) -> float:
    """The share of paragraphs with a notice; 1 if any has lorem ipsum."""
    lowered = text.lower()
    if "lorem ipsum" in lowered:
        return 1.0
    paragraphs = lowered.split("\n\n")
    notices = [notice for notice in _NOTICES if notice in lowered]
    with_notice = sum([any(notice in paragraph for notice in notices) for paragraph in paragraphs]) if notices else 0
    return _share(with_notice, len(paragraphs)) if text else math.nan


def _end_mark_share(text: str, marks: frozenset[str]) -> float:
    lines = [stripped for line in text.split("\n") if (stripped := line.rstrip())]
    return _share(sum([line[-1] in marks for line in lines]), len(lines))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
