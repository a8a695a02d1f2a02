"""The ledger of a crawl: what became of each URL, and enough to go on where a killed attempt stopped.

An archive part is a WARC file with a ledger of JSON lines beside it, one line for each thing that happened. A
record is flushed before its line is written. On a disk both grow under a name that ends in `.open`; after
a kill the part is cut behind the last whole line and closed. On an object store a part appears when
it is closed, the ledger last, so what a kill loses there is bounded by the age of a part.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import IO, Any, NamedTuple, Self, cast

from pipeline import storage
from pipeline.atomic import FileEntry
from pipeline.crawl import warc
from pipeline.places import filesystem, is_local, join, on_disk

WARC_SUFFIX = ".warc.gz"
LEDGER_SUFFIX = ".ledger.jsonl"
_OPEN = ".open"
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class Found(NamedTuple):
    """A URL that a page pointed to. `refusal` says why it is not queued; `kind` is `page` or `sitemap`."""

    url: str
    depth: int
    hops: int  # redirects in a row that led here
    kind: str = "page"
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What became of one URL: a line of the ledger.

    `verdict` is `page` for a usable page; `retry` for a failure that is tried again. `found` are the URLs
    of the same domain that nobody had seen before, `sent` those of other domains.
    """

    url: str
    verdict: str
    detail: str = ""
    kind: str = "page"
    depth: int = 0
    hops: int = 0
    via: str = ""
    tries: int = 0
    requested: bool = False  # whether a request was sent
    at: float = 0.0
    status: int = 0
    id: str = ""
    digest: str = ""
    media_type: str = ""
    charset: str = ""
    file: str = ""  # of the WARC record with the payload, relative to the run
    offset: int = -1
    length: int = 0  # of the payload, decoded
    warc_digest: str = ""
    etag: str = ""
    last_modified: str = ""
    end: int = -1  # of the archive part beside the ledger, after this visit
    strikes: int = 0  # of the site, after a failure
    pause_until: float = 0.0  # what a failure made of the pace of the site
    found: tuple[Found, ...] = ()
    sent: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsVisit:
    """What came of a request for a robots.txt (and a tdmrep.json): a line of the ledger."""

    origin: str
    domain: str
    access: str
    status: int
    content: str = ""  # in Latin-1, so that any bytes survive
    tdm: str = ""
    at: float = 0.0
    tries: int = 0
    retry_at: float = 0.0
    end: int = -1
    strikes: int = 0
    pause_until: float = 0.0


Event = Visit | RobotsVisit


def event_line(event: Event, *, end: int | None = None) -> bytes:
    """An event as a line of JSON; defaults are left out. `end` takes the place of the event's own."""
    kept = {}
    for name, about in event.__dataclass_fields__.items():
        value = getattr(event, name)
        if about.default is MISSING or value != about.default:
            kept[name] = value
    if end is not None:
        kept["end"] = end
    return _ENCODER.encode(kept).encode() + b"\n"


def parse_event(line: bytes) -> Event:
    """The event of a line."""
    value: dict[str, Any] = json.loads(line)
    if "origin" in value:
        return RobotsVisit(**value)
    for name in ("found", "sent"):
        if name in value:
            value[name] = tuple(Found(*item) for item in value[name])
    return Visit(**value)


class Part:
    """One part of the archive of a shard, being written."""

    def __init__(self, folder: str, name: str, info: Mapping[str, str], at: float) -> None:
        self.name = name
        self.opened_at = at
        self.num_records = 0
        self._folder = folder
        self._local = is_local(folder)
        self._offset = 0
        self._lines: list[bytes] = []
        self._warc = self._create(WARC_SUFFIX)
        self._ledger = self._create(LEDGER_SUFFIX) if self._local else None
        if self._ledger is not None:
            fcntl.flock(self._ledger.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._write(warc.warcinfo_record(info, filename=name + WARC_SUFFIX, at=at))

    def _create(self, suffix: str) -> IO[bytes]:
        path = join(self._folder, self.name + suffix)
        if self._local:
            os.makedirs(on_disk(self._folder), exist_ok=True)
            return open(on_disk(path) + _OPEN, "xb")
        fs, inner = filesystem(path)
        return cast("IO[bytes]", fs.open(inner, "wb"))

    @property
    def file(self) -> str:
        """The name of the WARC file, once the part is closed."""
        return self.name + WARC_SUFFIX

    @property
    def offset(self) -> int:
        """Where the next record will start."""
        return self._offset

    def append(self, records: bytes, event: Event) -> None:
        """Writes the records of an event, then its line: the commit."""
        if records:
            self._write(records)
            self.num_records += 1
        line = event_line(event, end=self._offset)
        if self._ledger is None:
            self._lines.append(line)
        else:
            self._ledger.write(line)
            self._ledger.flush()

    def _write(self, records: bytes) -> None:
        self._warc.write(records)
        if self._local:
            self._warc.flush()
        self._offset += len(records)

    def close(self) -> None:
        """Makes the part whole: first the WARC file, then the ledger."""
        for suffix, file in ((WARC_SUFFIX, self._warc), (LEDGER_SUFFIX, self._ledger)):
            path = join(self._folder, self.name + suffix)
            if file is None:
                storage.write_bytes(path, b"".join(self._lines))
                continue
            if not self._local:
                file.close()
                continue
            file.flush()
            os.fsync(file.fileno())
            local = on_disk(path)
            os.replace(local + _OPEN, local)
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def recover_parts(folder: str, shard: str) -> list[str]:
    """The names of the whole parts of a shard, after closing what a killed attempt left open.

    A part that a living process still writes is left alone.
    """
    if is_local(folder):
        for path in storage.list_files(folder):
            name = path.rsplit("/", 1)[-1]
            if name.startswith(shard + "-") and name.endswith(LEDGER_SUFFIX + _OPEN):
                _close_abandoned(on_disk(path))
    names = [path.rsplit("/", 1)[-1] for path in storage.list_files(folder)]
    return sorted(
        name.removesuffix(LEDGER_SUFFIX)
        for name in names
        if name.startswith(shard + "-") and name.endswith(LEDGER_SUFFIX)
    )


def _close_abandoned(ledger: str) -> None:
    """Cuts a part behind the last line whose records are whole, and gives it its name."""
    base = ledger.removesuffix(LEDGER_SUFFIX + _OPEN)
    with open(ledger, "r+b") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        archive = base + WARC_SUFFIX + _OPEN
        if not os.path.exists(archive):  # the kill fell between the two renames
            archive = base + WARC_SUFFIX
        size = os.path.getsize(archive) if os.path.exists(archive) else 0
        position, end = _whole_lines(file.read(), size)
        file.truncate(position)
        if position and os.path.exists(archive):
            os.truncate(archive, end)
            os.replace(archive, base + WARC_SUFFIX)
            os.replace(ledger, base + LEDGER_SUFFIX)
            return
    for path in (ledger, archive):
        if os.path.exists(path):
            os.unlink(path)


def _whole_lines(content: bytes, archive_bytes: int) -> tuple[int, int]:
    """Where the last line ends whose records lie within the archive, and where those records end."""
    position, end = 0, 0
    while (stop := content.find(b"\n", position)) >= 0:
        try:
            event = parse_event(content[position:stop])
        except (ValueError, TypeError):
            break
        if event.end > archive_bytes:
            break
        position, end = stop + 1, max(end, event.end)
    return position, end


def read_events(folder: str, part: str) -> Iterator[Event]:
    """The events of a whole part, in order."""
    with storage.open_read(join(folder, part + LEDGER_SUFFIX)) as file:
        for line in file:
            yield parse_event(line)


def part_entries(folder: str, part: str) -> list[FileEntry]:
    """What a manifest says of the two files of a whole part."""
    entries = []
    for suffix in (WARC_SUFFIX, LEDGER_SUFFIX):
        path = join(folder, part + suffix)
        sha256, num_bytes = storage.checksum(path)
        entries.append(FileEntry(path=path, sha256=sha256, num_bytes=num_bytes, num_records=0))
    return entries
