"""Tokenising and packing of plain records."""

import json

import pytest

from pipeline.errors import DataError
from pipeline.pack.config import PackConfig
from pipeline.pack.plain import pack_records, record_id, tokenize_records
from tests.pack.shard_maker import byte_tokenizer
from tokenizer.encoding import Encoder

CONFIG = PackConfig(sequence_length=16)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(byte_tokenizer())


def records(number: int = 300) -> list[dict[str, object]]:
    return [{"id": str(i), "text": f"text {i} " * (i % 7), "source": ("a", "b")[i % 2]} for i in range(number)]


def test_tokens_decode_to_the_text(encoder: Encoder) -> None:
    for record in tokenize_records(records(), encoder):
        assert encoder.decode(record["tokens"]) == record["text"]
        assert encoder.end_of_text_id not in record["tokens"]


def test_rows_from_text_equal_rows_from_tokens_in_any_order(encoder: Encoder) -> None:
    from_text = list(pack_records(records(), CONFIG, encoder))
    tokenised = [{**record, "text": None} for record in tokenize_records(records(), encoder)]
    assert list(pack_records(tokenised[::-1], CONFIG, encoder)) == from_text
    assert json.loads(json.dumps(from_text)) == from_text
    assert {row["source"] for row in from_text} == {"a", "b"}


def test_every_record_is_in_the_rows(encoder: Encoder) -> None:
    seen = {doc_id for row in pack_records(records(), CONFIG, encoder) for doc_id in row["doc_ids"]}
    assert seen == {record_id(record).hex() for record in records()}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"id": "00" * 16}, bytes(16)),  # an id of ours
        ({"id": "00" * 15 + "0G"}, None),  # looks like one
        ({"id": 17}, None),
        ({"text": "no id"}, None),
    ],
)
def test_ids(record: dict[str, object], expected: bytes | None) -> None:
    doc_id = record_id(record)
    assert len(doc_id) == 16
    assert expected is None or doc_id == expected
    assert doc_id == record_id(dict(record))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"title": "x"}, "record 2 has no `text`; it has title"),
        ({"text": None}, "record 2 has no `text`"),
        ({"tokens": [1, 2, 70_000]}, "record 2: `tokens` holds an id outside of this vocabulary of 257"),
        ({"tokens": [-1]}, "record 2: `tokens` holds an id outside"),
        ({"tokens": "abc"}, "record 2: `tokens` is not a list of whole numbers"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(encoder: Encoder, record: dict[str, object], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        list(pack_records([{"text": "fine"}, record], CONFIG, encoder))
