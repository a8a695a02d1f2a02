"""The driver of a crawl: rounds, budgets, depth, what two crawls have in common, asking again for what has changed."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from warcio.archiveiterator import ArchiveIterator

from jobs.crawl import read_seeds
from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig, ScopeConfig
from pipeline.errors import InputError, SettingError
from pipeline.ingest.payloads import read_pages
from pipeline.manifests import damaged_files, read_manifest
from pipeline.records import Page
from tests.crawl.crawling import AGENT, FAST, archives_of, config_for, crawled, rows_of, verdicts_of
from tests.site.raw import says, serving_raw
from tests.site.server import serving
from tests.site.traps import page
from tests.site.tree import TreeSite

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


def test_two_crawls_have_the_same_content(tmp_path: Path) -> None:
    """Neither the time, nor the number of shards and rounds, nor the arrangement of archive parts reaches it."""
    site = TreeSite(HOSTS, 9)
    with serving(site.answer, HOSTS) as server:
        config = config_for(server, [server.url("/")], scope=ScopeConfig(within="any"), ports=(server.port,))
        first = crawled(tmp_path / "first", config)
        other = replace(
            config, shards=5, limits=LimitsConfig(round_seconds=60.0, pages_per_domain_and_round=4, part_records=5)
        )
        second = crawled(tmp_path / "second", other)
        assert first.counts["kept"] == len(site.urls(server)) - 2  # nobody links to the roots of the other hosts
        assert second.counts["rounds"] > first.counts["rounds"]
        assert first.content == second.content
        assert [row["url"] for row in rows_of(tmp_path / "first", "pages")] == [
            row["url"] for row in rows_of(tmp_path / "second", "pages")
        ]
        assert rows_of(tmp_path / "first", "rejected/pages") == rows_of(tmp_path / "second", "rejected/pages")


def test_finished_crawl_is_not_repeated(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 5)
    with serving(site.answer) as server:
        config = config_for(server, [server.url("/")])
        manifest = crawled(tmp_path, config)
        num_requests = len(server.log)
        assert crawled(tmp_path, replace(config, politeness=replace(FAST, delay_seconds=0.5))) == manifest
        assert len(server.log) == num_requests
        assert not list(damaged_files(str(tmp_path / "pages")))
        crawled(tmp_path, replace(config, scope=ScopeConfig(max_depth=0)))
        assert len(server.log) > num_requests


@pytest.mark.parametrize("max_pages", [2, 17])
def test_budget_of_the_crawl_is_exact(tmp_path: Path, max_pages: int) -> None:
    site = TreeSite(HOSTS, 20)
    with serving(site.answer, HOSTS) as server:
        config = config_for(
            server, [server.url("/", host) for host in range(3)], max_pages=max_pages, ports=(server.port,)
        )
        manifest = crawled(tmp_path, config)
        asked = [access.path for access in server.log if access.path == "/" or access.path.startswith("/page")]
    assert len(asked) == manifest.counts["kept"] == max_pages
    assert "deferred" in Counter(row["verdict"] for row in rows_of(tmp_path, "pages/ledger"))


def test_budget_of_a_site(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:2], 30)
    with serving(site.answer, HOSTS[:2]) as server:
        limits = LimitsConfig(round_seconds=60.0, pages_per_domain=9, pages_per_domain_and_round=4)
        crawled(tmp_path, config_for(server, [server.url("/", host) for host in range(2)], limits=limits))
    assert Counter(row["url"].split("/")[2].split(":")[0] for row in rows_of(tmp_path, "pages")) == {
        HOSTS[0]: 9,
        HOSTS[1]: 9,
    }
    assert set(verdicts_of(tmp_path).values()) == {"page", "deferred:budget"}


def test_depth_is_the_least_number_of_links(tmp_path: Path) -> None:
    """The long way inside of a site is walked before the short way over another site is known."""
    links = {
        (0, "/"): ["/1", "http://{1}/jump"], (0, "/1"): ["/2"], (0, "/2"): ["/3"], (0, "/3"): ["/4"], (0, "/4"): [],
        (1, "/jump"): ["http://{0}/3"],
    }  # fmt: skip

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        address, _, port = request.host.partition(":")
        found = links.get((HOSTS.index(address), request.path))
        if found is None:
            return web.Response(status=404)
        return page(
            *(link.format(*(f"{host}:{port}" for host in HOSTS)) for link in found), body=request.host + request.path
        )

    with serving(answer, HOSTS[:2]) as server:
        config = config_for(
            server, [server.url("/")], scope=ScopeConfig(within="any", max_depth=2), ports=(server.port,)
        )
        crawled(tmp_path, config)
        depths = {row["url"]: row["depth"] for row in rows_of(tmp_path, "pages/ledger")}
        expected = {"/": 0, "/1": 1, "/2": 2, "/3": 2, "/4": 3}
        assert depths == {**{server.url(path): depth for path, depth in expected.items()}, server.url("/jump", 1): 1}
        assert verdicts_of(tmp_path)[server.url("/4")] == "too_deep"


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 30)
    with serving(site.answer) as server:
        config = config_for(server, [server.url("/")])
        first = crawled(tmp_path / "first", config)
        again = replace(config, previous=str(tmp_path / "first"))
        assert crawled(tmp_path / "same", again).content == first.content
        assert crawled(tmp_path / "other", replace(again, shards=2)).content == first.content
        site.changed, site.edition = frozenset({3, 7}), 1
        changed = crawled(tmp_path / "changed", again)
    assert changed.content != first.content
    assert Counter(row["verdict"] for row in rows_of(tmp_path / "same", "pages/ledger")) == {"not_modified": 31}
    assert Counter(row["verdict"] for row in rows_of(tmp_path / "changed", "pages/ledger")) == {
        "not_modified": 29,
        "page": 2,
    }
    pages = list(read_pages(str(tmp_path / "changed/pages/part-00000.parquet"), str(tmp_path / "changed")))
    assert [type(each) for each in pages] == [Page] * 31  # the new run stands by itself
    kinds = Counter(
        record.rec_type
        for path in archives_of(tmp_path / "changed")
        for record in ArchiveIterator(path.open("rb"), check_digests="raise")
    )
    assert kinds["revisit"] == 29


def test_page_that_has_not_changed_may_opt_out(tmp_path: Path) -> None:
    """The wish comes with the 304; the page itself was kept without one."""
    wishes: dict[str, str] = {}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in ("/", "/a.html"):
            return web.Response(status=404)
        etag = {"ETag": '"1"'}
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers=etag | (wishes if request.path == "/a.html" else {}))
        return page("/a.html", body=request.path, **etag)

    with serving(answer) as server:
        config = config_for(server, [server.url("/")])
        assert crawled(tmp_path / "first", config).counts["kept"] == 2
        wishes["X-Robots-Tag"] = "noai"
        crawled(tmp_path / "second", replace(config, previous=str(tmp_path / "first")))
    assert verdicts_of(tmp_path / "second") == {
        server.url("/"): "not_modified",
        server.url("/a.html"): "opt_out:header:noai",
    }


def test_no_link_and_no_redirect_reaches_an_address_that_is_not_allowed(tmp_path: Path) -> None:
    inside = "127.0.0.67"  # the server listens there, too; no setting allows it
    spellings = (
        "2130706499",
        "0x7f.67",
        "0177.0.0.67",
        "[::ffff:127.0.0.67]",
        "127.0.0.67",
        "%31%32%37.0.0.67",
        "inside.test",
    )

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        port = request.host.rpartition(":")[2]
        if request.path == "/":
            links = [f"http://{host}:{port}/{number}" for number, host in enumerate(spellings)]
            return page(
                *links,
                "/away",
                "/far",
                head=f'<meta http-equiv=refresh content="0;url=http://{inside}:{port}/refreshed">',
            )
        if request.path in ("/away", "/far"):
            target = f"http://{inside}:{port}/moved" if request.path == "/away" else f"//inside.test:{port}/moved"
            return web.Response(status=302, headers={"Location": target})
        return web.Response(status=404)

    with serving(answer, (HOSTS[0], inside)) as server:
        config = config_for(
            server,
            [server.url("/")],
            scope=ScopeConfig(within="any"),
            ports=(server.port,),
            allow_private_hosts=(f"{HOSTS[0]}:{server.port}",),
            addresses={"inside.test": inside},
        )
        crawled(tmp_path, config)
        assert server.paths(1) == []
        assert {access.host for access in server.log} == {f"{HOSTS[0]}:{server.port}"}
    verdicts = Counter(verdicts_of(tmp_path).values())
    assert verdicts == {"page": 1, "redirect": 2, "error/address_refused": len(spellings) + 3}


def test_previous_run_must_be_complete(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 1)
    with serving(site.answer) as server, pytest.raises(InputError, match="not a complete dataset"):
        crawled(tmp_path / "run", config_for(server, [server.url("/")], previous=str(tmp_path / "nothing")))


def test_previous_run_is_another_one(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 1)
    with serving(site.answer) as server, pytest.raises(SettingError, match="the folder of this very run"):
        crawled(tmp_path / "run", config_for(server, [server.url("/")], previous=f"{tmp_path}/run/"))


def test_seeds_come_from_files_too(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 3)
    with serving(site.answer) as server:
        (tmp_path / "seeds.txt").write_text(f"# seeds\n{server.url('/page/2.html')}\n\n{server.url('/page/3.html')}\n")
        config = config_for(server, [], seed_files=(str(tmp_path / "seeds.txt"),))
        assert crawled(tmp_path / "run", config).counts["kept"] == 2
        with pytest.raises(SettingError, match=r"crawl\.seeds is empty"):
            crawled(tmp_path / "none", replace(config, seed_files=()))


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16"])  # as editors and shells of Windows write them
def test_files_of_seeds_may_have_a_mark(tmp_path: Path, charset: str) -> None:
    (tmp_path / "seeds.txt").write_bytes("https://a.example/é\r\nhttps://b.example/\r\n".encode(charset))
    config = CrawlConfig(seed_files=(str(tmp_path / "seeds.txt"),), user_agent=AGENT)
    assert read_seeds(config) == ["https://a.example/%C3%A9", "https://b.example/"]


@pytest.mark.slow
def test_delay_lasts_from_round_to_round(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 6)
    with serving(site.answer) as server:
        politeness = PolitenessConfig(delay_seconds=0.3, latency_factor=0.0, retry_seconds=0.1)
        limits = LimitsConfig(round_seconds=60.0, pages_per_domain_and_round=2)
        manifest = crawled(tmp_path, config_for(server, [server.url("/")], politeness=politeness, limits=limits))
        assert manifest.counts["rounds"] >= 3
        assert min(server.gaps()) >= 0.3 - 0.002


@pytest.mark.slow
def test_round_ends_in_time_and_the_rest_is_deferred(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 12)
    with serving(site.answer) as server:
        politeness = PolitenessConfig(delay_seconds=0.1, latency_factor=0.0, retry_seconds=0.1)
        manifest = crawled(
            tmp_path,
            config_for(server, [server.url("/")], politeness=politeness, limits=LimitsConfig(round_seconds=0.6)),
        )
        assert manifest.counts["kept"] == 13
        assert manifest.counts["rounds"] >= 3  # thirteen pages take 1.2 s at least


@pytest.mark.slow
def test_several_connections_to_a_site(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 60)
    with serving(site.answer) as server:
        politeness = replace(FAST, delay_seconds=0.04, connections_per_domain=4, connections_per_address=4)
        assert crawled(tmp_path, config_for(server, [server.url("/")], politeness=politeness)).counts["kept"] == 61
        # They are sent evenly; how they arrive depends on what else goes on, so single gaps say nothing.
        assert sum(server.gaps()) >= 0.04 * (len(server.log) - 1) - 0.5


def test_dead_site_is_given_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A site that answers nothing but errors costs a few strikes a round, and a few rounds."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/":
            return page(*(f"/{number}.html" for number in range(100)))
        return web.Response(status=404 if request.path == "/robots.txt" else 500)

    with serving(answer) as server:
        politeness = replace(FAST, strikes=4, tries=3)
        manifest = crawled(tmp_path, config_for(server, [server.url("/")], politeness=politeness))
        assert len(server.log) < 30
    assert manifest.counts["verdict/site_failed"] > 80
    assert f"no pages: {manifest.counts['verdict/site_failed']} site_failed" in capsys.readouterr().err


def test_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, records: bytes) -> None:
        raise OSError(28, os.strerror(28), "part")

    monkeypatch.setattr("pipeline.crawl.ledger.Part._write", full)
    site = TreeSite(HOSTS[:1], 3)
    with serving(site.answer) as server, pytest.raises(Exception, match="No space left on device"):
        crawled(tmp_path, config_for(server, [server.url("/")]))
    assert not (tmp_path / "pages/manifest.json").exists()


def test_manifest_says_what_the_ledger_says(tmp_path: Path) -> None:
    site = TreeSite(HOSTS[:1], 10)
    with serving(site.answer) as server:
        manifest = crawled(tmp_path, config_for(server, [server.url("/"), server.url("/nothing.html")]))
    ledger = Counter(row["verdict"] for row in rows_of(tmp_path, "pages/ledger"))
    assert {f"verdict/{verdict}": number for verdict, number in ledger.items()} == {
        name: number for name, number in manifest.counts.items() if name.startswith("verdict/")
    }
    assert manifest.num_records == manifest.counts["kept"] == 11
    assert read_manifest(str(tmp_path / "rejected/pages")).num_records == manifest.counts["rejected"] == 1


@pytest.mark.parametrize(
    ("head", "verdicts"),
    [
        (b'200 OK\r\nETag: "caf\xe9"\r\nLast-Modified: 3. M\xe4rz\r\nContent-Type: text/html', {"/": "page"}),
        (b"200 OK\r\nContent-Type: application/\xe9", {"/": "media_type"}),
        (b"302 Found\r\nLocation: /\xe9", {"/": "redirect", "/%E9": "redirect"}),
        (b"302 Found\r\nLocation: http://\xff[", {"/": "bad_redirect"}),
    ],
)
def test_headers_that_are_no_utf_8_do_not_end_a_crawl(tmp_path: Path, head: bytes, verdicts: dict[str, str]) -> None:
    answer = b"HTTP/1.1 " + head + b"\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<p>a"
    with serving_raw(says(answer)) as origin:
        config = CrawlConfig(
            seeds=(origin + "/",), user_agent=AGENT, allow_private_hosts=("127.0.0.1",), politeness=FAST
        )
        crawled(tmp_path / "first", config)
        crawled(tmp_path / "second", replace(config, previous=str(tmp_path / "first")))
    assert verdicts_of(tmp_path / "first") == {origin + path: verdict for path, verdict in verdicts.items()}
    assert verdicts_of(tmp_path / "second") == verdicts_of(tmp_path / "first")
