"""The files between encoding and packing: the tokens of one part of the corpus, grouped by bucket.

A bucket is a range of document ids within a split (ids are hashes, so buckets are even). A file is a
sequence of Arrow record-batch messages, one a bucket that has documents, and then the byte offsets of
all buckets, so that whoever packs a range of buckets reads one range of every file.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError
from pipeline.pack.format import ID_BYTES, SPLITS
from pipeline.storage import open_read

NUM_BUCKETS = 4096
_NUM_KEYS = len(SPLITS) * NUM_BUCKETS
_TRAILER_BYTES = 8 * (_NUM_KEYS + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedDocument:
    """The tokens of one document, without its end-of-text, and what the packer needs to know of it."""

    id: bytes
    split: str
    source: str
    language: str
    text_bytes: int
    tokens: npt.NDArray[Any]

    @property
    def bucket(self) -> int:
        """The number of its bucket, over all splits."""
        return SPLITS.index(self.split) * NUM_BUCKETS + (int.from_bytes(self.id[:2], "big") * NUM_BUCKETS >> 16)


def buckets_of(split: str, shard: int, num_shards: int) -> tuple[int, int]:
    """The buckets, first and past the last, that make shard `shard` of a split."""
    base = SPLITS.index(split) * NUM_BUCKETS
    return base + shard * NUM_BUCKETS // num_shards, base + (shard + 1) * NUM_BUCKETS // num_shards


def shard_of(doc_id: bytes, num_shards: int) -> int:
    """The shard of its split that holds a document."""
    bucket = int.from_bytes(doc_id[:2], "big") * NUM_BUCKETS >> 16
    return ((bucket + 1) * num_shards - 1) // NUM_BUCKETS


def write_encoded(file: AtomicFile, documents: Sequence[EncodedDocument], token_type: pa.DataType) -> None:
    """Writes `documents`, in any order, to a file that is open."""
    schema = _schema(token_type)
    buckets: dict[int, list[EncodedDocument]] = {}
    for document in documents:
        buckets.setdefault(document.bucket, []).append(document)
    offsets = np.zeros(_NUM_KEYS + 1, dtype="<i8")
    for bucket in sorted(buckets):
        offsets[bucket + 1] = file.write(_batch(sorted(buckets[bucket], key=_order), schema).serialize())
    np.cumsum(offsets, out=offsets)
    file.write(offsets.tobytes())


def encoded_entry(file: AtomicFile, documents: Sequence[EncodedDocument]) -> FileEntry:
    """What a manifest says of the file."""
    return file.entry(num_records=len(documents))


def read_encoded(path: str, buckets: tuple[int, int], token_type: pa.DataType) -> Iterator[pa.RecordBatch]:
    """The record batches of the buckets `buckets[0]` to below `buckets[1]`, in order.

    Raises:
        DataError: the file ends too early.
    """
    schema = _schema(token_type)
    with open_read(path) as file:
        size = file.seek(0, 2)
        if size < _TRAILER_BYTES:
            raise DataError(f"{path} is damaged: it has {size} bytes, fewer than its table of buckets")
        first, last = (_offset(file, size, bucket) for bucket in buckets)
        file.seek(first)
        source = pa.BufferReader(file.read(last - first))
    while source.tell() < last - first:
        yield pa.ipc.read_record_batch(pa.ipc.read_message(source), schema)


def _offset(file: IO[bytes], size: int, bucket: int) -> int:
    file.seek(size - _TRAILER_BYTES + 8 * bucket)
    return int.from_bytes(file.read(8), "little")


def _order(document: EncodedDocument) -> tuple[bytes, int]:
    return document.id, zlib.crc32(document.tokens.data)


def _schema(token_type: pa.DataType) -> pa.Schema:
    return pa.schema(
        [
            ("id", pa.binary(ID_BYTES)),
            ("source", pa.string()),
            ("language", pa.string()),
            ("text_bytes", pa.int64()),
            ("tokens", pa.large_list(pa.field("item", token_type, nullable=False))),
        ]
    )


def _batch(documents: Sequence[EncodedDocument], schema: pa.Schema) -> pa.RecordBatch:
    lengths = np.array([0, *(len(document.tokens) for document in documents)], dtype=np.int64)
    tokens = np.concatenate([document.tokens for document in documents])
    return pa.record_batch(
        [
            pa.array([document.id for document in documents], pa.binary(ID_BYTES)),
            pa.array([document.source for document in documents], pa.string()),
            pa.array([document.language for document in documents], pa.string()),
            pa.array([document.text_bytes for document in documents], pa.int64()),
            pa.LargeListArray.from_arrays(
                pa.array(np.cumsum(lengths)), pa.array(tokens), type=schema.field("tokens").type
            ),
        ],
        schema=schema,
    )
