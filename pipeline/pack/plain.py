"""Tokenising and packing of plain dictionaries, as the filters over JSON lines at a shell need them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.pack.config import PackConfig
from pipeline.pack.format import ShardSpec
from pipeline.pack.rows import TokenisedDocument, pack_documents
from pipeline.records import PackedRow
from tokenizer.encoding import Encoder

_BATCH = 256


def tokenize_records(records: Iterable[Mapping[str, Any]], encoder: Encoder) -> Iterator[dict[str, Any]]:
    """Each record with `tokens`, the ids of its `text`, without end-of-text.

    Raises:
        DataError: a record has no `text`.
    """
    for number, batch in enumerate(_batches(records)):
        texts = [_text(record, number * _BATCH + i) for i, record in enumerate(batch)]
        for record, tokens in zip(batch, encoder.encode_batch(texts), strict=True):
            yield {**record, "tokens": tokens.tolist()}


def pack_records(
    records: Iterable[Mapping[str, Any]], config: PackConfig, encoder: Encoder
) -> Iterator[dict[str, Any]]:
    """The rows of all records, from their `tokens` or else their `text`, as dictionaries of JSON values.

    Rows come by source, their documents by id, so the order of the records does not matter; all tokens
    are held in memory. `doc_ids` are the ids of the records where those are 32 hexadecimal digits, as
    ours are, and hashes of them otherwise.

    Raises:
        DataError: a record has neither `tokens` nor `text`, or a token is not of this tokenizer.
    """
    spec = spec_of(encoder, config)
    documents = _documents(records, encoder, spec)
    return (_row(row) for row in pack_documents(documents, config, spec))


def spec_of(encoder: Encoder, config: PackConfig) -> ShardSpec:
    """What rows of `config` with tokens of `encoder` have in common."""
    return ShardSpec(
        sequence_length=config.sequence_length,
        vocab_size=encoder.vocab_size,
        end_of_text_id=encoder.end_of_text_id,
        tokenizer_hash=encoder.hash,
        method=config.method,
    )


def record_id(record: Mapping[str, Any]) -> bytes:
    """The 16 bytes that name a record: its id if that is one of ours, else a hash of its id or of what it holds."""
    given = str(record.get("id", ""))
    if len(given) == 32 and set(given) <= set("0123456789abcdef"):
        return bytes.fromhex(given)
    content = given or str(record.get("text") or record.get("tokens"))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _documents(records: Iterable[Mapping[str, Any]], encoder: Encoder, spec: ShardSpec) -> Iterator[TokenisedDocument]:
    for number, batch in enumerate(_batches(records)):
        without = [i for i, record in enumerate(batch) if "tokens" not in record]
        texts = [_text(batch[i], number * _BATCH + i) for i in without]
        encoded = dict(zip(without, encoder.encode_batch(texts), strict=True))
        for i, record in enumerate(batch):
            tokens = encoded[i] if i in encoded else _checked(record["tokens"], number * _BATCH + i, spec)
            yield TokenisedDocument(id=record_id(record), source=str(record.get("source") or ""), tokens=tokens)


def _batches(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _checked(tokens: Any, number: int, spec: ShardSpec) -> Any:
    try:
        values = np.array(tokens, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"record {number + 1}: `tokens` is not a list of whole numbers") from None
    if values.ndim != 1 or (len(values) and not 0 <= values.min() <= values.max() < spec.vocab_size):
        raise DataError(f"record {number + 1}: `tokens` holds an id outside of this vocabulary of {spec.vocab_size}")
    return values.astype(spec.dtype)


def _text(record: Mapping[str, Any], number: int) -> str:
    text = record.get("text")
    if not isinstance(text, str):
        raise DataError(f"record {number + 1} has no `text`; it has {', '.join(sorted(record)) or 'nothing'}")
    return text


def _row(row: PackedRow) -> dict[str, Any]:
    return {
        "tokens": list(row.tokens),
        "starts": list(row.starts),
        "ends": list(row.ends),
        "offsets": list(row.offsets),
        "doc_ids": [doc_id.hex() for doc_id in row.doc_ids],
        "source": row.source,
    }
