"""From the ledgers of all rounds to one row a URL, one row a page, one row a rejected answer. Pure, save for reading."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa

from pipeline.crawl.frontier import Seen, fingerprint
from pipeline.crawl.ledger import Event, RobotsVisit, Visit
from pipeline.records import Rejection
from pipeline.tables import rejection_row

PART_ROWS = 2000
STAGE = "pages"
_HELD_ROWS = 20_000
LEDGER = pa.schema(
    [
        ("url", pa.string()),
        ("verdict", pa.string()),
        ("detail", pa.string()),
        ("kind", pa.string()),
        ("depth", pa.int32()),
        ("via", pa.string()),
        ("tries", pa.int32()),
        ("requested", pa.bool_()),
        ("status", pa.int32()),
        ("id", pa.string()),
        ("digest", pa.string()),
        ("media_type", pa.string()),
        ("charset", pa.string()),
        ("file", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("warc_digest", pa.string()),
        ("at", pa.float64()),
    ]
)
_LEDGER_VALUES = attrgetter(*LEDGER.names)


def final_visits(events: Iterable[Event], waiting: Iterable[Mapping[str, Any]]) -> Iterator[Visit]:
    """One visit for each URL that a shard ever heard of: its last verdict, `deferred` for what still waits."""
    seen = Seen()
    for event in events:
        if isinstance(event, RobotsVisit):
            continue
        refused = (
            Visit(
                url=found.url, verdict=found.refusal, kind=found.kind, depth=found.depth, hops=found.hops, via=event.url
            )
            for found in event.found
            if found.refusal
        )
        for visit in (event, *refused):
            if visit.verdict != "retry" and seen.add(_mark(visit.kind, visit.url)):
                yield visit
    for row in waiting:
        if seen.add(_mark(row["kind"], row["url"])):
            yield Visit(
                url=row["url"],
                verdict="deferred",
                detail=row["reason"],
                kind=row["kind"],
                depth=row["depth"],
                via=row["via"],
                tries=row["tries"],
            )


def _mark(kind: str, url: str) -> bytes:
    return fingerprint(f"{kind}:{url}")


def earlier_visits(rows: Iterable[Mapping[str, Any]], max_depth: int | None) -> Iterator[Visit]:
    """The visits in a ledger whose verdict stands; not of what waited, nor of what is no longer too deep."""
    return (Visit(**row) for row in rows if row["verdict"] != "deferred" and not is_reached(row, max_depth))


def is_reached(row: Mapping[str, Any], max_depth: int | None) -> bool:
    """Whether a row of a ledger is of a URL that was too deep and, with this limit, is so no longer."""
    return row["verdict"] == "too_deep" and (max_depth is None or row["depth"] <= max_depth)


def ledger_batch(visits: Sequence[Visit]) -> pa.RecordBatch:
    """Visits as rows of `LEDGER`, made by columns: most are links that were refused, and there are many."""
    columns = zip(*map(_LEDGER_VALUES, visits), strict=True)
    return pa.record_batch(
        [pa.array(column, type=kind) for column, kind in zip(columns, LEDGER.types, strict=True)], schema=LEDGER
    )


def page_row(visit: Visit, source: str) -> dict[str, Any]:
    """The index row of a usable page. It has no date: that of the fetch must not reach a dataset."""
    return {
        "id": visit.id,
        "url": visit.url,
        "kind": "warc",
        "file": visit.file,
        "position": visit.offset,
        "length": visit.length,
        "digest": visit.digest,
        "media_type": visit.media_type,
        "charset": visit.charset,
        "date": "",
        "source": source,
    }


def rejected_row(visit: Visit) -> dict[str, Any]:
    """The rejection of an answer that is no page."""
    return rejection_row(Rejection(id=visit.id, url=visit.url, stage=STAGE, reason=visit.verdict, detail=visit.detail))


def num_parts(num_pages: int) -> int:
    """The number of index parts for a number of pages."""
    return max(1, -(-num_pages // PART_ROWS))


def part_of(identity: str, parts: int) -> int:
    """The part that an id belongs to."""
    return int(identity[:8], 16) % parts


def packed_rows(visits: Iterable[Visit], source: str, parts: int) -> Iterator[tuple[int, bytes]]:
    """(part, JSON of rows) pairs of the requested pages, some at a time; every part occurs."""
    rows: dict[int, list[tuple[str, dict[str, Any]]]] = {part: [] for part in range(parts)}
    num_held = 0
    for visit in visits:
        if not visit.requested or visit.kind != "page":
            continue
        kept = visit.verdict in ("page", "not_modified")
        rows[part_of(visit.id, parts)].append(
            ("kept", page_row(visit, source)) if kept else ("rejected", rejected_row(visit))
        )
        num_held += 1
        if num_held >= _HELD_ROWS:
            yield from ((part, json.dumps(held).encode()) for part, held in rows.items() if held)
            rows, num_held = {part: [] for part in range(parts)}, 0
    yield from ((part, json.dumps(held).encode()) for part, held in rows.items())


def unpacked_rows(packed: Iterable[bytes]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of one part, kept and rejected, each sorted by id and URL."""
    both = [entry for chunk in packed for entry in json.loads(chunk)]
    kept, rejected = ([row for kind, row in both if kind == wanted] for wanted in ("kept", "rejected"))
    return sorted(kept, key=lambda row: (row["id"], row["url"])), sorted(
        rejected, key=lambda row: (row["id"], row["url"])
    )


def content_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """What downstream work depends on: not where the payloads lie."""
    return [[row[name] for name in ("id", "url", "digest", "media_type", "charset", "source")] for row in rows]
