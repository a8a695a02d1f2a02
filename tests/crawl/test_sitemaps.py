import gzip
import tarfile
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
import zstandard
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.config import LimitsConfig
from pipeline.crawl.sitemaps import parse_sitemap
from tests.crawl.crawling import config_for, crawled, verdicts_of
from tests.site.server import serving
from tests.site.traps import page

URL = "http://example.com/sitemap.xml"
SPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


@pytest.mark.parametrize(
    ("content", "pages", "sitemaps"),
    [
        (
            f"<urlset {SPACE}><url><loc> http://example.com/a </loc></url><url><loc>/b?x=1&amp;y=2</loc></url></urlset>",
            ["/a", "/b?x=1&y=2"],
            [],
        ),
        ("<urlset><url><loc><![CDATA[http://example.com/a]]></loc></url></urlset>", ["/a"], []),
        (f"<sitemapindex {SPACE}><sitemap><loc>/more.xml</loc></sitemap></sitemapindex>", [], ["/more.xml"]),
        (
            '<urlset xmlns:image="i"><url><loc>/a</loc><image:image><image:loc>/a.png</image:loc></image:image></url></urlset>',
            ["/a"],
            [],
        ),
        ("<rss><channel><link>/</link><item><link>/post</link></item></channel></rss>", ["/post"], []),
        (
            '<feed xmlns="http://www.w3.org/2005/Atom"><link href="/self" rel="self"/><entry><link href="/entry"/></entry></feed>',
            ["/entry"],
            [],
        ),
        ("\ufeffhttp://example.com/a\r\nhttp://example.com/b\nnot a link\n", ["/a", "/b"], []),
        ("http://example.com/a\rhttp://example.com/b\r", ["/a", "/b"], []),
        ("<urlset><url><loc>/a</loc></url><url><loc>/b", ["/a"], []),  # cut
        (  # a prefix that is not declared
            "<urlset><url><loc>/a</loc><image:image><image:loc>/a.png</image:loc></image:image></url><url><loc>/b</loc></url></urlset>",
            ["/a", "/b"],
            [],
        ),
        ("<s:urlset xmlns:s='x'><s:url><s:loc>/a</s:loc></s:url></s:urlset>", ["/a"], []),
        (  # what XML does not allow
            "<urlset><url><loc>/a?x=1&y=2&#38;z</loc></url><url><loc><![CDATA[/b?x=1&y=2]]>\x0b</loc></url></urlset>",
            ["/a?x=1&y=2&z", "/b?x=1&y=2"],
            [],
        ),
        ("<urlset><url><loc>/a</loc></url><![CDATA[" * 2, ["/a"], []),
        ('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>/&b;</loc></url></urlset>', [], []),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>/&a;</loc></url></urlset>', [], []),
        ("", [], []),
    ],
)
def test_reads(content: str, pages: list[str], sitemaps: list[str]) -> None:
    found = parse_sitemap(content.encode(), URL, limit=100)
    assert found.pages == ["http://example.com" + path for path in pages]
    assert found.sitemaps == ["http://example.com" + path for path in sitemaps]


@pytest.mark.parametrize(
    ("declared", "charset"),
    [
        ("gb2312", "gb2312"),  # the XML parser knows no charset of several bytes a character
        ("Shift_JIS", "cp932"),
        ("windows-1251", "cp1251"),
        ("none-such", "utf-8"),
        ("UTF-8", "cp1251"),  # a lie
        ("utf-16", "utf-16"),
    ],
)
def test_charsets(declared: str, charset: str) -> None:
    letters = {"cp1251": "привет", "cp932": "日本語"}.get(charset, "你好")
    content = f"<?xml version='1.0' encoding='{declared}'?><urlset><url><loc>/a</loc></url><!-- {letters} --><url><loc>/b</loc></url></urlset>"
    assert parse_sitemap(content.encode(charset), URL, limit=9).pages == [
        "http://example.com/a",
        "http://example.com/b",
    ]


def test_text_in_utf_16() -> None:
    assert parse_sitemap("http://example.com/a\n".encode("utf-16"), URL, limit=9).pages == ["http://example.com/a"]


def test_limit() -> None:
    content = "<urlset>" + "".join(f"<url><loc>/{number}</loc></url>" for number in range(100)) + "</urlset>"
    assert len(parse_sitemap(content.encode(), URL, limit=10).pages) == 10


@pytest.mark.parametrize(
    "content",
    [
        b"<urlset>" + b"<url>" * 1_000_000,  # as deep as long
        b"<urlset><url><loc>" + b"x<!---->" * 500_000,  # text in as many pieces as there are bytes to part them
        b"<urlset><url><loc>" + b"x<![CDATA[y]]>" * 300_000,
        b"<urlset " + b" ".join(b"a%d='>'" % number for number in range(300_000)) + b">",
        b"<" * 4_000_000,
        b"http://" * 600_000,
        b"\n" * 4_000_000,
    ],
)
def test_hostile_sitemaps_cost_little(content: bytes) -> None:
    started = time.process_time()
    tracemalloc.start()
    parse_sitemap(content, URL, limit=1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 10.0
    assert peak < 30 << 20


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(content: bytes) -> None:
    parse_sitemap(content, URL, limit=10)
    parse_sitemap(b"<urlset><url><loc>" + content, URL, limit=10)


def test_real_sitemaps(shared_data: Path) -> None:
    num_pages = {}
    packed = (shared_data / "vectors/robots/crawler_commons_resources.tar.zst").open("rb")
    with zstandard.ZstdDecompressor().stream_reader(packed) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if (
                file is not None
                and member.name.startswith(("sitemaps/", "./sitemaps/", "rss/", "./rss/"))
                and not member.name.endswith("gz")
            ):
                found = parse_sitemap(file.read(), URL, limit=1000)
                num_pages[member.name.removeprefix("./")] = len(found.pages) + len(found.sitemaps)
    assert len(num_pages) > 12
    assert sum(number > 0 for number in num_pages.values()) >= len(num_pages) - 3, num_pages


def test_indexes_that_go_round_and_on_for_ever_are_left(tmp_path: Path) -> None:
    """An index names itself and one further index, without end; each lists a page, and sitemaps of nobody's business."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        port = request.host.partition(":")[2]
        if request.path == "/robots.txt":
            return web.Response(
                text="Sitemap: /index-0.xml\nSitemap: /index-0.xml\nSitemap: /bomb.xml\nSitemap: ftp://x/\n"
            )
        if request.path.startswith("/index-"):
            number = int(request.path[7:-4])
            further = (
                "/index-0.xml",
                f"/index-{number + 1}.xml",
                f"/list-{number}.xml.gz",
                f"http://127.0.0.2:{port}/x.xml",
            )
            inner = "".join(f"<sitemap><loc>{path}</loc></sitemap>" for path in further)
            return web.Response(text=f"<sitemapindex>{inner}</sitemapindex>", content_type="text/xml")
        if request.path.startswith("/list-"):
            content = (
                f"<urlset><url><loc>/page{request.path[6:-7]}.html</loc></url><url><loc>/never.css</loc></url><nonsense"
            )
            return web.Response(body=gzip.compress(content.encode()), content_type="application/octet-stream")
        if request.path == "/bomb.xml":
            return web.Response(body=gzip.compress(b" " * (3 << 20)), headers={"Content-Encoding": "gzip"})
        return page(body=request.path) if request.path.endswith(".html") else web.Response(status=404)

    with serving(answer, ("127.0.0.1", "127.0.0.2")) as server:
        limits = LimitsConfig(sitemaps=9, sitemap_bytes=1 << 20)
        crawled(tmp_path, config_for(server, [server.url("/start.html")], limits=limits))
        assert server.paths(1) == []
    verdicts = verdicts_of(tmp_path)
    assert verdicts.pop(server.url("/bomb.xml")) == "decoded_too_large"
    assert verdicts.pop(server.url("/never.css")) == "extension"
    found = Counter(verdicts.values())
    assert found["sitemap"] == 9 - 1  # the limit, of which the bomb is one
    assert found["page"] == 1 + sum("/list-" in url for url, verdict in verdicts.items() if verdict == "sitemap")
    assert found["page"] > 3
    assert set(found) == {"page", "sitemap", "too_many_sitemaps"}
