import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.ledger import Found, Part, RobotsVisit, Visit, event_line, parse_event, read_events, recover_parts
from pipeline.crawl.warc import Exchange, exchange_records


def visit(number: int) -> Visit:
    return Visit(
        url=f"http://example.com/{number}",
        verdict="page",
        depth=2,
        found=(Found(f"http://example.com/{number}/x", 3, 0),),
    )


def records(number: int) -> bytes:
    exchange = Exchange(
        url=f"http://example.com/{number}",
        at=0.0,
        seconds=0.1,
        address="",
        request_headers=[],
        status=200,
        reason="OK",
        headers=[],
        body=b"x" * 99,
    )
    return exchange_records(exchange, [])


def write(folder: Path, num_visits: int, *, close: bool) -> Part:
    part = Part(str(folder), "shard-0000-0000", {"software": "test"}, 0.0)
    for number in range(num_visits):
        part.append(records(number), visit(number))
    if close:
        part.close()
    return part


def urls(folder: Path) -> list[str]:
    return [
        event.url
        for name in recover_parts(str(folder), "shard-0000")
        for event in read_events(str(folder), name)
        if isinstance(event, Visit)
    ]


EXPECTED = [f"http://example.com/{number}" for number in range(5)]


def test_whole_part_reads_back(tmp_path: Path) -> None:
    write(tmp_path, 5, close=True)
    assert urls(tmp_path) == EXPECTED


def abandon(part: Part) -> None:
    """What a kill does: the files are closed, and nothing else."""
    part._warc.close()
    assert part._ledger is not None
    part._ledger.close()


def test_abandoned_part_is_closed(tmp_path: Path) -> None:
    abandon(write(tmp_path, 5, close=False))
    assert urls(tmp_path) == EXPECTED
    assert sorted(os.listdir(tmp_path)) == ["shard-0000-0000.ledger.jsonl", "shard-0000-0000.warc.gz"]


def test_record_without_its_line_is_cut_off(tmp_path: Path) -> None:
    part = write(tmp_path, 5, close=False)
    whole = part.offset
    part._write(records(5)[:50])
    abandon(part)
    assert urls(tmp_path) == EXPECTED
    assert (tmp_path / "shard-0000-0000.warc.gz").stat().st_size == whole


def test_half_a_line_is_cut_off(tmp_path: Path) -> None:
    abandon(write(tmp_path, 5, close=False))
    ledger = tmp_path / "shard-0000-0000.ledger.jsonl.open"
    ledger.write_bytes(ledger.read_bytes()[:-7])
    assert urls(tmp_path) == EXPECTED[:4]


def test_line_without_its_record_is_cut_off(tmp_path: Path) -> None:
    """After a loss of power the ledger may have come to the disk before the archive."""
    part = write(tmp_path, 5, close=False)
    abandon(part)
    os.truncate(tmp_path / "shard-0000-0000.warc.gz.open", part.offset - 1)
    assert urls(tmp_path) == EXPECTED[:4]


def test_kill_between_the_two_renames(tmp_path: Path) -> None:
    abandon(write(tmp_path, 5, close=False))
    os.rename(tmp_path / "shard-0000-0000.warc.gz.open", tmp_path / "shard-0000-0000.warc.gz")
    assert urls(tmp_path) == EXPECTED


def test_part_without_a_line_disappears(tmp_path: Path) -> None:
    abandon(write(tmp_path, 0, close=False))
    assert urls(tmp_path) == []
    assert os.listdir(tmp_path) == []


def test_part_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    part = write(tmp_path, 5, close=False)
    assert urls(tmp_path) == []
    part.close()
    assert urls(tmp_path) == EXPECTED


def test_object_store(tmp_path: Path) -> None:
    folder = f"memory://{tmp_path.name}"
    part = Part(folder, "shard-0000-0000", {}, 0.0)
    part.append(records(0), visit(0))
    assert recover_parts(folder, "shard-0000") == []
    part.close()
    assert recover_parts(folder, "shard-0000") == ["shard-0000-0000"]
    assert [event.url for event in read_events(folder, "shard-0000-0000") if isinstance(event, Visit)] == [
        "http://example.com/0"
    ]


@given(st.text(max_size=20), st.binary(max_size=50), st.floats(0, 1e10))
def test_events_survive_their_lines(text: str, content: bytes, at: float) -> None:
    for event in (
        Visit(
            url="http://a/",
            verdict=text,
            detail=text,
            at=at,
            found=(Found(text, 1, 2, "sitemap", text),),
            sent=(Found(text, 0, 0),),
        ),
        RobotsVisit(
            origin="http://a:80", domain="a", access="parse", status=200, content=content.decode("latin-1"), at=at
        ),
    ):
        assert parse_event(event_line(event).strip()) == event
