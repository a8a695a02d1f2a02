"""A whole crawl of the site full of traps: the verdict on every URL, and how the site was treated."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import brotli
import pytest
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import BufferedReader
from warcio.checker import Checker

from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig, TrapsConfig
from pipeline.ingest.payloads import read_pages
from pipeline.manifests import Manifest
from pipeline.records import Page
from tests.crawl.crawling import archives_of, config_for, crawled, rows_of, verdicts_of
from tests.site.server import Server
from tests.site.traps import (
    ADDRESSES,
    BROKEN_ROBOTS,
    BUSY,
    CALENDAR_LIMIT,
    DECODED_LIMIT,
    MAIN,
    NO_ROBOTS,
    OPTED_OUT,
    QUERY_LIMIT,
    REFUSED_ADDRESS,
    SAME_LIMIT,
    SLOW,
    WIRE_LIMIT,
    TrapSite,
    serving_traps,
)  # fmt: skip

DELAY = 0.02


def trap_config(server: Server) -> CrawlConfig:
    """Settings under which the verdicts of the site hold."""
    evil = f"http://evil.test:{server.port}/"
    return config_for(
        server,
        [*(server.url("/", host) for host in range(len(ADDRESSES))), evil],
        ports=(server.port,),
        allow_private_hosts=tuple(f"{address}:{server.port}" for address in ADDRESSES),
        addresses={"evil.test": REFUSED_ADDRESS},
        politeness=PolitenessConfig(
            delay_seconds=DELAY,
            latency_factor=0.0,
            max_delay_seconds=1.0,
            retry_seconds=0.1,
            backoff_seconds=0.05,
            strikes=50,
            max_idle_seconds=30.0,
        ),
        limits=LimitsConfig(
            round_seconds=60.0,
            total_seconds=1.5,  # what only the page in drips exceeds, on a busy machine too
            read_seconds=1.5,
            connect_seconds=1.0,
            wire_bytes=WIRE_LIMIT,
            decoded_bytes=DECODED_LIMIT,
        ),
        traps=TrapsConfig(
            max_urls_per_calendar=CALENDAR_LIMIT, max_urls_per_path=QUERY_LIMIT, max_same_payload=SAME_LIMIT
        ),
    )


class Crawl(NamedTuple):
    """A finished crawl of the site."""

    site: TrapSite
    server: Server
    run: Path
    manifest: Manifest


@pytest.fixture(
    scope="module", params=[pytest.param(1, id="one worker"), pytest.param(2, id="two workers", marks=pytest.mark.slow)]
)
def crawl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawl]:
    with serving_traps() as (site, server):
        run = tmp_path_factory.mktemp("run")
        manifest = crawled(run, trap_config(server), workers=request.param)
        yield Crawl(site, server, run, manifest)


def test_every_url_gets_its_verdict(crawl: Crawl) -> None:
    expected = {**crawl.site.expected(crawl.server), f"http://evil.test:{crawl.server.port}/": "error/address_refused"}
    assert verdicts_of(crawl.run) == expected


def test_nothing_is_asked_that_robots_forbid(crawl: Crawl) -> None:
    asked = crawl.server.paths(MAIN)
    assert not [path for path in asked if path.startswith(("/never", "/private/closed", "/a.secret"))]
    assert asked[0] == "/robots.txt"
    for host in (BROKEN_ROBOTS, NO_ROBOTS):
        assert set(crawl.server.paths(host)) == {"/robots.txt"}
    assert set(crawl.server.paths(SLOW)) == {"/robots.txt"}
    assert set(crawl.server.paths(OPTED_OUT)) == {"/robots.txt", "/.well-known/tdmrep.json", "/", "/free/1.html"}


def test_no_gap_is_below_the_delay(crawl: Crawl) -> None:
    for host in range(len(ADDRESSES)):
        assert min(crawl.server.gaps(host), default=DELAY) >= DELAY - 0.002


def test_crawl_delay_and_retry_after_are_kept(crawl: Crawl) -> None:
    paths, gaps = crawl.server.paths(BUSY), crawl.server.gaps(BUSY)
    pages = paths.index("/")
    assert min(gaps[pages:]) >= 0.2 - 0.002
    assert gaps[paths.index("/second.html")] >= 1.0


def test_user_agent_names_itself(crawl: Crawl) -> None:
    assert {access.headers["User-Agent"] for access in crawl.server.log} == {
        "testbot/1.0 (+https://example.org/bot; bot@example.org)"
    }


def test_index_and_rejections_conserve_the_answers(crawl: Crawl) -> None:
    kept, rejected = rows_of(crawl.run, "pages"), rows_of(crawl.run, "rejected/pages")
    counts = crawl.manifest.counts
    assert (counts["read"], counts["kept"], counts["rejected"]) == (len(kept) + len(rejected), len(kept), len(rejected))
    verdicts = crawl.site.expected(crawl.server)
    assert {row["url"] for row in kept} == {url for url, verdict in verdicts.items() if verdict == "page"}
    reasons = Counter(row["reason"] for row in rejected)
    assert {f"rejected/pages/{reason}": number for reason, number in reasons.items()} == {
        name: number for name, number in counts.items() if name.startswith("rejected/")
    }
    assert not {row["url"] for row in kept} & {row["url"] for row in rejected}


class _Brotli:
    """What warcio 1.8 takes brotli's decompressor for: it cannot set attributes on that of brotli 1.2."""

    unused_data = None

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decompress(self, data: bytes) -> bytes:
        return bytes(self._inner.process(data))


def test_archive_reads_back_without_complaint(
    crawl: Crawl, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BufferedReader.DECOMPRESSORS, "br", _Brotli)
    kinds: Counter[str] = Counter()
    for path in archives_of(crawl.run):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, check_digests="raise"):
                record.raw_stream.read()
                kinds[record.rec_type] += 1
        checker = Checker(type("Command", (), {"inputs": [str(path)], "verbose": False})())
        checker.process_all()
        assert checker.exit_value == 0, capsys.readouterr().out
    assert kinds["revisit"] == SAME_LIMIT + 2  # the second twin, and all pages that are the same but the first
    assert kinds["request"] == kinds["metadata"] > kinds["response"] > 0


def test_records_refer_to_records_that_exist(crawl: Crawl) -> None:
    """Ids are unique; a request and a metadata record stand beside another record; a revisit repeats an earlier payload."""
    records = [
        record.rec_headers
        for path in archives_of(crawl.run)
        for record in ArchiveIterator(path.open("rb"), check_digests="raise")
    ]
    ids = Counter(headers["WARC-Record-ID"] for headers in records)
    assert set(ids.values()) == {1}
    assert {headers["WARC-Concurrent-To"] for headers in records if headers["WARC-Type"] == "metadata"} < set(ids)
    assert {headers.get_header("WARC-Concurrent-To") for headers in records if headers["WARC-Type"] == "request"} < {
        *ids,
        None,
    }
    payloads = {
        (headers["WARC-Target-URI"], headers["WARC-Date"], headers["WARC-Payload-Digest"])
        for headers in records
        if headers["WARC-Type"] == "response"
    }
    revisits = [headers for headers in records if headers["WARC-Type"] == "revisit"]
    assert len(revisits) > SAME_LIMIT
    for headers in revisits:
        before = (headers["WARC-Refers-To-Target-URI"], headers["WARC-Refers-To-Date"], headers["WARC-Payload-Digest"])
        assert before in payloads


def test_payloads_are_where_the_index_says(crawl: Crawl) -> None:
    parts = sorted(crawl.run.glob("pages/part-*.parquet"))
    pages = [page for part in parts for page in read_pages(str(part), str(crawl.run))]
    assert all(isinstance(page, Page) for page in pages), [page for page in pages if not isinstance(page, Page)]
    assert len(pages) == crawl.manifest.counts["kept"]


def test_bodies_of_pages_that_opt_out_are_not_kept(crawl: Crawl) -> None:
    stored = {
        record.rec_headers["WARC-Target-URI"]
        for path in archives_of(crawl.run)
        for record in ArchiveIterator(path.open("rb"))
        if record.rec_type == "response"
    }
    opted_out = {url for url, verdict in crawl.site.expected(crawl.server).items() if verdict.startswith("opt_out")}
    assert len(opted_out) > 10
    assert not stored & opted_out
