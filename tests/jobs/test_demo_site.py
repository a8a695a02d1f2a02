"""The demo site: what it holds, that it is the same each time, and the traps that it sets."""

import gzip
import http.client
import inspect
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from jobs.demo import library
from jobs.demo.library import articles
from jobs.demo.prose import Code, Definitions, Heading, Items, Paragraph, blocks_of, reads_as_prose
from jobs.demo.server import Served, serve_demo_site
from jobs.demo.site import DemoSite, address
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.records import Document, Page, page_id
from pipeline.stage import judge_each

SMALL = 120_000


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_demo_site(prose_bytes=SMALL, slow_seconds=0.05) as site:
        yield site


def get(origin: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(origin.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    try:
        body = response.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


def test_two_sites_of_one_machine_are_the_same() -> None:
    sites = [DemoSite("http://127.0.0.1:1", "http://127.0.0.2:1", prose_bytes=SMALL) for _ in range(2)]
    assert sites[0].num_pages == sites[1].num_pages > 150
    for number, article in enumerate(sites[0].articles):
        for mirror in (False, True):
            target = address(article)
            assert sites[0].respond(mirror=mirror, target=target) == sites[1].respond(mirror=mirror, target=target)
        assert sites[1].articles[number] == article


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def test_every_page_can_be_reached_by_links(served: Served) -> None:
    site, seen = served.site, {(False, "/"), (True, "/")}
    waiting = list(seen)
    while waiting:
        mirror, path = waiting.pop()
        response = site.respond(mirror=mirror, target=path)
        links = Links()
        links.feed(response.body.decode("utf-8", "replace") if response.content_type.startswith("text/html") else "")
        for link in [*links.found, response.headers.get("Location", "")]:
            elsewhere = link.startswith(site.mirror_origin)
            target = (elsewhere or (mirror and not link.startswith(site.origin)), re.sub(r"^http://[^/]+", "", link))
            if link and target not in seen and "/calendar/" not in link:
                seen.add(target)
                waiting.append(target)
    unlinked = {"/index.html", "/robots.txt", "/sitemap.xml", "/static/site.css", "/search"} | {
        f"/{name}" for name in ("topics", "library")
    }
    reached = {path for mirror, path in seen if not mirror}
    missing = {path for path in site._main if path not in reached} - unlinked
    assert all(path.count("/") == 1 and "." not in path for path in missing), (
        missing
    )  # only folders without their slash
    assert {path for path in site._mirror if (True, path) not in seen} <= {"/robots.txt"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/topics", 301),
        ("/go/start", 302),
        ("/go/next", 307),
        ("/go/round", 302),
        ("/broken/gone.html", 410),
        ("/broken/error.html", 500),
        ("/broken/never-was.html", 404),
        ("/calendar/2026/13/", 404),
        ("/calendar/99999/12/", 200),
        ("/search?q=x", 200),
        ("/de/", 200),
        ("/offers/0.html", 200),
        ("/letters/rant.html", 200),
    ],
)
def test_what_is_answered(served: Served, path: str, status: int) -> None:
    found, headers, _ = get(served.origin, path)
    assert found == status
    assert ("location" in headers) == (300 <= status < 400)


def test_robots_and_sitemap_name_the_site(served: Served) -> None:
    robots = get(served.origin, "/robots.txt")[2].decode()
    assert "Disallow: /private/" in robots
    assert f"Sitemap: {served.origin}/sitemap.xml" in robots
    listed = re.findall(r"<loc>([^<]+)</loc>", get(served.origin, "/sitemap.xml")[2].decode())
    assert listed == [served.origin + address(article) for article in served.site.articles]


def test_pages_travel_compressed_and_are_not_sent_twice(served: Served) -> None:
    path = address(served.site.articles[0])
    plain = get(served.origin, path)[2]
    _, headers, body = get(served.origin, path, Accept_Encoding="gzip, br")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain
    status, headers, body = get(served.origin, path, If_None_Match=headers["etag"])
    assert (status, body) == (304, b"")


def test_a_page_breaks_off_and_another_takes_its_time(served: Served) -> None:
    _, headers, body = get(served.origin, "/broken/cut-off.html")
    assert len(body) == int(headers["content-length"]) - 1000
    assert b"takes its time" in get(served.origin, "/slow/report.html")[2]


def test_opted_out_pages_say_so(served: Served) -> None:
    _, headers, body = get(served.origin, "/members" + address(served.site.articles[0]))
    assert headers["x-robots-tag"] == "noai, noimageai"
    assert b'<meta name="robots" content="noai' in body


def test_the_mirror_has_another_address_and_other_furniture(served: Served) -> None:
    assert served.mirror_origin != served.origin
    assert served.hosts[0] == "127.0.0.1"
    path = address(served.site.articles[0])
    original, copy = get(served.origin, path)[2], get(served.mirror_origin, path)[2]
    assert b"Docs Mirror" in copy
    assert b"Docs Mirror" not in original
    assert get(served.mirror_origin, address(served.site.articles[1]))[0] == 404


def test_requests_are_counted(served: Served) -> None:
    before = served.requests["/about.html"]
    get(served.origin, "/about.html")
    assert served.requests["/about.html"] == before + 1


def test_a_taken_port_gives_way() -> None:
    with serve_demo_site(prose_bytes=1) as first, serve_demo_site(ports=first.ports, prose_bytes=1) as second:
        assert set(first.ports).isdisjoint(second.ports)


def extracted(site: DemoSite, paths: list[str], *, mirror: bool = False) -> list[Document | object]:
    pages = []
    for path in paths:
        payload = site.respond(mirror=mirror, target=path).body
        pages.append(Page(id=page_id(path, payload), url=f"{site.origin}{path}", payload=payload))
    judge = ExtractText(ExtractConfig(isolate=False))
    judge.setup()
    return list(judge_each([judge], pages))


def test_print_versions_are_exact_duplicates_once_extracted(served: Served) -> None:
    paths = [address(article) for article in served.site.articles[::14]]
    originals, prints = extracted(served.site, paths), extracted(served.site, ["/print" + path for path in paths])
    texts = [[document.text for document in group if isinstance(document, Document)] for group in (originals, prints)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == len(paths)


def test_furniture_is_not_taken_for_text(served: Served) -> None:
    (document,) = extracted(served.site, [address(served.site.articles[3])])
    assert isinstance(document, Document)
    for furniture in ("cookie", "newsletter", "You may also like", "In this section"):
        assert furniture not in document.text


@pytest.mark.slow
def test_the_site_leaves_enough_after_extraction_and_filtering() -> None:
    site = DemoSite("http://127.0.0.1:1", "http://127.0.0.2:1")
    assert len(site.articles) >= 600
    chosen = site.articles[::3]
    judge = FilterDocuments(FilterConfig())
    judge.setup()
    kept = [
        each
        for each in judge_each(
            [judge],
            (each for each in extracted(site, [address(article) for article in chosen]) if isinstance(each, Document)),
        )
    ]
    documents = [each for each in kept if isinstance(each, Document)]
    assert len(documents) >= 0.7 * len(chosen)
    assert sum(len(document.text.encode()) for document in documents) >= 2_000_000 / 3


def test_articles_come_from_sources_and_topics_without_an_import() -> None:
    before = set(sys.modules)
    found = articles(at_least_bytes=400_000)
    assert {name for name in set(sys.modules) - before if not name.startswith("encodings")} == set()
    assert {article.package for article in found} == {"topics", "library"}
    assert len({article.path for article in found}) == len(found)
    assert any(article.path == "library/argparse" for article in found)


def test_articles_are_mostly_prose() -> None:
    for article in library.topics():
        text = "\n".join(
            block.text for section in article.sections for block in section.blocks if isinstance(block, Paragraph)
        )
        assert not text or reads_as_prose(text), article.path


def test_docstrings_become_blocks() -> None:
    text = """Return the mean of numbers, given as an iterable, and never fail.

    Heading here
    ------------
    Some prose with ``code`` and :class:`~a.b.Thing` in it, which goes on.

    Parameters
    ----------
    values : list of float
        The numbers of which the mean is wanted, in any order.
    x

    Args:
      name (str): The name under which the result is stored later.

    * first thing to remember here
    * second thing,
      continued below

    >>> mean([1, 2])
    1.5

    Example::

        x = {1: 2}

    grammar ::= a | b | c
    """
    assert blocks_of(inspect.cleandoc(text)) == [
        Paragraph("Return the mean of numbers, given as an iterable, and never fail."),
        Heading("Heading here"),
        Paragraph("Some prose with `code` and `a.b.Thing` in it, which goes on."),
        Definitions((("values", "list of float", "The numbers of which the mean is wanted, in any order."),)),
        Definitions((("name", "str", "The name under which the result is stored later."),)),
        Items(("first thing to remember here", "second thing, continued below")),
        Code(">>> mean([1, 2])\n1.5"),
        Code("x = {1: 2}"),
        Code("grammar ::= a | b | c"),
    ]
