"""Encoding a piece from left to right gives what merging step by step gives, and what `tokenizers` gives."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tokenizer.encoding import plain_text_value
from tokenizer.native import Model
from tokenizer.patterns import pattern_named
from tokenizer.training import WordCounts, learn
from tokenizer.writing import tokenizer_value

NONE = np.empty(0, np.uint16)
WORDS = st.dictionaries(st.text("abc", min_size=1, max_size=10), st.integers(1, 9), min_size=1, max_size=30)


def models(counts: dict[str, int], size: int) -> tuple[Model, Tokenizer]:
    """Ours and theirs, of the same vocabulary; neither cuts."""
    words = WordCounts.of({word.encode(): count for word, count in counts.items()})
    value = tokenizer_value(learn(words, vocab_size=256 + size, specials=()), pattern_named("gpt2"))
    value["pre_tokenizer"] = value["pre_tokenizer"]["pretokenizers"][1]
    return Model(plain_text_value(value)), Tokenizer.from_str(json.dumps(value))


def ours(model: Model, piece: str) -> list[int]:
    ids: list[int] = model.encode([piece.encode()], -1, NONE, NONE.reshape(0, 0))[0].tolist()
    return ids


@given(WORDS, st.integers(0, 60), st.lists(st.text("abc", min_size=1, max_size=40), min_size=1, max_size=10))
@settings(max_examples=60, deadline=None)
def test_equals_tokenizers_on_few_letters(counts: dict[str, int], size: int, pieces: list[str]) -> None:
    """Few letters make many ties, overlaps, and tokens that arise in two ways."""
    model, theirs = models(counts, size)
    for piece in pieces:
        assert ours(model, piece) == theirs.encode(piece).ids


@cache
def _real() -> tuple[Model, Tokenizer]:
    from tests.tokenizer.conftest import PARAGRAPHS
    from tokenizer.splitting import Splitter

    counts = Splitter(pattern_named("scripts")).count(PARAGRAPHS * 2)
    return models({piece.decode(): count for piece, count in counts.items()}, 400)


@given(st.text(min_size=1, max_size=80))
@settings(max_examples=200, deadline=None)
def test_equals_tokenizers_on_any_text(piece: str) -> None:
    piece = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    model, theirs = _real()
    assert ours(model, piece) == theirs.encode(piece).ids


@pytest.mark.parametrize("unit", ["a", " ", "\n", "ab", "字", "\u0301", "👩\u200d"])
def test_one_very_long_piece(unit: str) -> None:
    """Time is linear, and the ids are those of the merges."""
    model, theirs = _real()
    ids = ours(model, unit * 2_000)
    assert ids == theirs.encode(unit * 2_000).ids
    assert len(ours(model, unit * 200_000)) >= 50 * len(ids)
