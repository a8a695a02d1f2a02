import json
from collections import defaultdict

import pytest

from pipeline.crawl import index
from pipeline.crawl.ledger import Found, Visit
from pipeline.records import page_id_of_digest

VISITS = [
    Visit(
        url=f"http://example.com/{number}",
        verdict=("page", "not_modified", "status/404", "robots")[number % 4],
        requested=number % 4 != 3,
        id=page_id_of_digest(f"http://example.com/{number}", f"sha256:{number}"),
        digest=f"{number:064x}",
        offset=number,
    )
    for number in range(200)
]


@pytest.mark.parametrize("held", [1, 7, 10_000])
@pytest.mark.parametrize("parts", [1, 3])
def test_parts_hold_each_requested_page_once_in_order(monkeypatch: pytest.MonkeyPatch, held: int, parts: int) -> None:
    monkeypatch.setattr(index, "_HELD_ROWS", held)
    chunks: defaultdict[int, list[bytes]] = defaultdict(list)
    for part, chunk in index.packed_rows(VISITS, "crawl", parts):
        assert len(json.loads(chunk)) <= held
        chunks[part].append(chunk)
    assert sorted(chunks) == list(range(parts))
    both = [index.unpacked_rows(chunks[part]) for part in range(parts)]
    assert sum(len(kept) for kept, _ in both) == 100
    assert sum(len(rejected) for _, rejected in both) == 50
    for part, (kept, rejected) in enumerate(both):
        ids = [row["id"] for row in kept]
        assert ids == sorted(set(ids))
        assert {index.part_of(row["id"], parts) for row in (*kept, *rejected)} <= {part}


def test_every_part_occurs_even_without_pages() -> None:
    assert [(part, json.loads(chunk)) for part, chunk in index.packed_rows([], "crawl", 3)] == [
        (0, []),
        (1, []),
        (2, []),
    ]


def test_ledger_rows_by_columns_say_what_the_visits_say() -> None:
    rows = index.ledger_batch(VISITS).to_pylist()
    assert rows == [{name: getattr(visit, name) for name in index.LEDGER.names} for visit in VISITS]


def test_one_final_verdict_for_each_url() -> None:
    refused = Found("http://example.com/x.pdf", 1, 0, refusal="extension")
    events = [
        Visit(url="http://example.com/", verdict="retry", at=1.0),
        Visit(url="http://example.com/", verdict="page", at=2.0, found=(refused, Found("http://example.com/a", 1, 0))),
        Visit(url="http://example.com/", verdict="status/404", at=3.0),  # of a second attempt at the same time
    ]
    waiting = [
        {"url": "http://example.com/a", "kind": "page", "depth": 1, "via": "http://example.com/", "tries": 0, "reason": "budget"},
        {"url": "http://example.com/", "kind": "page", "depth": 0, "via": "", "tries": 1, "reason": "retry"},
    ]  # fmt: skip
    final = [(visit.url, visit.verdict, visit.via) for visit in index.final_visits(events, waiting)]
    assert final == [
        ("http://example.com/", "page", ""),
        ("http://example.com/x.pdf", "extension", "http://example.com/"),
        ("http://example.com/a", "deferred", "http://example.com/"),
    ]
