"""Records as Parquet: one schema a kind of record, streaming readers and writers, deterministic bytes."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import AtomicFile, FileEntry
from pipeline.errors import DataError
from pipeline.records import Document, Rejection
from pipeline.storage import open_read

DOCUMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("text", pa.string()),
        ("title", pa.string()),
        ("author", pa.string()),
        ("date", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("licence", pa.string()),
        ("source", pa.string()),
        ("canonical", pa.string()),
    ]
)
# A column of documents only where fields of the input are kept: what they hold, as a JSON object.
KEPT = "metadata"
DOCUMENTS_WITH_KEPT = DOCUMENTS.append(pa.field(KEPT, pa.string()))
# The last column of deduplicated documents, where it is asked for: how many documents each stands for, itself included.
CLUSTER_SIZE = "cluster_size"
REJECTIONS = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("duplicate_of", pa.string()),
    ]
)
# The page index: one row a page, in the order in which its file holds it. `file` and `position`
# say where the payload lies: `position` is the byte offset of a WARC record or of a line, the row
# number in Parquet, 0 for a file that is one page. `kind` names the reader.
PAGES = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("kind", pa.string()),
        ("file", pa.string()),
        ("position", pa.int64()),
        ("length", pa.int64()),
        ("digest", pa.string()),
        ("media_type", pa.string()),
        ("charset", pa.string()),
        ("date", pa.string()),
        ("source", pa.string()),
    ]
)
MEASURES_KEYS = [("id", pa.string()), ("decision", pa.string())]

_ROW_GROUP_BYTES = 16 << 20
_ROW_GROUP_ROWS = 8192


class TableWriter:
    """Writes rows of one schema to one Parquet file, holding at most one row group in memory.

    The bytes depend on the rows and their order alone, and on how they come in batches. Nothing appears at `path`
    if the block raises. `compressed=False` is for hashes, which do not compress.
    """

    def __init__(self, path: str, schema: pa.Schema, *, compressed: bool = True) -> None:
        self._schema = schema
        self._compressed = compressed
        self._sink = AtomicFile(path)
        self._rows: list[Mapping[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self.num_records = 0

    def __enter__(self) -> Self:
        self._sink.__enter__()
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="zstd" if self._compressed else "none",
            compression_level=3 if self._compressed else None,
            use_dictionary=self._compressed,
            write_statistics=self._compressed,
            store_schema=True,
        )
        return self

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row; columns that it lacks are null."""
        self._rows.append(row)
        self._took(1, sum(len(value) for value in row.values() if isinstance(value, (str, bytes))))

    def append_batch(self, batch: pa.RecordBatch) -> None:
        """Adds rows of this schema that are together already."""
        if batch.num_rows:
            self._seal()
            self._batches.append(batch)
            self._took(batch.num_rows, batch.nbytes)

    def _took(self, rows: int, num_bytes: int) -> None:
        self.num_records += rows
        self._held_rows += rows
        self._held_bytes += num_bytes
        if self._held_bytes >= _ROW_GROUP_BYTES or self._held_rows >= _ROW_GROUP_ROWS:
            self._flush()

    def _seal(self) -> None:
        if self._rows:
            self._batches += pa.Table.from_pylist(self._rows, schema=self._schema).to_batches()
            self._rows = []

    def _flush(self) -> None:
        self._seal()
        if self._batches:
            self._writer.write_table(pa.Table.from_batches(self._batches, schema=self._schema))
            self._batches, self._held_rows, self._held_bytes = [], 0, 0

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self._writer.is_open = False  # its destructor would write to the file that was given up
        else:
            try:
                self._flush()
                self._writer.close()
            except BaseException as failure:
                self._sink.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._sink.__exit__(kind, error, trace)

    def entry(self) -> FileEntry:
        """What a manifest says of this file, after the block."""
        return self._sink.entry(num_records=self.num_records)


def read_batches(path: str, columns: list[str] | None = None, batch_rows: int = 512) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in order, a few at a time.

    Raises:
        DataError: the file is not readable as Parquet.
    """
    with as_parquet(path), open_read(path) as file, pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_size=batch_rows, columns=columns)


@contextmanager
def as_parquet(path: str) -> Iterator[None]:
    """Says of what fails in the block, and is no failure of the disk, that the file `path` is not readable as Parquet."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise  # the disk or the store failed, not the data
        raise DataError(f"{path} is not readable as Parquet: {error}") from None


def read_rows(path: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file in order, as dictionaries."""
    for batch in read_batches(path, columns):
        yield from batch.to_pylist()


def read_documents(path: str) -> Iterator[Document]:
    """The documents of one file of a document dataset, in order."""
    for row in read_rows(path):
        yield Document(**row)


def document_schema(path: str) -> pa.Schema:
    """The schema of the documents in one file of a document dataset: with the column of kept fields or without."""
    with as_parquet(path), open_read(path) as file:
        return DOCUMENTS_WITH_KEPT if KEPT in pq.read_schema(file).names else DOCUMENTS


def with_cluster_size(schema: pa.Schema) -> pa.Schema:
    """The schema of documents with the size of their clusters."""
    return schema.append(pa.field(CLUSTER_SIZE, pa.int64()))


def document_row(document: Document) -> dict[str, Any]:
    """`document` as a row of `DOCUMENTS`, or of `DOCUMENTS_WITH_KEPT` where it has kept fields."""
    row = {name: getattr(document, name) for name in DOCUMENTS.names}
    return {**row, KEPT: document.metadata} if document.metadata else row


def rejection_row(rejection: Rejection) -> dict[str, Any]:
    """`rejection` as a row of `REJECTIONS`."""
    return {name: getattr(rejection, name) for name in REJECTIONS.names}


def measures_schema(names: Iterable[str]) -> pa.Schema:
    """The schema of a measures dataset: id, decision (`kept` or the reason), one column a measure."""
    return pa.schema([*MEASURES_KEYS, *((name, pa.float64()) for name in names)])
