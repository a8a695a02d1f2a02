"""Pages from their index: reads the files again at the places that the index names, and checks what it finds.

Works for ingested files and for the archives that a crawl writes. Rows of one file in ascending order
cost one pass over it; rows in any order cost a seek each, where the format allows it. Memory holds one
page at a time and a few open files.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import IO, Any, Protocol

import pyarrow.parquet as pq

from pipeline import jsonl, storage
from pipeline.codecs import compression_of, zstd_dictionary
from pipeline.errors import DataError
from pipeline.ingest.captures import Capture, Found, Place
from pipeline.ingest.config import MAX_PAGE_BYTES, FieldNames, PageRules
from pipeline.ingest.jsonl import found_in_line, longest_line
from pipeline.ingest.parquet import RowReader
from pipeline.ingest.tabular import TableReader
from pipeline.ingest.text import found_in_file, found_in_unit, next_unit
from pipeline.ingest.warc import found_at
from pipeline.places import join
from pipeline.records import Page, Rejection, payload_digest
from pipeline.streams import READ_BYTES, ByteStream, open_stream
from pipeline.tables import PAGES, as_parquet, read_rows

_OPEN_FILES = 8
FIELDS_KEY = b"corpusmill.fields"
# What the index lists has been accepted already; here only memory must stay bounded.
_ANY = PageRules(statuses=tuple(range(100, 600)), max_page_bytes=MAX_PAGE_BYTES, keep_truncated=True)


def read_pages(index_file: str, run: str) -> Iterator[Page | Rejection]:
    """The pages that one index part lists, in its order; a row whose file has changed gives a `Rejection`.

    Raises:
        InputError: a file that the index names is missing or may not be read.
    """
    finder = PageFinder(index_file, run)
    try:
        for row in read_rows(index_file):
            yield finder.page(row)
    finally:
        finder.close()


def found_rows(index_file: str, run: str, names: FieldNames) -> Iterator[tuple[dict[str, Any], str, Found | None]]:
    """The rows of one index part, in its order, each with the whole path of its file and what lies at its place.

    Records are read by `names`, not by those of the index.

    Raises:
        InputError: as `read_pages`.
    """
    finder = PageFinder(index_file, run, names)
    try:
        for row in read_rows(index_file):
            yield row, _whole_path(row["file"], run), finder.found(row)
    finally:
        finder.close()


class PageFinder:
    """Finds single pages of one index part again, best in its order; `names` in place of those that the index has."""

    def __init__(self, index_file: str, run: str, names: FieldNames | None = None) -> None:
        names = names or _field_names(index_file)
        self._readers = _Readers(names)
        self._run = run
        self._nothing_kept = "{}" if names.keep else ""

    def page(self, row: Mapping[str, Any]) -> Page | Rejection:
        """The page of a row of the index; a `Rejection` where its file has changed.

        Raises:
            InputError: the file is missing or may not be read.
        """
        return _page(row, self.found(row), self._nothing_kept)

    def found(self, row: Mapping[str, Any]) -> Found | None:
        """What lies at the place of a row.

        Raises:
            InputError: as `page`.
        """
        return self._readers.find(_whole_path(row["file"], self._run), row)

    def close(self) -> None:
        """Closes the files of the pages."""
        self._readers.close()


def _whole_path(file: str, run: str) -> str:
    """Files of the run itself are named relative to it."""
    return file if "://" in file or os.path.isabs(file) else join(run, file)


def _page(row: Mapping[str, Any], found: Found | None, nothing_kept: str) -> Page | Rejection:
    changed = what_changed(row, found)
    if changed or not isinstance(found, Capture):
        return _changed(row, f"{row['file']} @ {row['position']}: {changed}")
    return Page(
        id=row["id"],
        url=row["url"],
        payload=found.payload,
        media_type=row["media_type"],
        charset=row["charset"],
        source=row["source"],
        metadata=found.metadata,
        kept=found.kept.text or nothing_kept,
    )


def what_changed(row: Mapping[str, Any], found: Found | None) -> str:
    """What is not as it was when a row was indexed, or an empty text."""
    if not isinstance(found, Capture):
        return "the page is no longer there"
    return "" if payload_digest(found.payload) == row["digest"] else "the page is another than when it was indexed"


def _changed(row: Mapping[str, Any], detail: str) -> Rejection:
    return Rejection(id=row["id"], url=row["url"], stage="pages", reason="payload_changed", detail=detail)


def index_schema(names: FieldNames) -> Any:
    """The schema of an index part of ours: it carries the field names, so that it can be read by itself."""
    return PAGES.with_metadata({FIELDS_KEY: json.dumps(names.stated(), sort_keys=True).encode()})


def _field_names(index_file: str) -> FieldNames:
    with as_parquet(index_file), storage.open_read(index_file) as file:
        metadata = pq.read_schema(file).metadata or {}
    if FIELDS_KEY not in metadata:
        return FieldNames()
    stated = json.loads(metadata[FIELDS_KEY])
    return FieldNames(**stated | {"keep": tuple(stated.get("keep", ()))})


class Reader(Protocol):
    """Finds pages again in one open file."""

    def at(self, position: int, length: int) -> Found | None:
        """The page at a place, or None where there is none."""

    def close(self) -> None:
        """Closes the file."""


class _Readers:
    """A few open readers, the least recently used of which makes room."""

    def __init__(self, names: FieldNames) -> None:
        self._names = names
        self._open: OrderedDict[tuple[str, str], Reader] = OrderedDict()

    def find(self, path: str, row: Mapping[str, Any]) -> Found | None:
        """What lies at the place that a row of the index names."""
        key = (path, row["kind"])
        reader = self._open.pop(key, None) or reader_of(row["kind"], path, self._names)
        self._open[key] = reader
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()
        return reader.at(row["position"], row["length"] or 0)

    def close(self) -> None:
        for reader in self._open.values():
            reader.close()


def reader_of(kind: str, path: str, names: FieldNames) -> Reader:
    """A reader of the pages of one kind in the file `path`.

    Raises:
        DataError: the kind is unknown, so the index is of another version.
    """
    match kind:
        case "warc":
            return _SeekingReader(storage.open_read(path))
        case "parquet":
            return RowReader(storage.open_read(path), names, MAX_PAGE_BYTES)
        case "arrow" | "csv":
            return TableReader(path, kind, names, MAX_PAGE_BYTES)
        case "warc_stream" | "jsonl" | "text_line" | "text_paragraph" | "html" | "text":
            return _PassingReader(path, kind, names)
    raise DataError(f"the page index names the unknown kind {kind!r} for {path}")


class _SeekingReader:
    """Archives with a member for each record: one seek a record."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._compression = compression_of(raw.read(64))
        self._dictionary = zstd_dictionary(raw) if self._compression == "zstd" else None

    def at(self, position: int, length: int) -> Found | None:
        stream = ByteStream(
            self._raw,
            compression=self._compression,
            start=position,
            first_read=min(max(length, 512), 8 * READ_BYTES) if length else READ_BYTES,
            dictionary=self._dictionary,
        )
        return found_at(stream, _ANY)

    def close(self) -> None:
        self._raw.close()


class _PassingReader:
    """Files that are read from front to back; a place before the last one starts over."""

    def __init__(self, path: str, kind: str, names: FieldNames) -> None:
        self._path, self._kind, self._names = path, kind, names
        self._stream = open_stream(path)

    def at(self, position: int, length: int) -> Found | None:
        if position < self._stream.tell():
            self._stream.close()
            self._stream = open_stream(self._path)
        self._stream.skip(position - self._stream.tell())
        return self._found(Place(kind=self._kind, position=position, length=length))

    def _found(self, place: Place) -> Found | None:
        match self._kind:
            case "warc_stream":
                return found_at(self._stream, _ANY)
            case "jsonl":
                line = next(jsonl.lines(self._stream, limit=longest_line(MAX_PAGE_BYTES)), None)
                return line and found_in_line(line, self._names, MAX_PAGE_BYTES, place)
            case "html" | "text":
                return next(found_in_file(self._stream, self._kind, MAX_PAGE_BYTES))
        _, payload, size = next_unit(self._stream, self._kind.removeprefix("text_"), MAX_PAGE_BYTES)
        return found_in_unit(payload, self._kind, place) if size else None

    def close(self) -> None:
        self._stream.close()
