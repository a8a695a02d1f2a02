import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crawl.sitemaps import parse_sitemap

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
        ("<urlset><url><loc>/a</loc></url><url><loc>/b", ["/a"], []),  # cut
        ('<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><urlset><url><loc>/&b;</loc></url></urlset>', [], []),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>/&a;</loc></url></urlset>', [], []),
        ("", [], []),
    ],
)
def test_reads(content: str, pages: list[str], sitemaps: list[str]) -> None:
    found = parse_sitemap(content.encode(), URL, limit=100)
    assert found.pages == ["http://example.com" + path for path in pages]
    assert found.sitemaps == ["http://example.com" + path for path in sitemaps]


def test_limit() -> None:
    content = "<urlset>" + "".join(f"<url><loc>/{number}</loc></url>" for number in range(100)) + "</urlset>"
    assert len(parse_sitemap(content.encode(), URL, limit=10).pages) == 10


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
