"""Which shard a URL belongs to, which URLs were ever seen (16 bytes each), and tables that pass a round on disk."""

import hashlib
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.atomic import AtomicFile, FileEntry
from pipeline.places import join
from pipeline.tables import TableWriter, read_rows

_COMPACT_AT = 1 << 16


def fingerprint(url: str) -> bytes:
    """16 bytes for a URL."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def shard_of(domain: str, num_shards: int) -> int:
    """The shard that a registrable domain belongs to, whole."""
    return int.from_bytes(hashlib.blake2b(domain.encode(), digest_size=8).digest()) % num_shards


class Seen:
    """A set of URL fingerprints: a sorted array, and a small set of the latest."""

    def __init__(self) -> None:
        self._first = np.empty(0, dtype=np.uint64)
        self._second = np.empty(0, dtype=np.uint64)
        self._recent: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._first) + len(self._recent)

    def add(self, mark: bytes) -> bool:
        """Whether `mark` is new; from now on it is not."""
        if mark in self._recent or self._in_array(mark):
            return False
        self._recent.add(mark)
        if len(self._recent) > max(_COMPACT_AT, len(self._first) // 8):
            self._compact()
        return True

    def _in_array(self, mark: bytes) -> bool:
        if not len(self._first):
            return False
        first, second = np.frombuffer(mark, dtype="<u8")
        place = int(self._first.searchsorted(first))
        while place < len(self._first) and self._first[place] == first:
            if self._second[place] == second:
                return True
            place += 1
        return False

    def _compact(self) -> None:
        """Merges the latest into the array, which stays sorted by both halves."""
        new = np.frombuffer(b"".join(self._recent), dtype="<u8").reshape(-1, 2)
        new = new[np.lexsort((new[:, 1], new[:, 0]))]
        places = self._first.searchsorted(new[:, 0])
        self._first = np.insert(self._first, places, new[:, 0])
        self._second = np.insert(self._second, places, new[:, 1])
        self._recent = set()
        if np.any(self._first[1:] == self._first[:-1]):
            order = np.lexsort((self._second, self._first))
            self._first, self._second = self._first[order], self._second[order]

    def save(self, path: str) -> FileEntry:
        """Writes the set; equal sets give equal bytes."""
        self._compact()
        with AtomicFile(path) as file:
            file.write(np.stack([self._first, self._second]).astype("<u8").tobytes())
        return file.entry(num_records=0)

    def load(self, path: str) -> None:
        """Reads what `save` wrote."""
        both = np.frombuffer(storage.read_bytes(path), dtype="<u8").reshape(2, -1)
        self._first, self._second = both[0].astype(np.uint64), both[1].astype(np.uint64)


class Spool:
    """Rows of one schema in a temporary table on the disk of the worker, made when it is needed."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._path = join(tempfile.gettempdir(), f"corpusmill-{uuid.uuid4().hex}.parquet")
        self._writer: TableWriter | None = None
        self._num_rows = 0

    def __len__(self) -> int:
        return self._num_rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one row."""
        if self._writer is None:
            self._writer = TableWriter(self._path, self._schema)
            self._writer.__enter__()
        self._writer.append(row)
        self._num_rows += 1

    def drain(self) -> Iterator[dict[str, Any]]:
        """All rows in order; the table is gone afterwards."""
        if self._writer is None:
            return
        self._writer.__exit__(None, None, None)
        self._writer = None
        yield from read_rows(self._path)
        storage.remove_tree(self._path)
