import json
import resource
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline import markup
from pipeline.crawl.links import page_links
from pipeline.taming import tamed

URL = "http://example.com/dir/page.html"


@pytest.mark.parametrize(
    ("html", "links"),
    [
        ('<a href="x.html">', ["http://example.com/dir/x.html"]),
        ("<a href=' /y '>", ["http://example.com/y"]),
        ('<a href="?a=1&amp;b=2">', ["http://example.com/dir/page.html?a=1&b=2"]),
        ('<a href="#top"><a href=""><a>', []),
        ('<a href="mailto:a@b.c"><a href="JavaScript:x()"><a href="data:,x"><a href="ftp://a/b">', []),
        (
            '<a rel="nofollow" href="a"><a rel="noopener UGC" href="b"><a rel="sponsored" href="c"><a rel="noopener" href="d">',
            ["http://example.com/dir/d"],
        ),
        ('<base href="/other/"><a href="x">', ["http://example.com/other/x"]),
        ('<base href="http://["><a href="x">', ["http://example.com/dir/x"]),
        (
            '<map><area href="m"></map><iframe src="f"></iframe>',
            ["http://example.com/dir/m", "http://example.com/dir/f"],
        ),
        ('<meta http-equiv="Refresh" content="0;URL=\'r\'">', ["http://example.com/dir/r"]),
        ('<meta http-equiv=refresh content=" 5.5 , r s ">', ["http://example.com/dir/r%20s"]),
        ("<meta http-equiv=' refresh ' content=\"0; url = '/q' ; x\">", ["http://example.com/q"]),  # up to the quote
        ("<meta http-equiv=refresh content=30>", []),
        ("<noscript><a href=n></noscript>", ["http://example.com/dir/n"]),
        (
            '<link rel="next" href="n"><link rel="stylesheet" href="s.css"><link rel="alternate" type="application/rss+xml" href="feed">',
            ["http://example.com/dir/n"],
        ),
        ("<a href=a><a href=a><a href=./a#x>", ["http://example.com/dir/a"]),
        ('<!-- <a href="c"> --><script>"<a href=s>"</script><template><a href=t></template>', []),
        ("<a href='http://[/'><a href='https://u:p@example.com/'>", []),
    ],
)
def test_links(html: str, links: list[str]) -> None:
    assert page_links(html.encode(), URL, limit=100).links == links


@pytest.mark.parametrize(
    ("reference", "charset", "link"),
    [
        ("/д?q=д", "cp1251", "/%D0%B4?q=%E4"),  # the path is sent in UTF-8, the query as the page is written
        ("/日?q=表", "cp932", "/%E6%97%A5?q=%95\\"),  # the second octet of a character may be ASCII
        ("?q=д&amp;r=€#д", "cp1251", "/dir/page.html?q=%E4&r=%88"),
        ("?q=é日", "cp1252", "/dir/page.html?q=%E9%26%2326085%3B"),  # what the charset lacks
        ("?q=Ａ#x", "iso2022_jp_ext", "/dir/page.html?q=%1B$B%23A%1B(B"),
        ("?q=д", "utf-16-le", "/dir/page.html?q=%D0%B4"),
        ("?q=д", "utf-8", "/dir/page.html?q=%D0%B4"),
    ],
)
def test_queries_are_sent_in_the_charset_of_the_page(reference: str, charset: str, link: str) -> None:
    html = f'<a href="{reference}">'.encode()
    assert page_links(html, URL, limit=9, charset=charset).links == ["http://example.com" + link]


def test_metas() -> None:
    html = b'<meta name="robots" content="noindex"><META NAME=Tdm-Reservation CONTENT=1><meta charset=x><meta property=og content=y>'
    assert page_links(html, URL, limit=9).metas == [("robots", "noindex"), ("Tdm-Reservation", "1")]


def test_metas_without_content_say_nothing() -> None:
    html = b"<meta name=robots><meta http-equiv=refresh><meta name=x content>"
    assert page_links(html, URL, limit=9) == ([], [("x", "")])
    assert page_links(html + b"<i>" * 20_001, URL, limit=9).links == []  # scanned, not parsed


def test_links_of_a_selected_option_are_found() -> None:
    html = b"<select><button><selectedcontent></selectedcontent></button><option>x<option selected><a href=y>z</a></select>"
    assert page_links(html, URL, limit=9).links == ["http://example.com/dir/y"]


def test_limit_counts_different_links() -> None:
    html = b"".join(b"<a href=%d>" % (number % 50) for number in range(500))
    assert len(page_links(html, URL, limit=20).links) == 20
    assert len(page_links(html, URL, limit=100).links) == 50


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(html: bytes) -> None:
    page_links(b"<a href=" + html, URL, limit=10)


def attributes(start: int, stop: int, value: bytes = b"=1") -> bytes:
    return b" ".join(b"a%d%b" % (number, value) for number in range(start, stop))


@pytest.mark.parametrize(
    "html",
    [
        b"<div>" * 800_000,
        b"<div>" * 19_000,
        b"<p " + attributes(0, 300_000, b'=">"') + b">",  # the values look like the end of the tag
        b"<p " + attributes(0, 300_000, b'=">=" ') + b">",
        b"<p " + attributes(0, 300_000, b"") + b">",
        b"<p " + attributes(0, 300_000).replace(b" ", b"/") + b">",
        b"".join(b"<body " + attributes(at, at + 1500) + b">" for at in range(0, 300_000, 1500)),  # they merge
        b"<meta http-equiv=refresh content='0;" + b" " * 100_000 + b"x" + b" " * 100_000 + b"y'>",
        b"<title>" * 500_000,
        b"</b></p>" * 500_000,
        b"<p " + b" ".join(b"a%d=1" % number for number in range(300_000)) + b">",
        b"<a href=x>" * 300_000,
        b"<!--" * 500_000,
        b"<script>" * 300_000,
        b"<a href='" * 300_000,
        b"<a " * 500_000,
        # Each selected option would be copied into the button, after a search for the one before it.
        b"<select><button><selectedcontent></selectedcontent></button>" + b"<option>x<option selected>y" * 9000,
    ],
)
def test_hostile_pages_take_time_in_proportion(html: bytes) -> None:
    started = time.process_time()
    page_links(html, URL, limit=10)
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("name", [b"b", b"FONT", b"strike", b"nobr"])
@pytest.mark.parametrize("end", [b" a%d>", b"\n%d>", b"/a%d>"])
def test_copies_of_formatting_elements_do_not_fill_the_memory(name: bytes, end: bytes) -> None:
    """Each of the 3,000 elements would be built again in each of the 3,000 paragraphs: 9 million nodes, 3.6 GB."""
    html = b"<p>" + b"".join(b"<" + name + end % number for number in range(3000)) + b"<p>x<a href=y>" * 3000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert page_links(html, URL, limit=10).links == ["http://example.com/dir/y"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_tamed_page_has_the_same_links() -> None:
    """Formatting elements are renamed, scripts and comments taken out; links, metas and their order stay."""
    html = (
        b"<meta name=robots content=noai><script>"
        + b"a = b; " * 40_000
        + b"</script>"
        + b"<b><a href=x>1</a></b><p>2" * 900
    )
    assert tamed(html) not in (html, None)
    assert page_links(html, URL, limit=9) == (["http://example.com/dir/x"], [("robots", "noai")])


def test_scan_finds_what_the_parser_finds(shared_data: Path) -> None:
    """On real pages; where they differ, markup is broken."""
    packed = (shared_data / "html/article_extraction.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(packed).read().decode().split("\n")
    num_links = num_equal = 0
    for line in filter(None, lines[:40]):
        html = json.loads(line)["html"].encode()
        parsed, scanned = (
            {value["href"] for tag, value in read(html) if tag == "a" and value.get("href")}
            for read in (markup.elements, markup.scanned)
        )
        num_links += len(parsed | scanned)
        num_equal += len(parsed & scanned)
    assert num_equal > 0.98 * num_links > 1000


@pytest.mark.parametrize(
    ("html", "metas"),
    [
        ('<META CONTENT="noai" NAME=Robots>', [("Robots", "noai")]),
        ('<meta property="robots" content="noai">', [("robots", "noai")]),
        ('<meta http-equiv="X-Robots-Tag" content="noai">', [("robots", "noai")]),
        ('<meta http-equiv="tdm-reservation" content="1">', [("tdm-reservation", "1")]),
        ('<body><p>late<meta name="robots" content="noai">', [("robots", "noai")]),
        ('<noscript><meta name="robots" content="noai"></noscript>', [("robots", "noai")]),
        ('<meta name="robots" content="&#110;oai">', [("robots", "noai")]),
        ('<!--<meta name="robots" content="noai">-->', []),
        ('<script>"<meta name=robots content=noai>"</script>', []),
    ],
)
def test_metas_in_odd_places(html: str, metas: list[tuple[str, str]]) -> None:
    assert page_links(html.encode(), "http://example.com/", limit=9).metas == metas
