"""The URLs of a shard that wait for their turn, on the disk of the worker: memory does not grow with them.

They lie in a SQLite database that only this process knows and that vanishes with it; what of them outlives a
round is written as a table. Its page cache is all that is in memory.
"""

import errno
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.atomic import FileEntry
from pipeline.tables import TableWriter

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
_CACHE_KIB = 16 << 10
_ANY_DEPTH = 1 << 31
# The key is the order of a queue. `held` keeps a URL out of this round.
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA temp_store = FILE;
CREATE TABLE queue (
    domain TEXT, held INTEGER, depth INTEGER, place INTEGER, url TEXT, hops INTEGER, via TEXT, kind TEXT, tries INTEGER,
    not_before REAL, reason TEXT, PRIMARY KEY (domain, held, depth, place)
) WITHOUT ROWID;
CREATE TABLE links (depth INTEGER, url TEXT, hops INTEGER, via TEXT);
"""


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


class Turn(NamedTuple):
    """A URL that was taken out of its queue, and its place there."""

    place: int
    entry: QueuedUrl


@dataclass(slots=True)
class SiteQueue:
    """How much waits for one registrable domain. `room` is the number of its requests in this round."""

    room: int
    num_ready: int = 0
    num_held: int = 0

    def __len__(self) -> int:
        return self.num_ready + self.num_held


class UrlQueues:
    """A queue of URLs for each domain: the least depth first, equal depths in the order of arrival."""

    def __init__(self) -> None:
        handle, path = tempfile.mkstemp(prefix="corpusmill-", suffix=".sqlite")
        os.close(handle)
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(f"PRAGMA cache_size = -{_CACHE_KIB};{_TABLES}BEGIN;")
        finally:
            os.unlink(path)
        self._num_places = 0

    def put(self, domain: str, entry: QueuedUrl, *, held: bool = False) -> None:
        """Adds a URL at the end of those of its depth. One that is held has no turn in this round."""
        self._num_places += 1
        self._insert(domain, held, self._num_places, entry)

    def put_back(self, domain: str, turn: Turn) -> None:
        """Gives a URL its place again."""
        self._insert(domain, False, turn.place, turn.entry)

    def _insert(self, domain: str, held: bool, place: int, entry: QueuedUrl) -> None:
        url, depth, *others = entry
        self._execute("INSERT INTO queue VALUES (?,?,?,?,?,?,?,?,?,?,?)", (domain, held, depth, place, url, *others))

    def pop(self, domain: str, max_depth: int | None) -> Turn | None:
        """Takes out the first URL of a domain, if it is not below `max_depth`."""
        row = self._execute(
            "SELECT place, url, depth, hops, via, kind, tries, not_before, reason FROM queue "
            "WHERE domain = ? AND held = 0 AND depth <= ? ORDER BY depth, place LIMIT 1",
            (domain, _ANY_DEPTH if max_depth is None else max_depth),
        ).fetchone()
        if row is None:
            return None
        turn = Turn(row[0], QueuedUrl(*row[1:]))
        self._delete(domain, turn.entry.depth, turn.place)
        return turn

    def take(self, domain: str, kind: str, url: str, depth: int) -> bool:
        """Takes out one URL out of its turn; whether it was there."""
        row = self._execute(
            "SELECT place FROM queue WHERE domain = ? AND held = 0 AND depth = ? AND url = ? AND kind = ? ORDER BY place LIMIT 1",
            (domain, depth, url, kind),
        ).fetchone()
        if row is not None:
            self._delete(domain, depth, row[0])
        return row is not None

    def _delete(self, domain: str, depth: int, place: int) -> None:
        self._execute(
            "DELETE FROM queue WHERE domain = ? AND held = 0 AND depth = ? AND place = ?", (domain, depth, place)
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """All that wait, as rows of `QUEUE`, by domain and in the order of its queue."""
        names = ", ".join(QUEUE.names)
        for row in self._execute(f"SELECT {names} FROM queue ORDER BY domain, held, depth, place", ()):
            yield dict(zip(QUEUE.names, row, strict=True))

    def sorted_links(self, links: Iterable[tuple[int, str, int, str]]) -> Iterator[tuple[int, str, int, str]]:
        """Links, as depth, URL, redirects and referrer, in their order; sorted on the disk. To be read to the end."""
        for link in links:
            self._execute("INSERT INTO links VALUES (?,?,?,?)", link)
        yield from self._execute("SELECT * FROM links ORDER BY depth, url, hops, via", ())
        self._execute("DELETE FROM links", ())

    def _execute(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        """Runs one statement.

        Raises:
            OSError: the disk is full.
        """
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({error})") from None

    def close(self) -> None:
        """Gives the disk back."""
        self._database.close()


def write_queue(path: str, rows: Iterable[dict[str, Any]]) -> tuple[FileEntry, Counter[str]]:
    """Writes waiting URLs, and counts them by reason."""
    reasons: Counter[str] = Counter()
    with TableWriter(path, QUEUE) as table:
        for row in rows:
            table.append(row)
            reasons[row["reason"]] += 1
    return table.entry(), reasons
