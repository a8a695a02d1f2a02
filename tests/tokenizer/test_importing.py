"""The vocabularies of others, replayed on published vectors; and ours in the tools of others."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tokenizers import Tokenizer

from tokenizer.alphabet import BYTE_TOKENS, CHARACTERS, to_bytes, to_characters
from tokenizer.encoding import Encoder
from tokenizer.importing import from_gpt2_files, from_tiktoken
from tokenizer.patterns import pattern_named
from tokenizer.vocabulary import Vocabulary
from tokenizer.writing import tiktoken_ranks, tokenizer_value

# The special tokens of OpenAI's encodings that the vectors use.
SPECIALS = {
    "r50k_base": ("gpt2", {"<|endoftext|>": 50256}),
    "cl100k_base": (
        "cl100k",
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": ("o200k", {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
}


def vectors(folder: Path, encoding: str) -> list[tuple[str, list[int]]]:
    """The published (text, ids) of an encoding."""
    lines = (folder / "testplans.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return [(row["text"], row["ids"]) for row in rows if row["encoding"] == encoding]


def ranks_of(folder: Path, encoding: str) -> bytes:
    with zstandard.open(folder / f"{encoding}.tiktoken.zst", "rb") as file:
        content: bytes = file.read()
    return content


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "vectors/tokenizer"


@pytest.fixture(scope="module")
def gpt2(folder: Path) -> dict[str, Any]:
    texts = ((folder / name).read_text(encoding="utf-8") for name in ("gpt2_encoder.json", "gpt2_vocab.bpe"))
    return from_gpt2_files(*texts, pattern_named("gpt2"), ["<|endoftext|>"])


def check_vectors(encoder: Encoder, rows: list[tuple[str, list[int]]]) -> int:
    """Each vector encodes to its ids, or, where it uses a special token on purpose, to its text and no special id."""
    special = set(encoder.specials.values())
    plain = [(text, ids) for text, ids in rows if not special & set(ids)]
    for text, ids in plain:
        assert encoder.encode(text) == ids, text[:60]
        assert encoder.decode(ids) == text
    for text, ids in rows:
        if special & set(ids):
            assert not special & set(encoder.encode(text))
            assert encoder.decode(ids) == text == encoder.decode(encoder.encode(text))
    return len(plain)


@pytest.mark.parametrize("backend", ["tokenizers", "corpusmill"])
def test_published_vectors_of_gpt2(backend: str, gpt2: dict[str, Any], folder: Path) -> None:
    encoder = Encoder(json.dumps(gpt2), backend=backend)
    assert (encoder.vocab_size, encoder.end_of_text_id) == (50257, 50256)
    assert check_vectors(encoder, vectors(folder, "r50k_base")) == 65
    # Known answers of tiktoken's own tests.
    for text, ids in (
        ("hello world", [31373, 995]),
        ("0" * 2, [405]),
        ("0" * 4, [2388]),
        ("0" * 17, [8269, 10535, 830]),
    ):
        assert encoder.encode(text) == ids


@pytest.mark.parametrize(
    ("encoding", "backend"),
    [
        ("cl100k_base", "tokenizers"),
        pytest.param("cl100k_base", "corpusmill", marks=pytest.mark.slow),
        pytest.param("r50k_base", "corpusmill", marks=pytest.mark.slow),
        pytest.param("o200k_base", "tokenizers", marks=pytest.mark.slow),
        pytest.param("o200k_base", "corpusmill", marks=pytest.mark.slow),
    ],
)
def test_published_vectors_by_rank_file(encoding: str, backend: str, folder: Path) -> None:
    pattern, specials = SPECIALS[encoding]
    value = from_tiktoken(ranks_of(folder, encoding), pattern_named(pattern), specials)
    assert check_vectors(Encoder(json.dumps(value), backend=backend), vectors(folder, encoding)) >= 60


def test_recovered_merges_are_those_of_gpt2(gpt2: dict[str, Any], folder: Path) -> None:
    """The rank file and the merge file of GPT-2 are two forms of the same vocabulary."""
    value = from_tiktoken(ranks_of(folder, "r50k_base"), pattern_named("gpt2"), {"<|endoftext|>": 50256})
    assert value["model"]["merges"] == gpt2["model"]["merges"]
    assert value["model"]["vocab"] == {
        name: token_id for name, token_id in gpt2["model"]["vocab"].items() if token_id != 50256
    }


def test_ranks_out_and_in_again(small_json: str) -> None:
    value = json.loads(small_json)
    tokens = [to_bytes(name) for name, token_id in value["model"]["vocab"].items() if token_id > 1]
    ids = value["model"]["vocab"]
    merges = tuple((ids[left], ids[right]) for left, right in value["model"]["merges"])
    vocabulary = Vocabulary(specials=("<|endoftext|>", "<|pad|>"), tokens=tuple(tokens), merges=merges)
    again = from_tiktoken(tiktoken_ranks(vocabulary), pattern_named("o200k"), {"<|endoftext|>": 598})
    assert again["model"]["merges"] == value["model"]["merges"]


def test_ranks_load_in_tiktoken(small_json: str, paragraphs: list[str]) -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="tiktoken is not installed (extra bench)")
    encoder = Encoder(small_json)
    ranks = {encoder.token_bytes(token_id): token_id - 2 for token_id in range(2, encoder.vocab_size)}
    theirs = tiktoken.Encoding("ours", pat_str=pattern_named("o200k").regex, mergeable_ranks=ranks, special_tokens={})
    for text in paragraphs:
        assert [token_id - 2 for token_id in encoder.encode(text)] == theirs.encode_ordinary(text)


def test_our_file_loads_in_transformers(small_json: str, paragraphs: list[str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text(small_json, encoding="utf-8")
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), eos_token="<|endoftext|>"
    )
    encoder = Encoder(small_json)
    assert theirs.eos_token_id == encoder.end_of_text_id
    assert len(theirs) == encoder.vocab_size
    for text in paragraphs[:-1]:  # the last holds literal special tokens, which transformers takes for real ones
        assert theirs(text)["input_ids"] == encoder.encode(text)
        assert theirs.decode(encoder.encode(text), clean_up_tokenization_spaces=False) == text


def test_the_byte_alphabet_is_that_of_tokenizers() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(pre_tokenizers.ByteLevel.alphabet()) == sorted(CHARACTERS)
    assert [to_characters(token) for token in BYTE_TOKENS] == sorted(CHARACTERS)
    assert to_bytes(to_characters(bytes(range(256)))) == bytes(range(256))
    value = tokenizer_value(Vocabulary(specials=(), tokens=BYTE_TOKENS, merges=()), pattern_named("gpt2"))
    assert Tokenizer.from_str(json.dumps(value)).encode("é\n").ids == [
        BYTE_TOKENS.index(bytes([byte])) for byte in "é\n".encode()
    ]


WRONG = [
    (b"YQ== 0\nnot base64 1\n", "line 2 of the rank file is not a token in base64"),
    (b"YQ== 0\n", "no token for the byte 0"),
]


@pytest.mark.parametrize(("ranks", "message"), WRONG)
def test_wrong_rank_files(ranks: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_tiktoken(ranks, pattern_named("gpt2"), {})
