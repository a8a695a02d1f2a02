"""What pages say about themselves."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.dates import iso_date, iso_date_in_url
from pipeline.extract.metadata import licence_name, read_metadata
from pipeline.extract.results import Metadata

PAGE = "<html><head>{head}</head><body>{body}</body></html>"


def read(head: str = "", body: str = "", url: str = "https://example.org/a/b") -> Metadata:
    html = PAGE.format(head=head, body=body)
    return read_metadata(LexborHTMLParser(html), url, html)


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        (
            "<title>A long headline - The Site</title>",
            "<h1>A long headline</h1>",
            "A long headline",
        ),  # the heading, seen in the title
        (
            '<title>A long headline | The Site</title><meta property="og:site_name" content="The Site">',
            "",
            "A long headline",
        ),
        ('<meta property="og:title" content="Short | Site"><meta property="og:site_name" content="Site">', "", "Short"),
        ('<meta property="og:title" content="Open Graph">', "<h1>one</h1><h1>two</h1>", "Open Graph"),
        (
            '<script type="application/ld+json">{"@type": "NewsArticle", "headline": "From &amp; data"}</script>',
            "",
            "From & data",
        ),
        ("<title>only \n the  title</title>", "", "only the title"),
        ("", "<h1>Heading</h1>", "Heading"),
        ("", "", ""),
    ],
)
def test_title(head: str, body: str, title: str) -> None:
    assert read(head, body).title == title


@pytest.mark.parametrize(
    ("head", "body", "author"),
    [
        ('<meta name="author" content="Ada Lovelace">', "", "Ada Lovelace"),
        ("", '<a rel="author" href="/ada">By Ada Lovelace</a>', "Ada Lovelace"),
        (
            '<script type="application/ld+json">{"@graph": [{"@type": "Article", "author": [{"name": "A"}, "B"]}]}</script>',
            "",
            "A; B",
        ),
        ('<meta name="author" content="https://example.org/ada">', "", ""),  # an address is not a name
        ('<script type="application/ld+json">{broken</script><meta name="author" content="C">', "", "C"),
        ("", "<div class='byline'>von <b>Max Muster</b></div>", "Max Muster"),
        ("", "<p class=byline>By <a href=/a>Ada Lovelace</a> | March 3rd, 1843</p>", "Ada Lovelace"),
        ("", "<p class=byline>Von Max Muster, 12. März 2018</p>", "Max Muster"),
        ('<meta name="author" content="Channel 4 News">', "", "Channel 4 News"),
    ],
)  # fmt: skip
def test_author(head: str, body: str, author: str) -> None:
    assert read(head, body).author == author


@pytest.mark.parametrize(
    ("head", "body", "url", "date"),
    [
        (
            '<meta property="article:published_time" content="2021-03-09T23:59:00+02:00">',
            "",
            "https://e.org/",
            "2021-03-09",
        ),
        ("", '<time datetime="2020-02-29">yesterday</time>', "https://e.org/", "2020-02-29"),
        ("", "", "https://e.org/2019/07/04/story", "2019-07-04"),
        ("", '<span class="post-date">4. März 2018</span>', "https://e.org/", "2018-03-04"),
        ("", "", "https://e.org/2019/17/44/story", ""),
        ("", "<p class=byline>Von Max Muster, 12. März 2018</p>", "https://e.org/", "2018-03-12"),
    ],
)
def test_date(head: str, body: str, url: str, date: str) -> None:
    assert read(head, body, url).date == date


@pytest.mark.parametrize(
    ("stated", "date"),
    [
        ("2021-03-09", "2021-03-09"),
        ("20210309", "2021-03-09"),
        ("09.03.2021 12:00", "2021-03-09"),
        ("March 9, 2021", "2021-03-09"),
        ("9th Mar. 2021", "2021-03-09"),
        ("9 de marzo de 2021", "2021-03-09"),
        ("2021年3月9日", "2021-03-09"),
        ("13/3/2021", "2021-03-13"),  # only one reading is a date
        ("3/13/2021", "2021-03-13"),
        ("3/4/2021", ""),  # two readings
        ("25-10-2016", "2016-10-25"),
        ("9-Mar-2021", "2021-03-09"),
        ("1st of March 2021", "2021-03-01"),
        ("2021년 3월 9일", "2021-03-09"),
        ("2021. március 9.", "2021-03-09"),
        ("9 toukokuuta 2021", "2021-05-09"),
        ("9. března 2021", "2021-03-09"),
        ("9 Μαρτίου 2021", "2021-03-09"),
        ("9 березня 2021", "2021-03-09"),
        ("March 2021", ""),
        ("1475661600", "2016-10-05"),  # seconds since 1970
        ("1475661600000", "2016-10-05"),
        ("2021-02-30", ""),
        ("0001-01-01", ""),
        ("+1 (555) 12345678", ""),
        ("", ""),
    ],
)
def test_iso_date(stated: str, date: str) -> None:
    assert iso_date(stated) == date


def test_iso_date_in_url() -> None:
    assert iso_date_in_url("https://e.org/news/20200131/x") == "2020-01-31"
    assert iso_date_in_url("https://e.org/p/123456789/") == ""


@pytest.mark.parametrize(
    ("head", "body", "licence"),
    [
        ('<link rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">', "", "CC-BY-SA-4.0"),
        ("", '<a href="http://creativecommons.org/licenses/by-nc/2.5/deed.de">CC</a>', "CC-BY-NC-2.5"),
        ("", '<a rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">0</a>', "CC0-1.0"),
        ('<meta name="dc.rights" content="Crown copyright">', "", "Crown copyright"),
        ("", '<a href="https://creativecommons.org/">about</a>', ""),
        ('<meta name="copyright" content="CC BY-NC 4.0">', "", "CC-BY-NC-4.0"),
        ('<meta name="copyright" content="© 2020 Acme">', "", ""),  # a claim, no licence
        (
            "",
            "<p>under the Creative Commons <b>Attribution-ShareAlike</b> 4.0 International License</p>",
            "CC-BY-SA-4.0",
        ),
        ("", "<p>Creative Commons Attribution Non-Commercial 3.0 Unported</p>", "CC-BY-NC-3.0"),
        ("", "<p>What the Creative Commons movement wants</p>", ""),
        (
            '<script type="application/ld+json">{"@type": "Article", "license": {"url": "https://creativecommons.org/licenses/by/4.0/"}}</script>',
            "",
            "CC-BY-4.0",
        ),
    ],
)
def test_licence(head: str, body: str, licence: str) -> None:
    assert read(head, body).licence == licence


def test_licence_name_of_the_public_domain_mark() -> None:
    assert licence_name("https://creativecommons.org/publicdomain/mark/1.0/") == "public domain"


def test_canonical() -> None:
    assert read('<link rel="canonical" href="/c?x=1">').canonical == "https://example.org/c?x=1"
    assert read('<link rel="canonical" href="javascript:void(0)">').canonical == ""
    assert read('<base href="/d/"><link rel="canonical" href="p#part">').canonical == "https://example.org/d/p"
    assert read('<link rel="canonical" href="http://[bad">').canonical == ""


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ('<meta property="og:type" content="article">', "article"),
        ('<script type="application/ld+json">{"@type": ["BlogPosting"]}</script>', "article"),
        ('<meta property="og:type" content="website">', ""),
        ("", ""),
    ],
)
def test_kind(head: str, kind: str) -> None:
    assert read(head).kind == kind


def test_deep_linked_data_is_harmless() -> None:
    deep = '{"@graph": ' * 900 + "{}" + "}" * 900
    assert read(f'<script type="application/ld+json">{deep}</script><title>t</title>').title == "t"
