"""Any text of Unicode through each pattern: ids are those of `tokenizers`, counts those of `regex`."""

import random
import unicodedata
from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokenizer.conftest import PARAGRAPHS
from tokenizer.backends import HuggingFace
from tokenizer.counting import CountingMethod
from tokenizer.native import Native
from tokenizer.patterns import PATTERNS
from tokenizer.splitting import Splitter
from tokenizer.training import WordCounts, learn
from tokenizer.writing import tokenizer_value

LABELS = sorted(PATTERNS)
# What breaks encoders, besides the letters of each plane.
AWKWARD = [
    *"\r\n\t\v\f\x00\x1c\x1f \u0085\u00a0\u1680\u2000\u2028\u2029\u202f\u205f\u3000\ufeff\u200b\u200c\u200d\u2060",  # blanks, and what is none
    *"\u0300\u0301\u0308\u0323\u0345\u034f\u0591\u05b0\u0651\u093c\u0e31\u3099\u20dd\U0001e8d0",  # marks
    *"\u1100\u1161\u11a8\u115f각힣ㄱ", *"שלוםעربيةمرحبا\u202e\u200f", *"0٣१๑໓၃០〇½Ⅷ²𝟘🄀①",  # jamo, right to left, numbers
    *"ǅʰªſıİßẞΣςᏣꭰ", *"漢々〆ゝあアーｱ゛กฯๆកម၏ດ",  # cases, scripts without spaces
    *"'’`\"/\\_-<|>.,;:!?({[=#@~^%$&*+", "'s", "'LL", "'ſ", "n't", "\r\r", "\r\n\r\n", "<|endoftext|>", "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "☃\ufe0f",
]  # fmt: skip
PLANES = [*range(0, 0x3400, 0x10), *range(0xA000, 0xAC00, 8), *range(0xD7B0, 0xD800), *range(0xF900, 0x10000, 8)]
PLANES += [*range(0x10000, 0x1FC00, 0x20), 0x20000, 0x2FFFF, 0x30000, 0x3134A, 0xE0001, 0xE0100, 0xF0000, 0x10FFFF]
TEXT = st.lists(
    st.sampled_from(AWKWARD) | st.characters(exclude_categories=["Cs"]) | st.text("aZ é\n1.", max_size=6), max_size=40
).map("".join)


@cache
def made(label: str) -> tuple[Native, HuggingFace]:
    """Our encoder and theirs, of one small vocabulary learned by this pattern."""
    pattern = PATTERNS[label]
    texts = [*PARAGRAPHS * 2, "".join(AWKWARD) * 2]
    vocabulary = learn(WordCounts.of(Splitter(pattern).count(texts)), vocab_size=900, specials=())
    value = tokenizer_value(vocabulary, pattern)
    return Native(value), HuggingFace(value)


@cache
def method(label: str) -> CountingMethod:
    """A second's work: it asks the pattern about every character."""
    return CountingMethod(PATTERNS[label], longest=1 << 20)


def counted(label: str, texts: list[str]) -> dict[bytes, int]:
    """The pre-tokens of the texts by the counter."""
    counter = method(label).counter()
    for text in texts:
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        counter.add(data, np.array([0, len(data)]))
    words = counter.take().words
    ends, data = words.offsets.tolist(), words.data.tobytes()
    return {data[a:b]: count for a, b, count in zip(ends, ends[1:], words.counts.tolist(), strict=False)}


def check(label: str, texts: list[str]) -> None:
    ours, theirs = made(label)
    for text, one, other in zip(texts, ours.encode_batch(texts), theirs.encode_batch(texts), strict=True):
        assert np.array_equal(one, other), ascii(text)
    assert counted(label, texts) == Splitter(PATTERNS[label]).count(texts)


@pytest.mark.parametrize("label", LABELS)
@given(text=TEXT)
@settings(max_examples=100, deadline=None)
def test_any_text(label: str, text: str) -> None:
    check(label, [text])


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_runs_of_all_lengths(label: str, form: str) -> None:
    """Runs across each limit of a pattern or a table, and beyond what the table keeps, with something behind them."""
    units = [
        "a",
        "A",
        "1",
        "٣",
        " ",
        "\n",
        "\r",
        "\r\n",
        "\x00",
        "\u3000",
        "!",
        "\u0301",
        "각",
        "字",
        "あ",
        "ア",
        "ก",
        "ก็",
        "👩\u200d",
    ]
    sizes = (1, 2, 3, 7, 8, 15, 16, 17, 24, 25, 33, 64, 1023, 1100)
    texts = [
        unicodedata.normalize(form, unit * size) + after
        for unit in units
        for size in sizes
        for after in ("", "x", " y")
    ]
    check(label, texts)


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_chance_texts(label: str, seed: int) -> None:
    draw = random.Random(seed)
    assigned = [chr(point) for point in PLANES if unicodedata.category(chr(point)) not in ("Cn", "Cs")]
    check(label, [_chance_text(draw, assigned) for _ in range(1000)])


def _chance_text(draw: random.Random, characters: list[str]) -> str:
    pieces = []
    for _ in range(draw.choice((3, 30, 120))):
        unit = draw.choice(AWKWARD) if draw.random() < 0.5 else draw.choice(characters)
        pieces.append(unit * draw.choice((1, 1, 1, 1, 2, 3, 4, 9, 40)))
    return "".join(pieces)


def test_the_sample_reaches_all_planes() -> None:
    planes = Counter(point >> 16 for point in PLANES)
    assert set(planes) == {0, 1, 2, 3, 0xE, 0xF, 0x10}
