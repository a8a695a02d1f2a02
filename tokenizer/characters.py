"""Which kind of character each code point is, as far as the patterns ask, by the tables of one regex engine.

Engines carry different versions of Unicode, so the tables come from the engine whose cuts are to be
reproduced: `regex` when counting, `tokenizers` when encoding.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# One bit a class; letters without case (Lm, Lo) are LETTER. CONTINUES marks bytes behind the first of a character.
LOWER, UPPER, LETTER, MARK, NUMBER, BLANK, SPACE, BREAK, OTHER, CONTINUES = (1 << bit for bit in range(10))
# Besides, scripts that write no spaces between words: Chinese characters, the two kana, and those of South-East Asia.
HAN, HIRAGANA, KATAKANA, SPACELESS = (1 << bit for bit in range(10, 14))
ANY_SPACELESS = HAN | HIRAGANA | KATAKANA | SPACELESS
ANY_LETTER = LOWER | UPPER | LETTER
ANY_BLANK = BLANK | SPACE | BREAK
NUM_CODE_POINTS = 0x110000
_KINDS = (
    (r"\p{Ll}", LOWER),
    (r"[\p{Lu}\p{Lt}]", UPPER),
    (r"[\p{Lm}\p{Lo}]", LETTER),
    (r"\p{M}", MARK),
    (r"\p{N}", NUMBER),
    (r"\s", BLANK),
)
_SCRIPTS = (
    (r"\p{Han}", HAN),
    (r"[\p{Hiragana}ー]", HIRAGANA),
    (r"[\p{Katakana}ー]", KATAKANA),
    (r"(?:(?!\p{N})[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])", SPACELESS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The class of code point c is `pages[page_of[c >> 8], c & 255]`; small, because most pages are alike."""

    page_of: npt.NDArray[np.uint16]
    pages: npt.NDArray[np.uint16]


def classes_of(runs: Callable[[str], Iterable[str]]) -> Classes:
    """The classes where `runs(regex)` gives the stretches of `all_characters()` that match `regex`."""
    classes = np.full(NUM_CODE_POINTS, OTHER, dtype=np.uint16)
    for pattern, kind in _KINDS:
        for run in runs(pattern + "+"):
            classes[ord(run[0]) : ord(run[-1]) + 1] = kind
    for pattern, script in _SCRIPTS:
        for run in runs(pattern + "+"):
            classes[ord(run[0]) : ord(run[-1]) + 1] |= script
    return _paged(classes)


def all_characters() -> str:
    """Every code point that is a character, in order."""
    return "".join(map(chr, (*range(0xD800), *range(0xE000, NUM_CODE_POINTS))))


def regex_classes() -> Classes:
    """The classes as the `regex` library sees them (about 20 ms)."""
    import regex

    text = all_characters()
    return classes_of(lambda pattern: (match.group() for match in regex.finditer(pattern, text)))


def tokenizers_classes() -> Classes:
    """The classes as `tokenizers` sees them (about 0.2 s).

    It is asked once about all assigned characters, put in order of what `regex` says of them, so that
    nearly all lie in a few long stretches; then about the first character of each stretch.
    """

    expected = _flat(regex_classes())
    points = _assigned_points()
    points = points[np.argsort(expected[points], kind="stable")]
    classes = np.full(NUM_CODE_POINTS, OTHER, dtype=np.uint16)
    classes[points] = _asked(points, _KINDS, OTHER)
    for script in _SCRIPTS:  # each by itself: the long vowel mark belongs to two
        classes[points] |= _asked(points, [script], 0)
    return _paged(classes)


def _asked(points: npt.NDArray[np.int64], kinds: Sequence[tuple[str, int]], default: int) -> npt.NDArray[np.uint16]:
    """The class of each point, by `tokenizers`: one of `kinds` or `default`."""
    from tokenizers import Regex, pre_tokenizers

    stretches = "|".join(f"{pattern}+" for pattern, _ in kinds)
    pieces = pre_tokenizers.Split(Regex(stretches), behavior="isolated").pre_tokenize_str(_text_of(points))
    starts = np.array([start for _, (start, _) in pieces], dtype=np.int64)
    heads = _text_of(points[starts])
    kind_of_piece = np.full(len(starts), default, dtype=np.uint16)
    for pattern, kind in kinds:
        split = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
        kind_of_piece[[start for _, (start, _) in split.pre_tokenize_str(heads)]] = kind
    return np.repeat(kind_of_piece, np.diff(np.append(starts, len(points))))


def _assigned_points() -> npt.NDArray[np.int64]:
    """Code points that some version of Unicode has assigned: the others are in no class in any."""
    import regex

    text = "".join(regex.findall(r"[^\p{Cn}\p{Co}]+", all_characters()))
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)


def assigned_text() -> str:
    """All assigned characters in order."""
    return _text_of(_assigned_points())


def _text_of(points: npt.NDArray[np.int64]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le")


def _flat(classes: Classes) -> npt.NDArray[np.uint16]:
    """The class of each code point."""
    return classes.pages[classes.page_of].reshape(-1)


def _paged(classes: npt.NDArray[np.uint16]) -> Classes:
    """The small form of a flat array; space and line breaks get classes of their own."""
    classes[ord(" ")] = SPACE
    classes[[ord("\r"), ord("\n")]] = BREAK
    pages, page_of = np.unique(classes.reshape(-1, 256), axis=0, return_inverse=True)
    return Classes(page_of=page_of.astype(np.uint16).ravel(), pages=pages)


def regex_unicode_sample() -> str:
    """A hash of the classes that `regex` gives all code points: equal where its Unicode is, as far as patterns ask."""
    classes = regex_classes()
    return hashlib.sha256(classes.page_of.tobytes() + classes.pages.tobytes()).hexdigest()
