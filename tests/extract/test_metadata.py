"""What pages say about themselves."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.extract.dates import iso_date, iso_date_in_url
from pipeline.extract.licences import licence_name
from pipeline.extract.metadata import read_metadata
from pipeline.extract.results import Metadata

PAGE = "<html><head>{head}</head><body>{body}</body></html>"


LINKED = '<script type="application/ld+json">%s</script>'


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
        # the name of the site before the headline, where the page says it; other separators
        ('<title>The Site | Of mice</title><meta property="og:site_name" content="The Site">', "", "Of mice"),
        ('<title>記事の題名です｜サイト</title><meta property="og:site_name" content="サイト">', "", "記事の題名です"),
        ("<title>Of mice and men :: The Site</title>", "", "Of mice and men"),
        ("<p><svg><title>an icon</title></svg>", "", ""),  # the title of a drawing
        (LINKED % '{"@type": "Article", "headline": ["One", "Two"]}', "", "One"),
        # an article speaks before the page that it is on
        (
            LINKED % '[{"@type": "WebPage", "headline": "Page"}, {"@type": "NewsArticle", "headline": "News"}]',
            "",
            "News",
        ),
        # JSON that is wrong in the usual ways
        (LINKED % '<!-- {"@type": "Article", "headline": "In a comment"} -->', "", "In a comment"),
        (LINKED % '//<![CDATA[\n{"@type": "Article", "headline": "In CDATA"}\n//]]>', "", "In CDATA"),
        (LINKED % '{"@type": "Article", "headline": "A comma", };', "", "A comma"),
        (LINKED.replace("json", "json; charset=utf-8") % '{"@type": "Article", "headline": "Typed"}', "", "Typed"),
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
        # one element an author, as libraries and journals write
        ('<meta name="citation_author" content="A"><meta name="citation_author" content="B">', "", "A; B"),
        # people who are named elsewhere in the graph, or in two parts
        (LINKED % '{"@graph": [{"@type": "Article", "author": {"@id": "#1"}}, {"@id": "#1", "name": "Ada"}]}', "", "Ada"),
        (LINKED % '{"@type": "Article", "author": {"givenName": "Ada", "familyName": "Lovelace"}}', "", "Ada Lovelace"),
        ("", "<div itemprop=author><meta itemprop=name content='Ada Lovelace'></div>", "Ada Lovelace"),
        ("", "<p class=byline>Por Juan Pérez, 3 de mayo de 2020</p>", "Juan Pérez"),
        ("", "<p class=byline>Автор: Иван Иванов</p>", "Иван Иванов"),
        ("", "<p class=byline>文/张三</p>", "张三"),
        # somebody who commented is not the author
        ("", "<li class='comment even'><cite class=author>Somebody</cite></li>", ""),
        ("", "<b class=comment-author>Somebody</b>", ""),
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
        ("", "<abbr class=published title='2021-02-03T04:05'>yesterday</abbr>", "https://e.org/", "2021-02-03"),
        ('<meta name="DC.Date.Created" content="2021-02-03">', "", "https://e.org/", "2021-02-03"),
        (
            '<meta http-equiv="last-modified" content="Tue, 09 Mar 2021 10:00:00 GMT">',
            "",
            "https://e.org/",
            "2021-03-09",
        ),
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
        ("1er mars 2021", "2021-03-01"),
        ("9 févr. 2021", "2021-02-09"),
        ("9 d'abril del 2021", "2021-04-09"),
        ("9 март 2021", "2021-03-09"),
        ("2021 m. kovo 9 d.", "2021-03-09"),
        ("ngày 9 tháng 3 năm 2021", "2021-03-09"),
        ("9 ביולי 2021", "2021-07-09"),
        ("٩ مارس ٢٠٢١", "2021-03-09"),  # digits of Arabic
        ("9 मार्च 2021", "2021-03-09"),
        ("9 มีนาคม 2564", "2021-03-09"),  # years of the Buddhist calendar
        ("令和3年3月9日", "2021-03-09"),
        ("平成元年5月1日", "1989-05-01"),
        ("Mar-09-2021", "2021-03-09"),
        ("Tue Mar  9 10:00:00 2021", "2021-03-09"),
        ("Tue Mar 09 10:00:00 PST 2021", "2021-03-09"),
        ("12 comments 2021, posted March 9, 2021", "2021-03-09"),  # not every word is a month
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
    assert iso_date_in_url("https://e.org/2020/01/31") == "2020-01-31"
    assert iso_date_in_url("https://e.org/2020-01-31.html?x") == "2020-01-31"
    assert iso_date_in_url("https://e.org/p/123456789/") == ""
    assert iso_date_in_url("https://e.org/2020/01/310") == ""


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
        ("", "<p>creative commons attribution 4.0</p>", "CC-BY-4.0"),
        # names in other languages; what forbids most must not get lost
        ("", "<p>Creative Commons Attribution - Pas d’Utilisation Commerciale 3.0 France", "CC-BY-NC-3.0"),
        ("", "<p>Creative Commons Namensnennung - Weitergabe unter gleichen Bedingungen 4.0", "CC-BY-SA-4.0"),
        ("", "<p>Creative Commons Reconocimiento-NoComercial-SinObraDerivada 4.0", "CC-BY-NC-ND-4.0"),
        ("", "<p>Creative Commons Attribution - Something that nobody knows 3.0", ""),
        # codes, beside a word that says what they are; not those of a picture
        ("", "<footer>Text licensed under CC BY-SA 3.0.</footer>", "CC-BY-SA-3.0"),
        ("", "<footer>Licence: cc-by-nc-nd 4.0</footer>", "CC-BY-NC-ND-4.0"),
        ("", "<p>Dedicated to the public domain (CC0).", "CC0-1.0"),
        ("", "<p>Write to me, cc by mail", ""),
        ("", "<p>Image licensed by Jane, CC BY 2.0", ""),
        (
            "",
            "<figure><img src=x><figcaption><a href='https://creativecommons.org/licenses/by/2.0/'>CC</a></figure>",
            "",
        ),
        ("", "<img src='https://i.creativecommons.org/l/by-sa/4.0/88x31.png'>", "CC-BY-SA-4.0"),
        ("", "<img src='https://licensebuttons.net/p/zero/1.0/88x31.png'>", "CC0-1.0"),
        ("", "<a href='https://creativecommons.org/licenses/publicdomain/'>x</a>", "public domain"),
        (
            "",
            "<a rel=license href='https://opensource.org/licenses/MIT'>MIT</a>",
            "https://opensource.org/licenses/MIT",
        ),
        ('<link itemprop="license" href="https://creativecommons.org/licenses/by/4.0/">', "", "CC-BY-4.0"),
        ('<meta name="rights" content="CC BY 4.0">', "", "CC-BY-4.0"),
        (LINKED % '{"@type": "Dataset", "license": ["https://creativecommons.org/licenses/by/4.0/"]}', "", "CC-BY-4.0"),
        (LINKED % '{"@type": "ImageObject", "license": "https://creativecommons.org/licenses/by/4.0/"}', "", ""),
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
    assert read('<base href="http://[bad"><link rel="canonical" href="/c">').canonical == "https://example.org/c"
    assert read('<link rel="canonical"><link rel="canonical" href="/c">').canonical == "https://example.org/c"


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
