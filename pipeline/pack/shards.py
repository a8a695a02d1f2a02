"""Reads shards: any row by source and number, lazily, each record batch checked when it is first touched.

No Beam and no torch here. Opening reads the manifest and maps the batch index (8 ms for a small set, 0.2 s
for a trillion tokens); a row is one binary search and one byte range away, on a disk or in an object store.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import getitem
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError, InputError
from pipeline.manifests import read_manifest
from pipeline.pack.batch_store import BatchStore, open_store
from pipeline.pack.format import INDEX, SPLITS, RowBlock, ShardSpec, index_path
from pipeline.places import is_local, join, on_disk
from pipeline.records import PackedRow
from pipeline.steps import content_of
from pipeline.storage import checksum, exists, read_bytes

__all__ = ["SPLITS", "RowBlock", "ShardSet", "ShardSpec", "has_split"]
_MAX_BLOCKS = 1 << 16


@dataclass(slots=True, kw_only=True)
class _Index:
    """The columns of a batch index, and the first batch of each source."""

    files: list[str]
    sources: list[str]
    columns: dict[str, npt.NDArray[Any]]
    first_batch: list[int]


@dataclass(kw_only=True)
class ShardSet:
    """The rows of one split of a set of shards, addressed by source and number, read lazily.

    A record batch (here a *block*) is checked against its CRC-32 when it is first touched and then
    viewed in place; views are let go when they are very many, or more than the cache should hold.
    """

    folder: str
    split: str
    spec: ShardSpec
    identity: str
    counts: Mapping[str, int]
    _index: _Index
    _store: BatchStore
    verify: bool = True
    _blocks: dict[int, RowBlock] = field(default_factory=dict)
    _views: list[npt.NDArray[Any] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Makes room for a view of each block."""
        self._schema = self.spec.schema()
        self._forget()

    @classmethod
    def open(
        cls, folder: str, split: str = "train", *, verify: bool = True, cache_folder: str = "", cache_bytes: int = 0
    ) -> "ShardSet":
        """The shards in `folder`; of a remote folder, batches are kept in `cache_folder`, up to `cache_bytes`.

        Raises:
            InputError: there are no complete shards, or none of this split.
            DataError: the batch index is damaged or not ours.
        """
        manifest = read_manifest(folder)
        path = index_path(folder, split)
        entry = next((entry for entry in manifest.files if join(folder, entry.path) == path), None)
        if entry is None:
            raise InputError(
                f"{folder} has no split {split!r}; its batch index {split}.batches.arrow is not in the manifest"
            )
        if verify and checksum(path) != (entry.sha256, entry.num_bytes):
            raise DataError(f"{path} has changed since it was written: its SHA-256 is not the one in the manifest")
        spec, index = _read_index(path)
        store = open_store(folder, index.files, cache_folder, cache_bytes)
        return cls(
            folder=folder, split=split, spec=spec, identity=content_of(manifest), counts=manifest.counts,
            _index=index, _store=store, verify=verify,
        )  # fmt: skip

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources, sorted."""
        return tuple(self._index.sources)

    def num_rows(self, source: str | None = None) -> int:
        """The rows of a source, or of all."""
        if source is None:
            return sum(self.num_rows(name) for name in self.sources)
        last = self._index.first_batch[self._number_of(source) + 1] - 1
        return int(self._index.columns["first_row"][last] + self._index.columns["num_rows"][last])

    def locate(self, source: int, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """For rows of source number `source`, by their numbers: their blocks and their places in those."""
        low, high = self._index.first_batch[source], self._index.first_batch[source + 1]
        first_row = self._index.columns["first_row"]
        blocks = first_row[low:high].searchsorted(rows, side="right")
        blocks += low - 1
        return blocks, rows - first_row.take(blocks)

    def block(self, number: int) -> RowBlock:
        """Block `number`, read and checked when it is first asked for.

        Raises:
            DataError: its bytes are not those that were written.
        """
        block = self._blocks.get(number)
        if block is None:
            block = self._load(number)
            self._held_bytes += int(self._index.columns["num_bytes"][number])
            if len(self._blocks) >= _MAX_BLOCKS or self._held_bytes > self._store.max_held_bytes:
                self._forget()
            self._blocks[number] = block
            self._views[number] = block.tokens
        return block

    def blocks_at(self, numbers: Sequence[int]) -> list[RowBlock]:
        """As `block`, for many; those of remote shards that are not at hand are fetched side by side."""
        found = list(map(self._blocks.get, numbers))
        if all(found):
            return cast("list[RowBlock]", found)
        missing = {number for number, block in zip(numbers, found, strict=True) if block is None}
        if len(missing) < 2 or self._store.num_readers < 2:
            return [self.block(number) for number in numbers]
        with ThreadPoolExecutor(self._store.num_readers) as readers:
            fetched = dict(zip(missing, readers.map(self.block, missing), strict=True))
        return [fetched.get(number) or self.block(number) for number in numbers]

    def token_rows(self, source: int, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
        """The T+1 tokens of each row of source number `source`, as views of the files; the fast way to many rows."""
        blocks, places = (numbers.tolist() for numbers in self.locate(source, rows))
        views: list[Any] = self._views
        try:
            return list(map(getitem, map(views.__getitem__, blocks), places))
        except TypeError:  # the None of a block that was not touched yet
            return [self.block(block).tokens[place] for block, place in zip(blocks, places, strict=True)]

    def row(self, source: str, number: int) -> PackedRow:
        """Row `number` of `source`.

        Raises:
            DataError: its bytes are not those that were written.
            IndexError: there is no such row.
        """
        if not 0 <= number < self.num_rows(source):
            raise IndexError(f"source {source!r} has rows 0 to {self.num_rows(source) - 1}, not {number}")
        blocks, places = self.locate(self._number_of(source), np.array([number]))
        return self.block(int(blocks[0])).row(int(places[0]))

    def blocks(self, file: str | None = None) -> Iterator[tuple[int, RowBlock]]:
        """All blocks with the number of their first row within their source, in order; of one file if one is named."""
        files = self._index.columns["file"]
        chosen = files >= 0 if file is None else files == self._index.files.index(file)
        for batch in np.flatnonzero(chosen).tolist():
            yield int(self._index.columns["first_row"][batch]), self._load(batch)

    @property
    def files(self) -> tuple[str, ...]:
        """The shard files, relative to the folder."""
        return tuple(self._index.files)

    def close(self) -> None:
        """Lets go of files and views."""
        self._forget()
        self._store.close()

    def _forget(self) -> None:
        self._held_bytes = 0
        self._blocks.clear()
        self._views = [None] * len(self._index.columns["file"])

    def _number_of(self, source: str) -> int:
        try:
            return self._index.sources.index(source)
        except ValueError:
            raise InputError(
                f"{self.folder} has no rows of source {source!r}; it has {', '.join(map(repr, self.sources))}"
            ) from None

    def _load(self, batch: int) -> RowBlock:
        column = self._index.columns
        file, offset, num_bytes, crc32 = (int(column[name][batch]) for name in ("file", "offset", "num_bytes", "crc32"))
        data = self._store.read(file, offset, num_bytes)
        if not self._is_whole(data, num_bytes, crc32):
            self._store.forget(file, offset, num_bytes)  # a cached copy may be of older shards at this place
            data = self._store.read(file, offset, num_bytes)
            if not self._is_whole(data, num_bytes, crc32):
                path, where = join(self.folder, self._index.files[file]), f"bytes {offset} to {offset + num_bytes}"
                raise DataError(f"{path} is damaged: {where} differ from their checksum in the batch index")
        return RowBlock.of_batch(pa.ipc.read_record_batch(data, self._schema))

    def _is_whole(self, data: pa.Buffer, num_bytes: int, crc32: int) -> bool:
        return len(data) == num_bytes and (not self.verify or zlib.crc32(data) == crc32)


def _read_index(path: str) -> tuple[ShardSpec, _Index]:
    try:
        source = pa.memory_map(on_disk(path)) if is_local(path) else pa.BufferReader(read_bytes(path))
        table = pa.ipc.open_file(source).read_all()
        names = json.loads(table.schema.metadata[b"corpusmill.files"])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not readable as a batch index: {error}") from None
    columns = {name: table[name].combine_chunks().to_numpy() for name in INDEX.names}
    numbers = np.arange(len(names["sources"]) + 1)
    first_batch = np.searchsorted(columns["source"], numbers).tolist()
    return ShardSpec.of(table.schema, path), _Index(
        files=names["files"], sources=names["sources"], columns=columns, first_batch=first_batch
    )


def has_split(folder: str, split: str) -> bool:
    """Whether a complete set of shards in `folder` has this split."""
    return exists(index_path(folder, split))
