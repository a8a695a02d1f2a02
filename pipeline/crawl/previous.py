"""What an earlier run fetched, for asking again only for what has changed (ETag, Last-Modified)."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import manifests, storage
from pipeline.crawl.frontier import shard_of
from pipeline.crawl.warc import Exchange, warc_date
from pipeline.errors import DataError
from pipeline.places import join
from pipeline.tables import read_batches
from pipeline.urls import registrable_domain

LEDGER_FOLDER = "pages/ledger"
_CHUNK_BYTES = 1 << 16
_BATCH_ROWS = 4096
_COLUMNS = [
    "url",
    "id",
    "digest",
    "media_type",
    "charset",
    "file",
    "offset",
    "length",
    "etag",
    "last_modified",
    "warc_digest",
    "at",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPage:
    """One page of the earlier run."""

    id: str
    digest: str
    media_type: str
    charset: str
    file: str
    offset: int
    length: int
    etag: str
    last_modified: str
    warc_digest: str
    at: float

    @property
    def date(self) -> str:
        """When it was fetched, as WARC writes it."""
        return warc_date(self.at)


class Earlier:
    """The pages of an earlier run that can be asked for conditionally, of one shard."""

    def __init__(self, run: str, pages: dict[str, EarlierPage]) -> None:
        self._run = run
        self._pages = pages

    @classmethod
    def load(cls, run: str, number: int, num_shards: int) -> Self:
        """Reads the ledger of the run in the folder `run`.

        Raises:
            InputError: there is no complete crawl.
        """
        manifests.read_manifest(join(run, "pages"))
        ledgers = [path for path in storage.list_files(join(run, LEDGER_FOLDER)) if path.endswith(".parquet")]
        as_now = len(ledgers) == num_shards  # then the others hold nothing of this shard
        ledgers = [sorted(ledgers)[number]] if as_now else ledgers
        pages = {}
        for row in (row for path in ledgers for row in _asked_conditionally(path)):
            url = row.pop("url")
            if as_now or shard_of(registrable_domain(url), num_shards) == number:
                pages[url] = EarlierPage(**row)
        return cls(run, pages)

    def find(self, url: str) -> EarlierPage | None:
        """What the earlier run has of a URL."""
        return self._pages.get(url)

    def conditions(self, url: str) -> dict[str, str]:
        """The request headers that ask for the page only if it has changed."""
        page = self._pages.get(url)
        if page is None:
            return {}
        conditions = {"If-None-Match": page.etag, "If-Modified-Since": page.last_modified}
        return {name: value for name, value in conditions.items() if value}

    def read(self, url: str, page: EarlierPage) -> tuple[bytes, Exchange]:
        """The bytes of the record of a page, a gzip member, and the answer that it holds.

        Raises:
            DataError: the record is damaged.
        """
        path = join(self._run, page.file)
        member, content = _member(path, page.offset)
        try:
            head, body = content.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n\r\n").split(b"\r\n\r\n", 1)
            status_line, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            status = int(status_line.split(" ", 2)[1])
        except (ValueError, IndexError):
            raise DataError(f"{path} has no response record at byte {page.offset}") from None
        exchange = Exchange(
            url=url,
            at=page.at,
            seconds=0.0,
            address="",
            request_headers=[],
            status=status,
            reason="",
            headers=headers,
            body=body,
        )
        return member, exchange


def _asked_conditionally(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a ledger that are pages with an ETag or a date."""
    for batch in read_batches(path, [*_COLUMNS, "verdict"], _BATCH_ROWS):
        kept = pc.is_in(batch["verdict"], value_set=pa.array(["page", "not_modified"]))
        named = pc.or_(pc.not_equal(batch["etag"], ""), pc.not_equal(batch["last_modified"], ""))
        yield from batch.filter(pc.and_(kept, named)).select(_COLUMNS).to_pylist()


def _member(path: str, offset: int) -> tuple[bytes, bytes]:
    """The gzip member at `offset`, as it is and inflated."""
    raw: list[bytes] = []
    inflated: list[bytes] = []
    stream = zlib.decompressobj(31)
    with storage.open_read(path) as file:
        file.seek(offset)
        while not stream.eof:
            chunk = file.read(_CHUNK_BYTES)
            if not chunk:
                raise DataError(f"{path} ends inside the record at byte {offset}")
            raw.append(chunk)
            inflated.append(stream.decompress(chunk))
    member = b"".join(raw)
    return member[: len(member) - len(stream.unused_data)], b"".join(inflated)
