"""Files of other makers: LLaMA 3's form, forms that change text, and what must be refused in one sentence."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.tokenizer.conftest import PARAGRAPHS
from tokenizer.alphabet import to_characters
from tokenizer.backends import REFERENCE, HuggingFace
from tokenizer.encoding import Encoder, load_encoder, plain_text_value
from tokenizer.native import Native
from tokenizer.patterns import pattern_named

TEXTS = [
    "",
    "It's 12345 tokens;  \n\n\tdef f(x):\r\n    return x\n",
    "漢字かなカナ 👩‍👩‍👧‍👦 e\u0301 \u200b\u200d\ufeff \u0000 ไทย๑๒",
    "a\rb\nc\r\nd\u2028e\u0085f",
    "<|begin_of_text|><|end_of_text|><|endoftext|>",
]


def like_llama3(value: dict[str, Any]) -> dict[str, Any]:
    """`ignore_merges`, its names of special tokens, and a post-processor that puts one before each text."""
    value["model"]["ignore_merges"] = True
    for token, name in zip(value["added_tokens"], ("<|end_of_text|>", "<|begin_of_text|>"), strict=True):
        value["model"]["vocab"][name] = value["model"]["vocab"].pop(token["content"])
        token["content"] = name
    value["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [1], "tokens": ["<|begin_of_text|>"]}
        },
    }
    return value


def test_llama3_and_its_special_tokens(small_json: str) -> None:
    text = json.dumps(like_llama3(json.loads(small_json)))
    encoder, theirs = Encoder(text), Tokenizer.from_str(text)
    assert (encoder.end_of_text_id, encoder.specials) == (0, {"<|end_of_text|>": 0, "<|begin_of_text|>": 1})
    for each in TEXTS:
        ids = encoder.encode(each)
        assert min(ids, default=2) >= 2
        assert encoder.decode(ids) == each
        if "<|" not in each:
            assert ids == theirs.encode(each, add_special_tokens=False).ids


@pytest.mark.parametrize("unmade", [["ſſ", " whole words of no merge", "　　", "thing?!", "123"], []])
def test_pieces_that_are_tokens_are_not_merged(
    unmade: list[str], small_json: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our encoder with `ignore_merges`, also where few pieces are remembered, and for tokens that no merge makes."""
    monkeypatch.setattr("tokenizer.native.RECENT", 4)
    value = like_llama3(json.loads(small_json))
    value["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern_named("gpt2").regex
    value["model"]["merges"] = value["model"]["merges"][
        :120
    ]  # the tokens of the others are there, but not their merges
    for piece in unmade:
        value["model"]["vocab"][to_characters(piece.encode())] = len(value["model"]["vocab"])
    theirs, ours = HuggingFace(plain_text_value(value)), Native(plain_text_value(value))
    texts = [*PARAGRAPHS, *TEXTS, "ſſ ſſſ whole words　　 123 1234 thing?! a　　b", *PARAGRAPHS]
    for _ in range(3):
        assert all(map(np.array_equal, ours.encode_batch(texts), theirs.encode_batch(texts)))
    if unmade:
        assert ours.encode_batch(["123"])[0].tolist() == [value["model"]["vocab"]["123"]]
    value["model"]["ignore_merges"] = False
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(Native(plain_text_value(value)).encode_batch(texts), ours.encode_batch(texts), strict=True)
    )


def test_what_our_encoder_does_not_do_is_said(small_json: str) -> None:
    value = json.loads(small_json)
    value["model"]["end_of_word_suffix"] = "</w>"
    with pytest.raises(ValueError, match="cannot take this tokenizer: its model sets end_of_word_suffix"):
        Encoder(json.dumps(value), backend="corpusmill")


def test_added_tokens_that_are_not_special_are_found(small_json: str) -> None:
    value = json.loads(small_json)
    value["added_tokens"].append({**value["added_tokens"][0], "id": 600, "content": "<tool>", "special": False})
    encoder = Encoder(json.dumps(value), backend=REFERENCE)
    assert 600 in encoder.encode("a <tool> b")
    assert encoder.decode(encoder.encode("a <tool> b")) == "a <tool> b"


@pytest.mark.parametrize(
    "normalizer",
    [{"type": "NFC"}, {"type": "Sequence", "normalizers": [{"type": "NFC"}]}],
    ids=["alone", "in a sequence"],
)
@pytest.mark.parametrize("tools", [0, 1], ids=["", "added tokens"])
@pytest.mark.parametrize("backend", [REFERENCE, "auto"])
def test_a_tokenizer_that_composes_like_qwens(
    normalizer: dict[str, Any], tools: int, backend: str, small_json: str
) -> None:
    """The ids are those of `tokenizers`, whose normalizer is its own; what is decoded is the text in that form."""
    value = json.loads(small_json)
    value["normalizer"] = normalizer
    value["added_tokens"] += [{**value["added_tokens"][0], "id": 600, "content": "<tool>", "special": False}] * tools
    encoder, theirs = Encoder(json.dumps(value), backend=backend), Tokenizer.from_str(json.dumps(value))
    texts = [*PARAGRAPHS, *TEXTS, "e\u0301 a\u0323\u0302 각 \u1100\u1161\u11a8 \u212b \u0958 <tool>\u0338 <tool> x"]
    for text, ids in zip(texts, encoder.encode_batch(texts), strict=True):
        if "<|" not in text:
            assert ids.tolist() == theirs.encode(text, add_special_tokens=False).ids
        if "<tool>" not in text:
            assert encoder.decode(ids) == unicodedata.normalize("NFC", text)


def test_a_sequence_of_no_normalizers_does_nothing(small_json: str) -> None:
    value = json.loads(small_json)
    value["normalizer"] = {"type": "Sequence", "normalizers": []}
    assert Encoder(json.dumps(value), backend="corpusmill").encode("e\u0301") == Encoder(small_json).encode("e\u0301")


@pytest.mark.parametrize("name", ["<｜end▁of▁sentence｜>", "<eos>", "[EOS]", "<EOS_TOKEN>", "<|endofsentence|>"])
def test_the_end_of_a_text_under_other_names(name: str, small_json: str) -> None:
    value = json.loads(small_json)
    value["added_tokens"][1]["content"] = "<begin>"
    value["added_tokens"][0]["content"] = name
    assert Encoder(json.dumps(value)).end_of_text_id == 0
    value["added_tokens"][0]["content"] = "<sep>"
    with pytest.raises(ValueError, match=r"to separate documents; there are '<sep>', '<begin>'"):
        Encoder(json.dumps(value))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"IQ== 0\nIg== 1\n", "it is a rank file of tiktoken; `tokenizer.existing` takes that"),
        (b"\x28\xb5\x2f\xfd", "can't decode byte"),
        (b"", "Expecting value"),
    ],
    ids=["ranks", "no text", "empty"],
)
def test_other_files_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "cl.tiktoken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"cl.tiktoken is not a usable byte-level tokenizer.json: .*{message}"):
        load_encoder(str(path))


def _normalised(value: dict[str, Any]) -> None:
    value["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}


def _spaced(value: dict[str, Any]) -> None:
    value["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True


def _without_bytes(value: dict[str, Any]) -> None:
    value["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}


def _removing(value: dict[str, Any]) -> None:
    value["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_normalised, r"it normalises text \(NFC, Lowercase\), which decoding cannot undo"),
        (_spaced, "it adds a space before each text"),
        (_without_bytes, "its pre-tokenizer is not byte-level"),
        (_removing, "its pre-tokenizer removes part of the text"),
    ],
)
def test_what_changes_text_is_refused(change: Callable[[dict[str, Any]], None], message: str, small_json: str) -> None:
    value = json.loads(small_json)
    change(value)
    with pytest.raises(ValueError, match=message):
        Encoder(json.dumps(value))
