"""The demo web site: every address and what is served there. Deterministic for one environment; no network here.

The main host holds the documentation, and with it what a crawler meets elsewhere: redirects, errors,
spam, pages that opted out, a disallowed folder, a slow page, a calendar without end. The mirror host
holds near-duplicates of some pages, the main host exact duplicates of others.
"""

import functools
import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from jobs.demo import oddities
from jobs.demo.furniture import Link, Theme, article_body, listing_body, page
from jobs.demo.library import Article, articles

PROSE_BYTES = 2_900_000
_MIRRORED = 9  # every ninth article has a near-duplicate on the mirror host
_PRINTED = 14  # every fourteenth has an exact duplicate of its text for printing
_OPTED_OUT = 25  # every twenty-fifth is also in the members' section, which opted out
_LISTED = 400  # links on one page of an index
_MENU = (
    ("/", "Home"),
    ("/topics/", "Topics"),
    ("/library/", "Library"),
    ("/offers/", "Offers"),
    ("/calendar/2026/1/", "Calendar"),
    ("/about.html", "About"),
)
MAIN = Theme(
    name="The Python Shelf",
    strapline="Everything that this machine knows about itself",
    cookie_notice="We use cookies to remember which shelf you were reading. By continuing you agree to our policy.",
    footer="Rendered from the documentation of the interpreter and its packages. All rights remain with the authors.",
    menu=_MENU,
)
MIRROR = Theme(
    name="Docs Mirror",
    strapline="A copy of the shelf, nearer to you",
    cookie_notice="This mirror stores a session cookie. Please accept it or close the window.",
    footer="Mirror operated without warranty. Report stale copies to the operators of the original site.",
    menu=(("/", "Mirror home"), ("/status.html", "Status")),
    sidebar_first=False,
    content_tag="section",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is sent for one address. `drip_seconds` spreads the body out; `cut_off` sends less than announced."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0
    cut_off: bool = False


def _html(text: str, **more: object) -> Response:
    return Response(body=text.encode("utf-8", "replace"), **more)  # type: ignore[arg-type]


def _redirect(target: str, status: int = 301) -> Response:
    return Response(status=status, headers={"Location": target}, body=b"Moved.", content_type="text/plain")


class DemoSite:
    """Both hosts; `origin` and `mirror_origin` are their addresses."""

    def __init__(
        self, origin: str, mirror_origin: str, *, prose_bytes: int = PROSE_BYTES, slow_seconds: float = 2.0
    ) -> None:
        self.origin = origin
        self.mirror_origin = mirror_origin
        self.articles = articles(at_least_bytes=prose_bytes)
        self._slow_seconds = slow_seconds
        self._by_package: dict[str, list[Article]] = {}
        for article in self.articles:
            self._by_package.setdefault(article.package, []).append(article)
        self._main = dict(self._main_addresses())
        self._mirror = dict(self._mirror_addresses())

    @property
    def num_pages(self) -> int:
        """Addresses of both hosts, the endless calendar aside."""
        return len(self._main) + len(self._mirror)

    def respond(self, *, mirror: bool, target: str) -> Response:
        """What is served at `target` (path and query) of one of the hosts."""
        path = target.partition("?")[0]
        found = (self._mirror if mirror else self._main).get(path)
        if found is not None:
            return found()
        if not mirror and (month := re.fullmatch(r"/calendar/(\d{1,6})/(\d{1,2})/(?:\d{1,2}/)?", path)):
            year, number = int(month[1]), int(month[2])
            if 1 <= number <= 12:
                return _html(page(MAIN, title="Calendar", body=oddities.calendar_body(year, number)))
        return _html(
            page(MIRROR if mirror else MAIN, title="Not found", body="<h1>Not found</h1><p>There is no such page.</p>"),
            status=404,
        )

    def _main_addresses(self) -> Iterator[tuple[str, Callable[[], Response]]]:
        yield "/", self._home
        yield "/index.html", self._home  # an exact duplicate under another address
        yield "/robots.txt", self._robots
        yield "/sitemap.xml", self._sitemap
        yield "/static/site.css", functools.partial(Response, body=b"main { max-width: 50em }", content_type="text/css")
        for package in self._by_package:
            yield f"/{package}/", functools.partial(self._index, package)
            yield f"/{package}", functools.partial(_redirect, f"/{package}/")
        for number, article in enumerate(self.articles):
            yield address(article), functools.partial(self._article, number)
            if article.listing:
                yield f"/listing/{article.path}.html", functools.partial(self._listing, article)
            if number % _PRINTED == 0:
                yield f"/print/{article.path}.html", functools.partial(self._print, article)
                yield f"/old/{article.path}.html", functools.partial(_redirect, address(article))
            if number % _OPTED_OUT == 0:
                yield f"/members/{article.path}.html", functools.partial(self._members, article)
        yield from self._odd_addresses()

    def _odd_addresses(self) -> Iterator[tuple[str, Callable[[], Response]]]:
        yield "/offers/", functools.partial(self._offers)
        for number in range(oddities.SPAM_PAGES):
            yield f"/offers/{number}.html", functools.partial(self._spam, number)
        for language in oddities.foreign_languages():
            yield f"/{language}/", functools.partial(self._foreign, language)
        yield "/about.html", self._about
        yield "/letters/rant.html", functools.partial(self._plain, "A reader writes", oddities.rant_body())
        yield (
            "/private/ledger.html",
            functools.partial(self._plain, "Private", "<h1>Private</h1><p>No robot should ever read this page.</p>"),
        )
        yield "/search", functools.partial(self._plain, "Search", "<h1>Search</h1><p>No robot should search here.</p>")
        yield "/go/start", functools.partial(_redirect, "/go/next", 302)
        yield "/go/next", functools.partial(_redirect, "/about.html", 307)
        yield "/go/round", functools.partial(_redirect, "/go/and-round", 302)
        yield "/go/and-round", functools.partial(_redirect, "/go/round", 302)
        yield "/broken/gone.html", functools.partial(Response, status=410, body=b"Gone.", content_type="text/plain")
        yield "/broken/error.html", functools.partial(Response, status=500, body=b"<h1>Internal error</h1>")
        yield "/broken/cut-off.html", functools.partial(self._cut_off)
        yield "/broken/empty.html", Response
        yield "/broken/picture.html", functools.partial(Response, body=bytes(range(256)) * 8)
        yield (
            "/files/manual.pdf",
            functools.partial(Response, body=b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", content_type="application/pdf"),
        )
        yield (
            "/files/logo.png",
            functools.partial(Response, body=b"\x89PNG\r\n\x1a\n" + bytes(64), content_type="image/png"),
        )
        yield "/slow/report.html", functools.partial(self._slow)

    def _mirror_addresses(self) -> Iterator[tuple[str, Callable[[], Response]]]:
        mirrored = self.articles[::_MIRRORED]
        yield "/", functools.partial(self._mirror_home, mirrored)
        yield (
            "/robots.txt",
            functools.partial(Response, body=b"User-agent: *\nDisallow: /status.html\n", content_type="text/plain"),
        )
        yield "/status.html", functools.partial(self._plain, "Status", "<h1>Status</h1><p>All copies are fresh.</p>")
        for number, article in enumerate(mirrored):
            yield address(article), functools.partial(self._mirrored, article, number)

    def _home(self) -> Response:
        shelves = "".join(
            f'<li><a href="/{package}/">{package}</a>, {len(found)} pages about the '
            f"{'topics' if package == 'topics' else 'modules'} of the shelf</li>"
            for package, found in self._by_package.items()
        )
        links = "".join(
            f'<li><a href="/{language}/">{oddities.foreign_title(language)}</a></li>'
            for language in oddities.foreign_languages()
        )
        body = (
            "<h1>The Python Shelf</h1><p>This shelf holds the documentation of everything that is installed on this "
            "machine. It was put "
            "together from the sources themselves, so what you read here is what the authors wrote beside their "
            "code.</p>"
            f"<ul>{shelves}</ul><p>There are greetings in other languages, too.</p><ul>{links}</ul>"
            f'<p>If this host is slow for you, there is <a href="{self.mirror_origin}/">a mirror</a>. Readers also '
            "send "
            '<a href="/letters/rant.html">letters</a>, and there is <a href="/slow/report.html">a report</a> that '
            "takes its time.</p>"
            '<p>Odds and ends: <a href="/go/start">a detour</a>, <a href="/go/round">a round trip</a>, <a '
            'href="/broken/gone.html">gone</a>, '
            '<a href="/broken/error.html">an error</a>, <a href="/broken/cut-off.html">cut off</a>, <a '
            'href="/broken/empty.html">empty</a>, '
            '<a href="/broken/picture.html">a picture in disguise</a>, <a href="/broken/never-was.html">never was</a>, '
            '<a href="/files/manual.pdf">the manual</a>, <a href="/files/logo.png">the logo</a>, <a '
            'href="/private/ledger.html">private</a>.</p>'
        )
        return _html(page(MAIN, title="Home", body=body))

    def _index(self, package: str) -> Response:
        found = self._by_package[package]
        entries = "".join(f'<li><a href="{address(article)}">{article.title}</a></li>' for article in found[:_LISTED])
        body = f"<h1>{package}</h1><ul>{entries}</ul>"
        return _html(page(MAIN, title=package, body=body, crumbs=(("/", "Home"),)))

    def _article(self, number: int) -> Response:
        article = self.articles[number]
        siblings = self._by_package[article.package]
        here = siblings.index(article)
        near = siblings[max(here - 8, 0) : here + 9]
        related = [self.articles[(number * 31 + step * 97) % len(self.articles)] for step in range(1, 5)]
        extra: list[Link] = []
        if number % _PRINTED == 0:
            extra += [(f"/print/{article.path}.html", "Print version"), (f"/old/{article.path}.html", "Old address")]
        if number % _OPTED_OUT == 0:
            extra.append((f"/members/{article.path}.html", "Members' edition"))
        text = page(
            MAIN,
            title=article.title,
            body=article_body(article, listing=f"/listing/{article.path}.html"),
            crumbs=(("/", "Home"), (f"/{article.package}/", article.package)),
            sidebar=[(address(each), each.title) for each in near] + extra,
            related=[(address(each), each.title) for each in related],
            head=f'<link rel="canonical" href="{self.origin}{address(article)}">',
        )
        return _html(text, headers={"ETag": f'"{zlib.crc32(text.encode("utf-8", "replace")):08x}"'})

    def _print(self, article: Article) -> Response:
        """The same text with next to no furniture: an exact duplicate once the text is extracted."""
        return _html(
            f"<!DOCTYPE html><html lang=en><head><title>{article.title}</title></head><body><main><article>"
            f"{article_body(article)}</article></main></body></html>"
        )

    def _listing(self, article: Article) -> Response:
        return _html(
            page(
                MAIN,
                title=f"Listing of {article.title}",
                body=listing_body(article),
                crumbs=((address(article), article.title),),
            )
        )

    def _members(self, article: Article) -> Response:
        return _html(
            page(
                MAIN,
                title=article.title,
                body=article_body(article),
                head='<meta name="robots" content="noai, noimageai">',
            ),
            headers={"X-Robots-Tag": "noai, noimageai"},
        )

    def _mirrored(self, article: Article, number: int) -> Response:
        """The article with other furniture and a few sentences of its own: a near-duplicate."""
        body = article_body(article)
        note = f"<p>This is copy number {number} of the mirror, and small corrections may be missing from it.</p>"
        head, found, rest = body.partition("</h1>\n")
        body = (
            head
            + found
            + note
            + rest
            + "<p>Please read the original page if you need to be certain of the details.</p>"
        )
        return _html(
            page(MIRROR, title=article.title, body=body, crumbs=(("/", "Mirror home"),), sidebar=[("/", "All copies")])
        )

    def _mirror_home(self, mirrored: list[Article]) -> Response:
        entries = "".join(f'<li><a href="{address(article)}">{article.title}</a></li>' for article in mirrored)
        return _html(page(MIRROR, title="Copies", body=f"<h1>Copies</h1><ul>{entries}</ul>"))

    def _offers(self) -> Response:
        entries = "".join(
            f'<li><a href="/offers/{number}.html">Offer {number}</a></li>' for number in range(oddities.SPAM_PAGES)
        )
        return _html(page(MAIN, title="Offers", body=f"<h1>Offers</h1><ul>{entries}</ul>"))

    def _spam(self, number: int) -> Response:
        return _html(page(MAIN, title="Offer", body=oddities.spam_body(number), related=oddities.spam_links(number)))

    def _foreign(self, language: str) -> Response:
        return _html(
            page(MAIN, title=oddities.foreign_title(language), body=oddities.foreign_body(language), language=language)
        )

    def _plain(self, title: str, body: str) -> Response:
        return _html(page(MAIN, title=title, body=body))

    def _about(self) -> Response:
        return self._plain(
            "About",
            "<h1>About this shelf</h1><p>The pages were made from docstrings and help topics, and nothing was "
            "imported to read them. "
            "Every time the shelf is put up on the same machine, it holds the same pages in the same order.</p>"
            "<p>Some of them exist so that a crawler has something to cope with. There are redirects that lead in a "
            "circle, pages that "
            "break off in the middle, offers that nobody should believe, and a calendar that never ends.</p>",
        )

    def _slow(self) -> Response:
        body = (
            "<h1>A report that takes its time</h1>"
            + "<p>This paragraph of the report arrives when it is ready, and not before.</p>" * 8
        )
        return _html(page(MAIN, title="Slow report", body=body), drip_seconds=self._slow_seconds)

    def _cut_off(self) -> Response:
        return _html(
            page(MAIN, title="Cut off", body="<h1>Cut off</h1><p>This page promises more than it sends.</p>"),
            cut_off=True,
        )

    def _robots(self) -> Response:
        text = (
            f"User-agent: *\nDisallow: /private/\nDisallow: /search\nAllow: /\n\nSitemap: {self.origin}/sitemap.xml\n"
        )
        return Response(body=text.encode(), content_type="text/plain; charset=utf-8")

    def _sitemap(self) -> Response:
        entries = "".join(f"<url><loc>{self.origin}{address(article)}</loc></url>" for article in self.articles)
        namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{namespace}">{entries}</urlset>\n'
        return Response(body=text.encode(), content_type="application/xml")


def address(article: Article) -> str:
    """The path of an article on either host."""
    return f"/{article.path}.html"


def compressed(response: Response) -> tuple[bytes, str]:
    """The body as it is sent to a client that accepts gzip, and its Content-Encoding."""
    if len(response.body) < 1024 or response.cut_off or response.drip_seconds:
        return response.body, ""
    return gzip.compress(response.body, 1, mtime=0), "gzip"
