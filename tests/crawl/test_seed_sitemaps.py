"""Sitemaps that the settings name: what they list counts as seeds, within the rules that hold for every URL."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from jobs.config import RunConfig
from pipeline.crawl.config import CrawlConfig, LimitsConfig, ScopeConfig
from pipeline.errors import SettingError
from tests.crawl.crawling import AGENT, config_for, crawled, rows_of, verdicts_of
from tests.site.server import Server, serving
from tests.site.traps import page

ROBOTS = "User-agent: *\nDisallow: /private/\n"


def listing(kind: str, *urls: str) -> bytes:
    outer, inner = {"index": ("sitemapindex", "sitemap"), "pages": ("urlset", "url")}[kind]
    entries = "".join(f"<{inner}><loc>{url}</loc></{inner}>" for url in urls)
    return f'<?xml version="1.0"?><{outer} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{outer}>'.encode()


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """An index of two sitemaps, one packed; six pages, of which nobody links to any but the third of `/deep/`."""
    base = f"http://{request.host}"
    elsewhere = base.replace("127.0.0.1", "127.0.0.2")
    bodies: dict[str, bytes] = {
        "/robots.txt": ROBOTS.encode(),
        "/sitemap.xml": listing("index", f"{base}/more/sitemap-1.xml.gz", f"{base}/sitemap-2.xml"),
        "/more/sitemap-1.xml.gz": gzip.compress(listing("pages", f"{base}/a/1.html", f"{base}/a/2.html")),
        "/sitemap-2.xml": listing("pages", f"{base}/b/1.html", f"{base}/private/1.html", f"{elsewhere}/c.html"),
        "/private/sitemap.xml": listing("pages", f"{base}/a/1.html"),
    }
    body = bodies.get(request.path)
    if body is not None:
        return web.Response(
            body=body, content_type="text/plain" if request.path == "/robots.txt" else "application/xml"
        )
    if request.path.endswith(".html"):
        return page(*(["/deep/3.html"] if request.path == "/a/1.html" else []), body=f"{base}{request.path}")
    return web.Response(status=404)


def config_of(server: Server, *sitemaps: str, seeds: tuple[str, ...] = (), **settings: Any) -> CrawlConfig:
    chosen = {"scope": ScopeConfig(within="host", max_depth=0), "ports": (server.port,), **settings}
    return config_for(server, seeds, seed_sitemaps=tuple(map(server.url, sitemaps)), **chosen)


def paths_of(run: Path) -> list[str]:
    return sorted("/" + row["url"].split("/", 3)[3] for row in rows_of(run, "pages"))


def test_the_pages_of_a_sitemap_are_seeds(tmp_path: Path) -> None:
    with serving(answer, ("127.0.0.1", "127.0.0.2")) as server:
        config = config_of(server, "/sitemap.xml")
        first = crawled(tmp_path / "first", config)
        assert paths_of(tmp_path / "first") == ["/a/1.html", "/a/2.html", "/b/1.html"]
        ledger = {row["url"]: row for row in rows_of(tmp_path / "first", "pages/ledger")}
        depths = {url: row["depth"] for url, row in ledger.items() if row["verdict"] == "page"}
        assert set(depths.values()) == {0}
        verdicts = verdicts_of(tmp_path / "first")
        assert verdicts[server.url("/private/1.html")].startswith("robots")
        assert verdicts[server.url("/c.html", 1)] == "out_of_scope"
        assert verdicts[server.url("/deep/3.html")] == "too_deep"
        asked = {access.path for access in server.log}
        assert "/private/1.html" not in asked
        other = replace(config, shards=5, limits=LimitsConfig(round_seconds=60.0, pages_per_domain_and_round=1))
        assert crawled(tmp_path / "second", other).content == first.content
        num_requests = len(server.log)
        assert crawled(tmp_path / "first", config) == first  # up to date
        assert len(server.log) == num_requests


def test_bounds_and_robots_hold_for_sitemaps(tmp_path: Path) -> None:
    with serving(answer) as server:
        crawled(tmp_path / "refused", config_of(server, "/private/sitemap.xml"))
        assert verdicts_of(tmp_path / "refused")[server.url("/private/sitemap.xml")].startswith("robots")
        assert "/private/sitemap.xml" not in {access.path for access in server.log}
        crawled(
            tmp_path / "few", config_of(server, "/sitemap.xml", limits=LimitsConfig(round_seconds=60.0, sitemaps=2))
        )
        assert paths_of(tmp_path / "few") == ["/a/1.html", "/a/2.html"]  # the index, and the first of its two
        assert verdicts_of(tmp_path / "few")[server.url("/sitemap-2.xml")] == "too_many_sitemaps"
        crawled(
            tmp_path / "short",
            config_of(server, "/sitemap.xml", limits=LimitsConfig(round_seconds=60.0, sitemap_urls=1)),
        )
        assert paths_of(tmp_path / "short") == ["/a/1.html"]
        crawled(tmp_path / "one", config_of(server, "/sitemap.xml", max_pages=1))
        assert len(paths_of(tmp_path / "one")) == 1


def test_seeds_and_sitemaps_together(tmp_path: Path) -> None:
    with serving(answer) as server:
        crawled(tmp_path / "run", config_of(server, "/sitemap.xml", seeds=(server.url("/deep/1.html"),)))
        assert paths_of(tmp_path / "run") == ["/a/1.html", "/a/2.html", "/b/1.html", "/deep/1.html"]


def test_a_sitemap_among_the_seeds_is_said(tmp_path: Path) -> None:
    with serving(answer) as server:
        seeds = (server.url("/sitemap.xml"),)
        with pytest.raises(SettingError, match=r"/sitemap.xml is a sitemap by its name.*set crawl.seed_sitemaps to it"):
            crawled(tmp_path / "run", config_for(server, seeds))
        crawled(tmp_path / "run", config_for(server, seeds, scope=ScopeConfig(skip_extensions=())))  # who wants it


def test_settings() -> None:
    with pytest.raises(SettingError, match=r"crawl.seed_sitemaps holds 'sitemap.xml'"):
        CrawlConfig(seed_sitemaps=("sitemap.xml",), user_agent=AGENT)
    with pytest.raises(SettingError, match=r"crawl.user_agent is ''"):
        CrawlConfig(seed_sitemaps=("https://example.org/sitemap.xml",))
    assert RunConfig(crawl=CrawlConfig(seed_sitemaps=("https://example.org/s.xml",), user_agent=AGENT)).crawls
