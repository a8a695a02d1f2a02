"""A small web site on several hosts, full of traps, and the verdict that each of its URLs must get.

Host 0 is the main site. Hosts 1 to 5 each have one difficult robots.txt or policy. The verdicts are
written beside the pages, so that the site and what is expected of a crawler stay together.
"""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import brotli
import zstandard
from aiohttp import web

from tests.site.server import Server, serving

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6")
MAIN, BROKEN_ROBOTS, NO_ROBOTS, OPTED_OUT, SLOW, BUSY = range(6)
REFUSED_ADDRESS = "127.0.0.66"  # on loopback, and in no list of allowed hosts
DECODED_LIMIT = 1 << 20
WIRE_LIMIT = 1 << 18
CALENDAR_LIMIT, QUERY_LIMIT, SAME_LIMIT = 6, 5, 3

Answer = web.Response | Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def html(*links: str, head: str = "", body: str = "") -> bytes:
    """A page with links."""
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    return f"<!doctype html><html><head><title>t</title>{head}</head><body>{body}{anchors}</body></html>".encode()


def page(*links: str, head: str = "", body: str = "", **headers: str) -> web.Response:
    """A usable page. Underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        body=html(*links, head=head, body=body), headers={"Content-Type": "text/html; charset=utf-8", **named}
    )


def typed(body: bytes, content_type: str, **headers: str) -> web.Response:
    """Any bytes under any type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(body=body, headers={"Content-Type": content_type, **named})


def moved(to: str, status: int = 302) -> web.Response:
    """A redirect."""
    return web.Response(status=status, headers={"Location": to})


class TrapSite:
    """Answers requests; `verdicts` maps (host, path) to the expected verdict of every URL that a crawler may hear of."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()
        self.verdicts: dict[tuple[int, str], str] = {}
        self._pages: dict[tuple[int, str], Answer] = {}
        self._robots: dict[int, Answer] = {}
        self._main()
        self._others()

    def add(self, path: str, answer: Answer | None, verdict: str = "page", host: int = MAIN) -> str:
        """A URL, what it answers, and the verdict on it; the path, for linking to it."""
        self.verdicts[host, path] = verdict
        if answer is not None:
            self._pages[host, path] = answer
        return path

    def _main(self) -> None:
        links = [
            *self._plain_pages(), *self._redirects(), *self._failures(), *self._types(), *self._opt_outs(), *self._safety(), *self._endless(),
        ]  # fmt: skip
        links += [
            "mailto:somebody@example.org",
            "javascript:void(0)",
            "#top",
            "http://[",
            "https://user:password@127.0.0.1/",
        ]
        self.add("/", page(*links))
        self._robots[MAIN] = typed(
            b"User-agent: *\nDisallow: /private/\nAllow: /private/open\nDisallow: /*.secret$\n\n"
            b"User-agent: unrelated\nDisallow: /\n\nSitemap: /sitemap.xml\n",
            "text/plain",
        )
        listed = b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>/only-in-sitemap.html</loc></url></urlset>'
        index = b"<sitemapindex><sitemap><loc>/pages.xml.gz</loc></sitemap><sitemap><loc>http://127.0.0.77/x.xml</loc></sitemap></sitemapindex>"
        self.add("/sitemap.xml", typed(index, "application/xml"), "sitemap")
        self.add("/pages.xml.gz", typed(gzip.compress(listed), "application/gzip"), "sitemap")
        self.add("/only-in-sitemap.html", page(body="in the sitemap"))

    def _plain_pages(self) -> list[str]:
        self.add("/linked/b.html", page("../a.html", body="b"))
        self.add("/framed.html", page(body="framed"))
        self.add("/refreshed.html", page(body="refreshed"))
        self.add("/elsewhere/x.html", page(body="by base"))
        self.add("/private/open.html", page(body="longest match"))
        self.add("/private/closed.html", page(body="must not be read"), "robots")
        self.add("/a.secret", page(body="must not be read"), "robots")
        self.add("/style.css", None, "extension")
        return [
            self.add("/a.html", page("linked/b.html", "#fragment", "/a.html?utm_source=x&utm_medium=y", "//127.0.0.1:0/%61.html", body="a")),
            self.add("/frames.html", page(body='<iframe src="/framed.html"></iframe>')),
            self.add("/refresh.html", page(head='<meta http-equiv="refresh" content="5; url=/refreshed.html">')),
            self.add("/base.html", page("x.html", head='<base href="/elsewhere/">')),
            self.add("/plain.txt", typed(b"plain text", "text/plain")),
            self.add("/twin-1.html", page(body="twin")),
            self.add("/twin-2.html", page(body="twin")),
            self.add("/legacy.html", typed('<html><meta charset="euc-kr"><a href="/한국.html">한국</a>'.encode("euc-kr"), "text/html")),
            self.add("/%ED%95%9C%EA%B5%AD.html", page(body="linked from a legacy page")),
            "/private/open.html", "/private/closed.html", "/a.secret", "/style.css",
        ]  # fmt: skip

    def _redirects(self) -> list[str]:
        self.add("/target.html", page(body="target"))
        for number in range(5):
            self.add(f"/chain/{number + 1}", moved(f"/chain/{number + 2}"), "redirect")
        self.add("/chain/6", page(), "too_many_redirects")
        return [
            self.add("/redirect", moved("/target.html", 301), "redirect"),
            self.add("/redirect-to-private", moved("/private/closed.html", 307), "redirect"),
            self.add("/round-1", moved("/round-2"), "redirect"),
            self.add("/round-2", moved("/round-1"), "redirect"),
            self.add("/chain/0", moved("/chain/1"), "redirect"),
            self.add("/redirect-nowhere", web.Response(status=302), "bad_redirect"),
            self.add("/redirect-file", moved("file:///etc/passwd"), "bad_redirect"),
        ]  # fmt: skip

    def _failures(self) -> list[str]:
        return [
            self.add("/missing.html", web.Response(status=404, text="no"), "status/404"),
            self.add("/gone.html", web.Response(status=410), "status/410"),
            self.add("/broken.html", web.Response(status=500), "status/500"),
            self.add("/flaky.html", self._flaky),
            self.add("/short.html", self._short, "error/incomplete_body"),
            self.add("/reset.html", self._reset, "error/connection"),
            self.add("/unchanged.html", web.Response(status=304), "status/304"),
        ]  # fmt: skip

    def _types(self) -> list[str]:
        return [
            self.add("/picture", typed(b"\x89PNG\r\n", "image/png"), "media_type"),
            self.add("/disguised.html", typed(b"%PDF-1.7 \x00\x01", "text/html"), "media_type"),
            self.add("/feed", typed(b"<?xml version='1.0'?><rss></rss>", "text/xml"), "media_type"),
            self.add("/untyped", typed(html(body="untyped"), "")),
            self.add("/xhtml", typed(b'<html xmlns="http://www.w3.org/1999/xhtml"><body>x</body></html>', "application/xhtml+xml")),
            self.add("/empty.html", typed(b" \n", "text/html"), "empty"),
            self.add("/brotli.html", typed(brotli.compress(html(body="brotli")), "text/html", Content_Encoding="br")),
            self.add("/zstd.html", typed(zstandard.compress(html(body="zstd")), "text/html", Content_Encoding="zstd")),
            self.add("/gzip.html", typed(gzip.compress(html(body="gzip")), "text/html", Content_Encoding="gzip")),
        ]  # fmt: skip

    def _opt_outs(self) -> list[str]:
        self.add("/after-noai.html", page(body="linked from a page that opts out"))
        return [
            self.add("/noai.html", page("/after-noai.html", X_Robots_Tag="noimageindex, noai"), "opt_out:header:noai"),
            self.add("/noml.html", page(head='<meta name="ROBOTS" content="noml">'), "opt_out:meta:noml"),
            self.add("/noindex.html", page(head='<meta name="robots" content="noindex,follow">'), "opt_out:meta:noindex"),
            self.add("/for-us.html", page(head='<meta name="testbot" content="none">'), "opt_out:meta:noindex"),
            self.add("/for-others.html", page(body="others", X_Robots_Tag="googlebot: noindex, noarchive")),
            self.add("/nofollow.html", page("/never-1.html", head='<meta name="robots" content="nofollow">')),
            self.add("/rel.html", typed(b'<p>rel<a rel="ugc nofollow" href="/never-2.html">x</a>', "text/html")),
            self.add("/tdm-header.html", page(tdm_reservation="1"), "opt_out:header:tdm-reservation"),
            self.add("/tdm-meta.html", page(head='<meta name="tdm-reservation" content="1">'), "opt_out:meta:tdm-reservation"),
            self.add("/tdm-free.html", page(body="free", tdm_reservation="0")),
            self.add("/usage.html", page(Content_Usage="train-ai=n"), "opt_out:header:content-usage:train-ai=n"),
        ]  # fmt: skip

    def _safety(self) -> list[str]:
        bomb = bytes(4 * DECODED_LIMIT)
        return [
            self.add("/bomb-gzip.html", typed(gzip.compress(bomb), "text/html", Content_Encoding="gzip"), "decoded_too_large"),
            self.add("/bomb-brotli.html", typed(brotli.compress(bomb), "text/html", Content_Encoding="br"), "decoded_too_large"),
            self.add("/bomb-zstd.html", typed(zstandard.compress(bomb), "text/html", Content_Encoding="zstd"), "decoded_too_large"),
            self.add("/damaged.html", typed(gzip.compress(html())[:-20], "text/html", Content_Encoding="gzip"), "bad_encoding"),
            self.add("/odd.html", typed(b"x", "text/html", Content_Encoding="rot13"), "unknown_encoding"),
            self.add("/announced.html", typed(bytes(WIRE_LIMIT + 1), "text/html"), "error/too_large"),
            self.add("/stream.html", self._stream, "error/too_large"),
            self.add("/drip.html", self._drip, "error/timeout"),
            self.add("/headers.html", self._headers, "error/bad_response"),
            self.add("/one-header.html", page(X_Long="x" * 70_000), "error/bad_response"),
        ]  # fmt: skip

    def _endless(self) -> list[str]:
        for month in range(1, CALENDAR_LIMIT + 1):
            self.add(
                f"/calendar?month={month}&year=2024", page(f"/calendar?month={month + 1}&year=2024", body=str(month))
            )
        self.add(f"/calendar?month={CALENDAR_LIMIT + 1}&year=2024", None, "trap/calendar")
        for number in range(QUERY_LIMIT):
            self.add(f"/list?start={number}", page(f"/list?start={number + 1}", body=f"list {number}"))
        self.add(f"/list?start={QUERY_LIMIT}", None, "trap/parameter_values")
        for number in range(SAME_LIMIT + 2):  # the first is new, SAME_LIMIT + 1 are the same
            self.add(f"/same/{number}", page("/same/0", *(f"/same/{each}" for each in range(8))))
        for number in range(SAME_LIMIT + 2, 8):
            self.add(f"/same/{number}", None, "trap/same_payload")
        self.add("/deep/er/", page("er/", body="1"))
        self.add("/deep/er/er/", page("er/", body="2"))
        self.add("/deep/er/er/er/", None, "trap/repeated_path")
        return [
            "/calendar?month=1&year=2024", "/list?start=0", "/same/0", "/deep/er/",
            self.add("/cart?PHPSESSID=0123456789abcdef", None, "trap/session_id"),
            self.add("/x;jsessionid=0123456789abcdef", None, "trap/session_id"),
            self.add("/many?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1", None, "trap/parameters"),
            self.add("/" + "x" * 3000, None, "trap/url_length"),
            self.add("/s" + "/s1/s2" * 11, None, "trap/path_segments"),
            self.add("/events/2951-03-04", None, "trap/calendar_year"),
        ]  # fmt: skip

    def _others(self) -> None:
        self._robots[BROKEN_ROBOTS] = web.Response(status=503)
        self.add("/", page(body="must not be read"), "robots_unreachable", BROKEN_ROBOTS)
        self._robots[NO_ROBOTS] = self._reset
        self.add("/", page(body="must not be read"), "robots_unreachable", NO_ROBOTS)
        self._robots[SLOW] = typed(b"User-agent: *\nCrawl-delay: 86400\n", "text/plain")
        self.add("/", page(body="must not be read"), "deferred:crawl_delay", SLOW)
        self._robots[BUSY] = moved("/real-robots.txt", 301)
        self._pages[BUSY, "/real-robots.txt"] = typed(
            b"User-agent: testbot\nAllow: /\nCrawl-delay: 0.2\nUser-agent: *\nDisallow: /\n", "text/plain"
        )
        self.add("/", page("/second.html", body="busy"), "page", BUSY)
        self.add("/second.html", self._too_many, "page", BUSY)
        self._opted_out()

    def _opted_out(self) -> None:
        self._robots[OPTED_OUT] = typed(
            b"User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /images/\n\n"
            b"User-agent: *\nContent-Signal: search=yes\nContent-Signal: /essays/ search=yes, ai-train=no\nContent-Usage: /poems/ train-ai=n\nAllow: /\n",
            "text/plain; charset=utf-8",
        )
        rules = [
            {"location": "/reserved/*", "tdm-reservation": 1},
            {"location": "/", "tdm-reservation": 0},
            {"location": 5},
        ]
        self._pages[OPTED_OUT, "/.well-known/tdmrep.json"] = typed(json.dumps(rules).encode(), "application/json")
        links = [
            self.add("/images/1.html", page(), "opt_out:robots:CCBot", OPTED_OUT),
            self.add("/essays/1.html", page(), "opt_out:content-signal:ai-train=no", OPTED_OUT),
            self.add("/poems/1.html", page(), "opt_out:content-usage:train-ai=n", OPTED_OUT),
            self.add("/reserved/1.html", page(), "opt_out:tdmrep.json", OPTED_OUT),
            self.add("/free/1.html", page(body="free"), "page", OPTED_OUT),
        ]
        self.add("/", page(*links, body="opted out in part"), "page", OPTED_OUT)

    # --- answers that misbehave -------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request."""
        address, _, _ = request.host.partition(":")
        host = ADDRESSES.index(address)
        if request.path_qs == "/robots.txt":
            found = self._robots.get(host)
        else:
            found = self._pages.get((host, request.path_qs)) or self._pages.get((host, request.raw_path))
        if found is None:
            return web.Response(status=404, text="unknown to the site")
        return await found(request) if not isinstance(found, web.Response) else _copied(found)

    async def _flaky(self, request: web.BaseRequest) -> web.StreamResponse:
        self.tries["flaky"] += 1
        return web.Response(status=502) if self.tries["flaky"] == 1 else page(body="at last")

    async def _too_many(self, request: web.BaseRequest) -> web.StreamResponse:
        self.tries["busy"] += 1
        if self.tries["busy"] == 1:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return page(body="rested")

    async def _short(self, request: web.BaseRequest) -> web.StreamResponse:
        _raw(request, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n<p>short")
        return web.Response()

    async def _reset(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _headers(self, request: web.BaseRequest) -> web.StreamResponse:
        lines = "".join(f"X-{number}: {number}\r\n" for number in range(20_000))
        _raw(request, f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
        return web.Response()

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"<p>more</p>" * 1000)
        except (ConnectionError, asyncio.CancelledError):
            return response

    async def _drip(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b".")
                await asyncio.sleep(0.1)
        except (ConnectionError, asyncio.CancelledError):
            return response

    def expected(self, server: Server) -> dict[str, str]:
        """The verdict (with its detail where one was named) by URL, on a running server."""
        own = {server.url(path, host): verdict for (host, path), verdict in self.verdicts.items()}
        return {**own, "http://127.0.0.1:0/a.html": "port"}


def _copied(response: web.Response) -> web.Response:
    """A response can be sent once only."""
    return web.Response(status=response.status, body=response.body, headers=response.headers)


def _raw(request: web.BaseRequest, data: bytes) -> None:
    transport: Any = request.transport
    transport.write(data)
    transport.close()


@contextmanager
def serving_traps() -> Iterator[tuple[TrapSite, Server]]:
    """The site on its addresses until the block ends."""
    site = TrapSite()
    with serving(site.answer, ADDRESSES) as server:
        yield site, server
