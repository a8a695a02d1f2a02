"""The archive that one shard writes in one round: parts of WARC and ledger, and where payloads lie in them."""

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.crawl.config import LimitsConfig
from pipeline.crawl.ledger import Event, Part
from pipeline.places import join


class Stored(NamedTuple):
    """A record with a payload: who else has the same payload refers to it."""

    url: str
    date: str
    file: str
    offset: int
    warc_digest: str


class Archive:
    """Appends to the current part, and begins a new one when that is big, long or old enough."""

    def __init__(
        self, run: str, output: str, shard: str, limits: LimitsConfig, info: Mapping[str, str], *, num_parts: int
    ) -> None:
        self._folder = join(run, output)
        self._relative = output
        self._shard = shard
        self._limits = limits
        self._info = info
        self._number = num_parts
        self._part: Part | None = None

    def append(self, records: bytes, event: Event, now: float) -> None:
        """Writes the records of an event and its line in the ledger."""
        self._open(now).append(records, event)

    def place(self, now: float) -> tuple[str, int]:
        """The file (relative to the run) and the offset of the next record."""
        part = self._open(now)
        return f"{self._relative}/{part.file}", part.offset

    def _open(self, now: float) -> Part:
        part, limits = self._part, self._limits
        if part is not None and (
            part.offset >= limits.part_bytes
            or part.num_records >= limits.part_records
            or now - part.opened_at >= limits.part_seconds
        ):
            self.close()
        if self._part is None:
            self._part = self._new(now)
        return self._part

    def _new(self, now: float) -> Part:
        while True:
            name = f"{self._shard}-{self._number:04d}"
            self._number += 1
            try:
                return Part(self._folder, name, self._info, now)
            except FileExistsError:  # of another attempt that is still alive
                continue

    def close(self) -> None:
        """Makes the last part whole."""
        if self._part is not None:
            self._part.close()
            self._part = None


def warcinfo(user_agent: str) -> dict[str, str]:
    """Who made an archive, and by which rules."""
    return {
        "software": "corpusmill",
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "robots": "obey",
        "http-header-user-agent": user_agent,
    }
