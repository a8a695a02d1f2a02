"""Writes shard files and the batch index beside them."""

import json
import zlib
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.atomic import AtomicFile, FileEntry, Sink
from pipeline.pack.format import INDEX, BatchEntry, RowBlock, ShardSpec, index_path

Ints = npt.NDArray[np.int64]
_MAGIC = b"ARROW1\0\0"
_NUMBERS = ("offset", "num_bytes", "num_rows", "crc32")


class ShardWriter:
    """Writes row blocks to one shard file. Its bytes depend on the blocks and their order alone."""

    def __init__(self, path: str, spec: ShardSpec) -> None:
        self._schema = spec.schema()
        self._header_bytes = len(_MAGIC) + self._schema.serialize().size
        self._file = AtomicFile(path)
        self._sink = _ChecksumSink(self._file)
        self.entries: list[BatchEntry] = []

    def __enter__(self) -> Self:
        self._file.__enter__()
        options = pa.ipc.IpcWriteOptions(compression=None, use_threads=False)
        self._writer = pa.ipc.new_file(pa.PythonFile(self._sink, mode="w"), self._schema, options=options)
        return self

    def append(self, block: RowBlock) -> None:
        """Adds one record batch."""
        batch = block.to_batch(self._schema)
        offset = max(self._sink.tell(), self._header_bytes)  # Arrow writes the header with the first batch
        self._sink.begin(offset)
        self._writer.write_batch(batch)
        self.entries.append(
            BatchEntry(
                offset=offset,
                num_bytes=self._sink.tell() - offset,
                num_rows=batch.num_rows,
                crc32=self._sink.crc32,
                source=block.source,
            )
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._writer.close()
            except BaseException as failure:
                self._file.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._file.__exit__(kind, error, trace)

    def entry(self) -> FileEntry:
        """What a manifest says of this file, after the block."""
        return self._file.entry(num_records=sum(entry.num_rows for entry in self.entries))


class _ChecksumSink(Sink):
    """Passes on what Arrow writes, keeping the CRC-32 of what lies at or behind a place in the file."""

    def __init__(self, file: AtomicFile) -> None:
        self._file = file
        self._offset = 0
        self.crc32 = 0
        self.closed = False

    def begin(self, offset: int) -> None:
        """Starts a new checksum at `offset`."""
        self._offset, self.crc32 = offset, 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.crc32 = zlib.crc32(view[max(0, self._offset - self._file.tell()) :], self.crc32)
        return self._file.write(view)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()


def write_index(folder: str, split: str, spec: ShardSpec, files: Mapping[str, Sequence[BatchEntry]]) -> FileEntry:
    """Writes the batch index of a split from the entries of its files (paths relative to `folder`).

    Batches are sorted by source, then file, then position: a row's number within its source is
    the place of its batch in that order.
    """
    paths = sorted(files)
    sources = sorted({entry.source for entries in files.values() for entry in entries})
    placed = [(entry.source, file, entry) for file, path in enumerate(paths) for entry in files[path]]
    placed.sort(key=lambda item: (item[0], item[1], item[2].offset))
    number_of = {source: number for number, source in enumerate(sources)}
    columns = {name: np.array([getattr(entry, name) for *_, entry in placed], dtype=np.int64) for name in _NUMBERS}
    columns["file"] = np.array([file for _, file, _ in placed], dtype=np.int64)
    columns["source"] = np.array([number_of[source] for source, *_ in placed], dtype=np.int64)
    columns["first_row"] = _first_rows(columns["source"], columns["num_rows"])
    metadata = {
        **(spec.schema().metadata or {}),
        b"corpusmill.files": json.dumps({"files": paths, "sources": sources}).encode(),
    }
    schema = INDEX.with_metadata(metadata)
    with (
        AtomicFile(index_path(folder, split)) as sink,
        pa.ipc.new_file(pa.PythonFile(sink, mode="w"), schema) as writer,
    ):
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.entry(num_records=len(placed))


def _first_rows(source: Ints, num_rows: Ints) -> Ints:
    """The number of rows before each batch among those of its source; batches are sorted by source."""
    before = np.cumsum(num_rows) - num_rows
    return before - before[np.searchsorted(source, source)]
