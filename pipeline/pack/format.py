"""The shard format: what a file, a record batch and a row hold. `docs/shards.md` specifies it.

A shard file is an uncompressed Arrow IPC file whose record batches hold up to 256 rows of one source.
A batch index beside the shards (one a split, itself Arrow) names the byte range, the CRC-32, the
source and the rows of every batch. `shard_writer` writes both, `shards` reads them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.places import join
from pipeline.records import PackedRow

FORMAT = 1
ROWS_PER_BATCH = 256
ID_BYTES = 16
SHARDS = "shards"  # the folder of a run
SPLITS = ("train", "heldout")
_METADATA = b"corpusmill.shards"
INDEX = pa.schema(
    [
        pa.field("file", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("num_rows", pa.int32(), nullable=False),
        pa.field("crc32", pa.uint32(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("first_row", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSpec:
    """What all rows of a set of shards have in common; written into the schema of every file."""

    sequence_length: int
    vocab_size: int
    end_of_text_id: int
    tokenizer_hash: str
    method: str = "best_fit"
    format: int = FORMAT

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint16 where every id fits, else uint32."""
        return np.dtype("<u2" if self.vocab_size <= 1 << 16 else "<u4")

    @property
    def token_type(self) -> pa.DataType:
        """`dtype` as an Arrow type."""
        return pa.from_numpy_dtype(self.dtype)

    @property
    def pad_id(self) -> int:
        """What fills the slots of no document: end-of-text. Read boundaries, never the id, to find padding."""
        return self.end_of_text_id

    def schema(self) -> pa.Schema:
        """The Arrow schema of a shard file."""
        metadata = {_METADATA: json.dumps(asdict(self) | {"pad_id": self.pad_id}, sort_keys=True).encode()}
        return pa.schema(
            [
                pa.field(
                    "tokens",
                    pa.list_(pa.field("item", self.token_type, nullable=False), self.sequence_length + 1),
                    nullable=False,
                ),
                pa.field("starts", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
                pa.field("ends", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
                pa.field("offsets", pa.list_(pa.field("item", pa.int32(), nullable=False)), nullable=False),
                pa.field("doc_ids", pa.list_(pa.field("item", pa.binary(), nullable=False)), nullable=False),
                pa.field("source", pa.string(), nullable=False),
            ],
            metadata=metadata,
        )

    @classmethod
    def of(cls, schema: pa.Schema, path: str) -> "ShardSpec":
        """The spec in the schema of a shard file or batch index.

        Raises:
            DataError: there is none, or it is of a newer format.
        """
        try:
            value = json.loads(schema.metadata[_METADATA])
            if value["format"] > FORMAT:
                raise DataError(f"{path} has shard format {value['format']}; this version reads up to {FORMAT}")
            return cls(**{name: value[name] for name in cls.__dataclass_fields__})
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path} is not a Corpusmill shard file: its Arrow schema lacks our metadata") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBlock:
    """Up to 256 rows of one source as flat arrays.

    The documents in row r are those numbered `list_offsets[r]` to below `list_offsets[r + 1]`.
    """

    tokens: npt.NDArray[np.unsignedinteger[Any]]
    list_offsets: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int32]
    doc_ids: Sequence[bytes]
    source: str

    def to_batch(self, schema: pa.Schema) -> pa.RecordBatch:
        """The block as a record batch of a shard file."""
        rows, width = self.tokens.shape
        tokens = pa.FixedSizeListArray.from_arrays(pa.array(self.tokens.reshape(-1)), type=schema.field("tokens").type)
        assert (len(tokens), schema.field("tokens").type.list_size) == (rows, width)
        lists = pa.array(self.list_offsets, pa.int32())
        columns = [tokens]
        for name, values in (("starts", self.starts), ("ends", self.ends), ("offsets", self.offsets)):
            columns.append(pa.ListArray.from_arrays(lists, pa.array(values, pa.int32()), type=schema.field(name).type))
        ids = pa.array(self.doc_ids, pa.binary())
        columns.append(pa.ListArray.from_arrays(lists, ids, type=schema.field("doc_ids").type))
        columns.append(pa.array([self.source] * rows, pa.string()))
        return pa.record_batch(columns, schema=schema)

    @classmethod
    def of_batch(cls, batch: pa.RecordBatch) -> "RowBlock":
        """The block in a record batch, as views of its memory; ids are decoded when asked for by `row`."""
        tokens, starts = batch.column("tokens"), batch.column("starts")
        return cls(
            tokens=tokens.values.to_numpy().reshape(len(tokens), -1),
            list_offsets=starts.offsets.to_numpy(),
            starts=starts.values.to_numpy(),
            ends=batch.column("ends").values.to_numpy(),
            offsets=batch.column("offsets").values.to_numpy(),
            doc_ids=_BinaryView(batch.column("doc_ids").values),
            source=batch.column("source")[0].as_py() if batch.num_rows else "",
        )

    def row(self, number: int) -> PackedRow:
        """One row of the block."""
        first, last = int(self.list_offsets[number]), int(self.list_offsets[number + 1])
        return PackedRow(
            tokens=tuple(self.tokens[number].tolist()),
            starts=tuple(self.starts[first:last].tolist()),
            ends=tuple(self.ends[first:last].tolist()),
            offsets=tuple(self.offsets[first:last].tolist()),
            doc_ids=tuple(self.doc_ids[i] for i in range(first, last)),
            source=self.source,
        )


class _BinaryView(Sequence[bytes]):
    """A binary Arrow array that decodes a value when it is asked for."""

    def __init__(self, values: pa.BinaryArray) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index].as_py()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEntry:
    """Where one record batch of a shard file lies, and what it holds."""

    offset: int
    num_bytes: int
    num_rows: int
    crc32: int
    source: str


def index_path(folder: str, split: str) -> str:
    """Where the batch index of a split lies."""
    return join(folder, f"{split}.batches.arrow")
