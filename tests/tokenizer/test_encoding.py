"""No text gives a special id; all libraries give the same ids; round trips."""

import json
import multiprocessing
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tokenizer.backends import MAKERS, REFERENCE
from tokenizer.choosing import FASTEST, parity_sample
from tokenizer.encoding import Encoder, load_encoder, plain_text_value

LOOK_ALIKES = [
    "<|endoftext|>", " <|endoftext|> ", "a<|endoftext|>b", "<|endoftext|><|pad|>", "<|endoftext|", "|endoftext|>", "<|endoftext|>>",
    "<<|endoftext|>", "<|end<|endoftext|>oftext|>", "<|ENDOFTEXT|>", "<|endoftext|>\n\n<|endoftext|>", "＜|endoftext|＞",
    "<|endoftext\u200b|>", "\u0000<|endoftext|>\u0000", "<|pad|>" * 50, "special token 0", "special token 1", "Ġ", "ĠĠ", "Ċ",
]  # fmt: skip


@pytest.fixture(
    scope="session", params=[REFERENCE, "corpusmill", "gigatoken", pytest.param("fastokens", marks=pytest.mark.slow)]
)
def encoder(request: pytest.FixtureRequest, small_json: str) -> Encoder:
    if request.param in ("gigatoken", "fastokens"):
        pytest.importorskip(request.param, reason="the extra fast-encode is not installed")
    return Encoder(small_json, backend=request.param)


@pytest.fixture(scope="session")
def pickled(encoder: Encoder) -> Encoder:
    """As it comes to another process. Its tables are made anew, which takes a second or two."""
    copy: Encoder = pickle.loads(pickle.dumps(encoder))
    return copy


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_no_text_gives_a_special_id(text: str, encoder: Encoder, pickled: Encoder) -> None:
    for each in (encoder, pickled):
        ids = each.encode(text)
        assert min(ids) >= len(each.specials) == 2
        assert each.decode(ids) == text


def test_without_our_care_it_would(small_json: str) -> None:
    """What others make of the same file: the literal is the special token, also after a flag that a pickle loses."""
    tokenizer = Tokenizer.from_str(small_json)
    assert tokenizer.encode("<|endoftext|>").ids == [0]
    tokenizer.encode_special_tokens = True
    assert pickle.loads(pickle.dumps(tokenizer)).encode("<|endoftext|>").ids == [0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_nor_in_another_process(method: str, small_json: str) -> None:
    encoder = Encoder(small_json)
    encoder.encode("a")  # threads that a fork would lose are started by now
    with multiprocessing.get_context(method).Pool(1) as pool:
        (ids,) = pool.map_async(encoder.encode, ["x<|endoftext|><|pad|>"]).get(timeout=120)
    assert ids == encoder.encode("x<|endoftext|><|pad|>")
    assert min(ids) >= 2


def test_special_names_learned_as_text_stay_out_of_reach(small_json: str) -> None:
    """A tokenizer whose special name could also be reached through merges (`ignore_merges`, or a merge that makes it)."""
    value = json.loads(small_json)
    vocab = value["model"]["vocab"]
    value["added_tokens"].append({**value["added_tokens"][0], "id": vocab["th"], "content": "th"})
    encoder = Encoder(json.dumps(value))
    assert vocab["th"] not in encoder.encode("the th thing")
    assert encoder.decode(encoder.encode("the th thing")) == "the th thing"


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
@example("")
@example("\ud800 lone \udfff surrogates \ud83d\ude00")
@example("a" * 5000 + "\n" * 3000)
def test_round_trip_of_any_text(text: str) -> None:
    for encoder in _encoders():
        expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert encoder.decode(encoder.encode(text)) == expected


def test_round_trip_of_any_bytes(encoder: Encoder) -> None:
    """Bytes that are not UTF-8 survive exactly as bytes, and decode to text with U+FFFD for each bad stretch."""
    ids = [
        token_id
        for byte in (0xFF, 0xC3, 0x28, 0x80, 0x41)
        for token_id in range(2, 258)
        if encoder.token_bytes(token_id) == bytes([byte])
    ]
    assert encoder.decode_bytes(ids) == b"\xff\xc3\x28\x80\x41"
    assert encoder.decode(ids) == "\ufffd\ufffd(\ufffdA"
    with pytest.raises(ValueError, match="token id 600 is not in this vocabulary of 600"):
        encoder.decode([600])


def test_all_libraries_give_the_same_ids(
    encoder: Encoder, small_json: str, paragraphs: list[str], real_texts: list[str]
) -> None:
    reference = Encoder(small_json, backend=REFERENCE)
    texts = [*paragraphs, *real_texts[::40], *parity_sample()]
    ours, theirs = encoder.encode_batch(texts), reference.encode_batch(texts)
    assert all(np.array_equal(one, other) and one.dtype == np.uint16 for one, other in zip(ours, theirs, strict=True))


def test_the_fastest_is_chosen_after_a_megabyte(small_json: str, real_texts: list[str]) -> None:
    encoder = Encoder(small_json)
    assert encoder.backend == REFERENCE
    before = encoder.encode_batch(real_texts)
    assert encoder.backend in MAKERS  # machine code beats the reference everywhere
    after = encoder.encode_batch(real_texts)
    assert all(map(np.array_equal, before, after))
    assert pickle.loads(pickle.dumps(encoder)).encode(real_texts[0]) == before[0].tolist()


def test_a_library_that_disagrees_is_refused(small_json: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        name = "wrong"

        def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
            return [np.zeros(len(text), dtype=np.uint32) for text in texts]

    monkeypatch.setitem(MAKERS, "wrong", lambda value: Wrong())
    with pytest.raises(ValueError, match="backend wrong does not give the ids of tokenizers"):
        Encoder(small_json, backend="wrong")
    choice = Encoder(small_json, backend=FASTEST).choice
    assert (
        choice.backend.name == max(choice.speeds, key=choice.speeds.__getitem__) != "wrong"
    )  # though nothing is faster
    assert choice.refused["wrong"] == "backend wrong does not give the ids of tokenizers for this tokenizer"
    assert not choice.refused.keys() & choice.speeds.keys()
    with pytest.raises(ValueError, match="backend is 'nobody'; known are auto, fastest, tokenizers, corpusmill"):
        Encoder(small_json, backend="nobody")


def test_hash_and_size(small_json: str) -> None:
    encoder = Encoder(small_json)
    assert (encoder.vocab_size, encoder.end_of_text_id, encoder.specials) == (
        600,
        0,
        {"<|endoftext|>": 0, "<|pad|>": 1},
    )
    assert Encoder(json.dumps(json.loads(small_json), indent=4)).hash == encoder.hash  # lay-out does not matter
    value = json.loads(small_json)
    value["model"]["merges"] = value["model"]["merges"][:-1]
    assert Encoder(json.dumps(value)).hash != encoder.hash


def test_the_plain_value_keeps_all_other_ids(small_json: str) -> None:
    value = json.loads(small_json)
    plain = plain_text_value(value)
    assert plain["added_tokens"] == []
    assert len(plain["model"]["vocab"]) == 600
    assert {name: token_id for name, token_id in plain["model"]["vocab"].items() if token_id > 1} == {
        name: token_id for name, token_id in value["model"]["vocab"].items() if token_id > 1
    }


BROKEN = [
    ("{", "not a usable byte-level tokenizer.json: "),
    ('{"model": {"type": "WordPiece", "vocab": {}}}', "the model is not byte-level BPE"),
    ('{"model": {"type": "BPE", "vocab": {"中": 0}, "merges": []}}', "stands for no byte"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_what_is_no_tokenizer_is_refused(text: str, message: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        load_encoder(str(tmp_path / "tokenizer.json"))
    with pytest.raises(FileNotFoundError):
        load_encoder(str(tmp_path / "none.json"))


_MADE: list[Encoder] = []


def _encoders() -> list[Encoder]:
    """The reference and ours, made once: hypothesis takes no fixtures of narrower scope."""
    if not _MADE:
        from tests.tokenizer.conftest import PARAGRAPHS
        from tokenizer.patterns import pattern_named
        from tokenizer.splitting import Splitter
        from tokenizer.training import WordCounts, learn
        from tokenizer.writing import tokenizer_json

        counts = Splitter(pattern_named("cl100k")).count(PARAGRAPHS)
        text = tokenizer_json(
            learn(WordCounts.of(counts), vocab_size=500, specials=("<|endoftext|>",)), pattern_named("cl100k")
        )
        _MADE.extend(Encoder(text, backend=backend) for backend in (REFERENCE, "corpusmill"))
    return _MADE
