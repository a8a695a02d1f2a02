"""Input files → an index of the pages in them, and a rejection for each page that cannot be used.

In: shards that name files, or ranges of large files (`sharing.shards`). Out: for each shard one part of
the datasets `pages` (where each page lies, its id and digest; no bodies are copied) and
`rejected/pages`. Guaranteed: each page that a file holds leaves exactly once; what is broken in a file
costs a rejection, never the job; equal files give equal parts, on any engine.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import apache_beam as beam

from pipeline import storage
from pipeline.errors import InputError, limit_behind
from pipeline.ingest.captures import Capture, Found, Other, Place, Refusal
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.identity import FILE_KINDS, known_url, url_of, url_of_file
from pipeline.ingest.jsonl import found_in_lines
from pipeline.ingest.optout import refused_by_wish
from pipeline.ingest.parquet import found_in_rows
from pipeline.ingest.payloads import index_schema
from pipeline.ingest.runs import found_in_index
from pipeline.ingest.sharing import items_of
from pipeline.ingest.tabular import found_in_table
from pipeline.ingest.text import found_in_file, found_in_units
from pipeline.ingest.warc import found_in_archive
from pipeline.places import is_local
from pipeline.records import Rejection, page_id_of_digest, payload_digest
from pipeline.stage import Outputs, ProcessShards, counted
from pipeline.steps import Shard, Step
from pipeline.streams import open_stream
from pipeline.tables import REJECTIONS, rejection_row

PAGES_OUTPUT = "pages"
REJECTED_OUTPUT = "rejected/pages"
# Counts of the pages that have a field which is kept, and of values that were too long for that, by field.
WITH_FIELD, LEFT_OUT = "with_field/", "left_out/"
# Counts the files that the system did not let us read: no fault of their content.
UNREAD_FILES = "unread_files"
CONTENT_COLUMNS = ("id", "url", "digest", "media_type", "charset", "source")


class IndexPages(beam.PTransform):
    """Shards of input files → `Outcome` of (shard, number of pages) pairs, the index written to files."""

    def __init__(self, step: Step, config: IngestConfig) -> None:
        super().__init__()
        self._work = ProcessShards(step, IndexShard(config=config))

    def expand(self, shards: Any) -> Any:  # an Outcome; Beam warns of hints that it does not know
        """Indexes the shards and reads the two counts off each receipt."""
        return counted(shards | "IndexShards" >> self._work)


@dataclass(kw_only=True)
class IndexShard:
    """Indexes the files of one shard."""

    config: IngestConfig
    _schema: Any = field(default=None, init=False, repr=False)

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Writes the two parts of the shard; returns counts: `read`, `kept`, `rejected`, by reason, by kind."""
        counts: Counter[str] = Counter(read=0, kept=0, rejected=0, broken_files=0)
        content = hashlib.sha256()
        if keep := self.config.fields.keep:  # other fields make other documents of the same pages
            content.update(json.dumps(sorted(keep)).encode())
        with (
            outputs.table(PAGES_OUTPUT, index_schema(self.config.fields)) as pages,
            outputs.table(REJECTED_OUTPUT, REJECTIONS) as rejected,
        ):
            for item in items_of(shard):
                counts["files"] += 1 if item["start"] == 0 else 0
                for found in found_in_item(item, self.config):
                    if isinstance(found, Capture):
                        row = index_row(found, item, self.config)
                        pages.append(row)
                        content.update(
                            json.dumps([row[name] for name in CONTENT_COLUMNS]).encode() + found.kept.text.encode()
                        )
                    elif isinstance(found, Refusal):
                        rejected.append(rejection_row(rejection(found, item, self.config.base_url)))
                    counts.update(_names_of(found))
        outputs.add(PAGES_OUTPUT, pages.entry(), content=content.hexdigest())
        outputs.add(REJECTED_OUTPUT, rejected.entry())
        return counts


def _names_of(found: Found) -> Iterator[str]:
    """The counters that one find raises."""
    if isinstance(found, Other):
        yield f"records/{found.kind}"
        return
    yield "read"
    if isinstance(found, Capture):
        yield "kept"
        yield from (f"{WITH_FIELD}{name}" for name in found.kept.present)
        yield from (f"{LEFT_OUT}{name}" for name in found.kept.left_out)
        return
    yield from ("rejected", f"rejected/pages/{found.reason}")
    if found.is_of_file:
        yield "broken_files"
    if found.unread:
        yield UNREAD_FILES


def found_in_item(item: Mapping[str, Any], config: IngestConfig) -> Iterator[Found]:
    """What one file, or one range of a file, holds. A file that cannot be opened is one refusal."""
    try:
        for found in _found(item, config):
            refused = refused_by_wish(found, config.opt_out) if _is_asked(found, config) else None
            yield refused or found
    except InputError as error:
        yield _unreadable(item, str(error))
    except OSError as error:
        if not is_local(item["file"]) or limit_behind(error):
            raise  # the engine tries again; and a limit of this process says nothing of the file
        yield _unreadable(item, f"reading failed: {error.strerror or error}")


def _is_asked(found: Found, config: IngestConfig) -> TypeGuard[Capture]:
    return config.respect_opt_outs and isinstance(found, Capture)


def _unreadable(item: Mapping[str, Any], detail: str) -> Refusal:
    place = Place(kind=item["kind"], position=item["start"])
    return Refusal(place=place, reason="unreadable_file", detail=detail, unread=True)


def _found(item: Mapping[str, Any], config: IngestConfig) -> Iterator[Found]:
    path, kind, start, end = item["file"], item["kind"], item["start"], item["end"]
    limit = config.max_page_bytes
    if kind == "pages":
        yield from found_in_index(path, limit, config.fields)
        return
    if kind in ("arrow", "csv"):
        yield from found_in_table(path, kind, config.fields, limit)
        return
    if kind in ("warc", "parquet"):
        with storage.open_read(path) as raw:
            if kind == "warc":
                yield from found_in_archive(raw, config, start=start, end=end)
            else:
                yield from found_in_rows(raw, config.fields, limit, first=start, end=end)
        return
    with open_stream(path, start=max(start - 1, 0)) as stream:
        if kind == "jsonl":
            yield from found_in_lines(stream, config.fields, limit, start=start, end=end)
        elif kind in ("html", "text"):
            yield from found_in_file(stream, kind, limit)
        else:
            yield from found_in_units(stream, kind.removeprefix("text_"), limit, start=start, end=end)


def index_row(capture: Capture, item: Mapping[str, Any], config: IngestConfig) -> dict[str, Any]:
    """A page as a row of the index."""
    digest = payload_digest(capture.payload)
    url = url_of(capture, digest, source=item["source"], name=item["name"], base_url=config.base_url)
    return {
        "id": page_id_of_digest(url, digest),
        "url": url,
        "kind": capture.place.kind,
        "file": capture.place.file or item["file"],
        "position": capture.place.position,
        "length": capture.place.length,
        "digest": digest,
        "media_type": capture.media_type,
        "charset": capture.charset,
        "date": capture.date,
        "source": item["source"],
    }


def rejection(refusal: Refusal, item: Mapping[str, Any], base_url: str) -> Rejection:
    """A refusal as a rejection that names file and position. Its id is made of them, for there may be no payload.

    A file that would have been a page has the URL of that page.
    """
    where = f"{refusal.place.file or item['file']} @ {refusal.place.position}"
    return Rejection(
        id=page_id_of_digest(refusal.url, where),
        url=_url_of_refused(refusal, item, base_url),
        stage="pages",
        reason=refusal.reason,
        detail=f"{where}: {refusal.detail}",
        value=refusal.value,
        threshold=refusal.threshold,
    )


def _url_of_refused(refusal: Refusal, item: Mapping[str, Any], base_url: str) -> str:
    if refusal.url:
        return known_url(refusal.url)
    if base_url and refusal.place.kind in FILE_KINDS:
        return url_of_file(source=item["source"], name=item["name"], base_url=base_url)
    return f"urn:corpusmill:{item['source']}:{known_url(item['name'])}"
