"""The URLs that a shard knows: those that wait, by site, and fingerprints of all that were ever seen.

Memory is bounded: of a site, only as many URLs are held as it may get requests in a round; the others
stay in files, in order. What was seen is 16 bytes a URL.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.storage import AtomicFile, FileEntry
from pipeline.tables import TableWriter, read_rows

QUEUE = pa.schema(
    [
        ("domain", pa.string()),
        ("url", pa.string()),
        ("kind", pa.string()),
        ("depth", pa.int32()),
        ("hops", pa.int32()),
        ("via", pa.string()),
        ("tries", pa.int32()),
        ("not_before", pa.float64()),
        ("reason", pa.string()),
    ]
)
_COMPACT_AT = 1 << 16


class QueuedUrl(NamedTuple):
    """A URL that waits. `reason` says what it waits for, if not just for its turn."""

    url: str
    depth: int
    hops: int = 0
    via: str = ""
    kind: str = "page"
    tries: int = 0
    not_before: float = 0.0
    reason: str = ""

    def row(self, domain: str) -> dict[str, Any]:
        """As a row of `QUEUE`."""
        return {"domain": domain, **self._asdict()}


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
        new = np.frombuffer(b"".join(sorted(self._recent)), dtype="<u8").reshape(-1, 2)
        first = np.concatenate([self._first, new[:, 0]])
        second = np.concatenate([self._second, new[:, 1]])
        order = np.lexsort((second, first))
        self._first, self._second, self._recent = first[order], second[order], set()

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


@dataclass(slots=True)
class SiteQueue:
    """The waiting URLs of one registrable domain: `urls` within reach of this round, others behind them in a file."""

    room: int
    urls: deque[QueuedUrl] = field(default_factory=deque)
    held: list[QueuedUrl] = field(default_factory=list)
    num_behind: int = 0

    def __len__(self) -> int:
        return len(self.urls) + len(self.held) + self.num_behind

    def sort(self) -> None:
        """Puts the least depth first; equal depths stay in order of arrival."""
        self.urls = deque(sorted(self.urls, key=lambda entry: entry.depth))

    def take(self, url: str) -> QueuedUrl | None:
        """Removes one URL out of its turn, if it is within reach."""
        if self.urls and self.urls[0].url == url:
            return self.urls.popleft()
        for place, entry in enumerate(self.urls):
            if entry.url == url:
                del self.urls[place]
                return entry
        return None


class Overflow:
    """URLs beyond the reach of this round, in a temporary table on the disk of the worker, made when it is needed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: TableWriter | None = None

    def append(self, domain: str, entry: QueuedUrl) -> None:
        """Adds one URL."""
        if self._writer is None:
            self._writer = TableWriter(self._path, QUEUE)
            self._writer.__enter__()
        self._writer.append(entry.row(domain))

    def drain(self) -> Iterator[dict[str, Any]]:
        """All rows in order; the table is gone afterwards."""
        if self._writer is None:
            return
        self._writer.__exit__(None, None, None)
        self._writer = None
        yield from read_rows(self._path)
        storage.remove_tree(self._path)


def write_queue(path: str, rows: Iterable[dict[str, Any]]) -> tuple[FileEntry, Counter[str]]:
    """Writes waiting URLs, and counts them by reason."""
    reasons: Counter[str] = Counter()
    with TableWriter(path, QUEUE) as table:
        for row in rows:
            table.append(row)
            reasons[row["reason"]] += 1
    return table.entry(), reasons
