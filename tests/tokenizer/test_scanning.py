"""Machine code must cut exactly as the regular expressions do."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from tokenizer.characters import Classes, assigned_text, regex_classes, tokenizers_classes
from tokenizer.patterns import PATTERNS, pattern_named
from tokenizer.scanning import rules_of, split_ends
from tokenizer.splitting import Splitter

LABELS = sorted(PATTERNS)
SPLITTERS = {label: Splitter(PATTERNS[label]) for label in LABELS}
# Characters around which the patterns turn: case, marks, digits, blanks, breaks, contractions, slashes.
TURNING = st.sampled_from(
    list("aZéÉǅʰ字ก\u0301\u093e१½1٣ \t\r\n\u00a0\u2028\u3000\u0085\x1c'’ſsStTmMdDlLvVeErR/!._-{<|👍\u200d\ufe0f")
    + list("漢あアーｱ゛\u3099〇⺀々。、ั๑ฯ๏ကၤ។ຂ១")  # scripts without spaces: letters, marks, digits, signs
)


@pytest.fixture(scope="module")
def classes() -> Classes:
    return regex_classes()


def scanned(text: str, label: str, classes: Classes) -> list[str]:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    rules = rules_of(PATTERNS[label])
    assert rules is not None
    ends = split_ends(data, np.array([0, len(data)]), classes.page_of, classes.pages, rules).tolist()
    return [text.encode()[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


CASES = [
    # (pattern, text, pieces): worked out by hand from the regular expressions
    ("gpt2", "it's I'LL", ["it", "'s", " I", "'", "LL"]),  # lower-case contractions only
    ("gpt2", "a  b\n", ["a", " ", " b", "\n"]),  # the last blank leads the word
    ("gpt2", "x 1234!?", ["x", " 1234", "!?"]),  # numbers of any length
    ("cl100k", "it's I'LL", ["it", "'s", " I", "'LL"]),
    ("cl100k", "a\n \n b", ["a", "\n \n", " b"]),  # up to the last break of the run
    ("cl100k", "12345 (x)\n\n", ["123", "45", " (", "x", ")\n\n"]),  # digits by three, breaks follow signs
    ("cl100k", "\tx", ["\tx"]),  # any one character may lead a word
    ("o200k", "HTTPServer", ["HTTPServer"]),  # upper* lower+
    ("o200k", "fooBar's", ["foo", "Bar's"]),  # a contraction stays with its word
    ("o200k", "a//b\n/c", ["a", "//", "b", "\n", "/c"]),
    ("o200k", "काम", ["काम"]),  # marks belong to words
    ("scripts", "私は東京タワーを見た。", ["私は", "東京", "タワー", "を", "見た", "。"]),  # phrases of Japanese
    (
        "scripts",
        "「漢字」とkanji",
        ["「漢字", "」と", "kanji"],
    ),  # a sign may lead a run; Latin letters are words of their own
    ("scripts", "字" * 40, ["字" * 16, "字" * 16, "字" * 8]),  # never longer
    ("scripts", "ภาษาไทย๑๒", ["ภาษาไทย", "๑๒"]),
    ("scripts", "x:\n    y = 10000", ["x", ":\n", "   ", " y", " =", " ", "100", "00"]),
    ("scripts", "x\n    y\n\n\tz", ["x", "\n    ", "y", "\n\n\t", "z"]),  # indentation stays with its break
]


@pytest.mark.parametrize(("label", "text", "pieces"), CASES)
def test_cuts_by_hand(label: str, text: str, pieces: list[str], classes: Classes) -> None:
    full = pattern_named(label).label
    assert SPLITTERS[full].split(text) == pieces
    assert scanned(text, full, classes) == pieces


@pytest.mark.parametrize("label", LABELS)
@given(text=st.text(TURNING | st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=400, deadline=None)
@example(text="\u0301AB")  # a mark that could lead the word or be in it
@example(text="AʰB c")
@example(text=" '\u017fx")
def test_cuts_as_the_regular_expression(label: str, text: str) -> None:
    pieces = scanned(text, label, _CLASSES)
    assert pieces == SPLITTERS[label].split(text)
    assert "".join(pieces) == text


@pytest.mark.parametrize("label", LABELS)
@given(text=st.text(TURNING | st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=200, deadline=None)
def test_cuts_as_tokenizers(label: str, text: str) -> None:
    """With the classes of its engine, the cuts are those of the pre-tokenizer that `tokenizer.json` writes down."""
    assert scanned(text, label, _THEIR_CLASSES) == [piece for piece, _ in _THEIRS[label].pre_tokenize_str(text)]


@pytest.mark.parametrize("label", LABELS)
def test_cuts_characters_of_all_unicode_as_tokenizers(label: str) -> None:
    characters = assigned_text()
    swept = [characters[start : start + 1000] for start in range(0, len(characters), 5000)]
    for text in (*swept, *(" ".join(characters[start::4000]) for start in range(0, 4000, 100))):
        assert scanned(text, label, _THEIR_CLASSES) == [piece for piece, _ in _THEIRS[label].pre_tokenize_str(text)]


@pytest.mark.parametrize("label", LABELS)
def test_cuts_real_text_as_the_regular_expression(label: str, real_texts: list[str], classes: Classes) -> None:
    for text in real_texts[::5]:
        assert scanned(text, label, classes) == SPLITTERS[label].split(text)


_CLASSES = regex_classes()
_THEIR_CLASSES = tokenizers_classes()
_THEIRS = {label: pre_tokenizers.Split(Regex(PATTERNS[label].regex), "isolated") for label in LABELS}
