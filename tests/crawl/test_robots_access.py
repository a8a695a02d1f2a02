"""Every way in which a robots.txt can be had, or not: what becomes of a page that its rules would forbid."""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import brotli
from aiohttp import web

from pipeline.crawl.config import LimitsConfig
from tests.crawl.crawling import FAST, config_for, crawled, verdicts_of
from tests.site.server import serving
from tests.site.traps import page

RULES = b"User-agent: *\nDisallow: /no\n"
FORBIDDEN, ALLOWED, UNREACHABLE = "robots", "page", "robots_unreachable"
Answer = Callable[[web.BaseRequest], web.StreamResponse] | bytes


def status(code: int, body: bytes = RULES, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: web.Response(status=code, body=body, headers=named)


def moved(path: str) -> Answer:
    return lambda request: web.Response(
        status=301, headers={"Location": path.replace("PORT", request.host.partition(":")[2])}
    )


def hops(number: int) -> Answer:
    """A redirect, `number` of which lead to the rules."""

    def answer(request: web.BaseRequest) -> web.StreamResponse:
        hop = int(request.query_string or 0)
        if hop == number:
            return web.Response(body=RULES)
        return web.Response(status=302, headers={"Location": f"/robots.txt?{hop + 1}"})

    return answer


def padded(num_bytes: int) -> bytes:
    return b"# padding\n" * (num_bytes // 10)


# The answer to a request for robots.txt, and the verdict on a page that RULES forbid.
CASES: list[tuple[Answer, str]] = [
    (status(200), FORBIDDEN),
    (status(204, b""), ALLOWED),
    (status(200, b""), ALLOWED),
    (hops(1), FORBIDDEN),
    (hops(5), FORBIDDEN),
    (hops(6), ALLOWED),  # RFC 9309, 2.3.1.2: more than five redirects may count as unavailable
    (moved("http://127.0.0.1:PORT/robots.txt"), FORBIDDEN),  # of another host; its rules hold for the first one
    (moved("http://127.0.0.99:PORT/robots.txt"), UNREACHABLE),  # to an address that may not be connected to
    (moved("file:///etc/passwd"), ALLOWED),
    (status(401), ALLOWED),
    (status(403), ALLOWED),
    (status(404), ALLOWED),
    (status(410), ALLOWED),
    (status(429), UNREACHABLE),
    (status(500), UNREACHABLE),
    (status(503, Retry_After="0"), UNREACHABLE),
    (status(600), UNREACHABLE),
    (b"", UNREACHABLE),  # a reset
    (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + RULES, UNREACHABLE),  # half of it
    (b"SSH-2.0-x\r\n", UNREACHABLE),
    (status(200, padded(511 << 10) + RULES), FORBIDDEN),  # what stands within the limit counts,
    (status(200, RULES + padded(2 << 20)), FORBIDDEN),
    (status(200, padded(513 << 10) + RULES), ALLOWED),  # what stands behind it does not
    (status(200, gzip.compress(RULES), Content_Encoding="gzip"), FORBIDDEN),
    (status(200, gzip.compress(RULES + b"\n" * (50 << 20)), Content_Encoding="gzip"), FORBIDDEN),  # a bomb
    (status(200, brotli.compress(RULES), Content_Encoding="br"), FORBIDDEN),  # though nobody asked for it
    (status(200, RULES, Content_Encoding="gzip"), UNREACHABLE),  # cannot be read
    (status(200, RULES, Content_Encoding="rot13"), UNREACHABLE),
    (status(200, b"<!doctype html><title>Not found</title>"), ALLOWED),
    (status(200, ("\ufeff" + RULES.decode()).encode("utf-16-le")), FORBIDDEN),
    (status(200, b"\x00\xff\xfe\x80" * 1000 + b"\n" + RULES), FORBIDDEN),
    (status(200, RULES.replace(b"\n", b"\r")), FORBIDDEN),
]  # fmt: skip
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, len(CASES) + 1))


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """A robots.txt by address; pages that anybody can have, if only they ask."""
    if request.path != "/robots.txt":
        return page(body=request.host + request.path)
    given = CASES[ADDRESSES.index(request.host.partition(":")[0])][0]
    if not isinstance(given, bytes):
        return given(request)
    assert isinstance(request.transport, asyncio.Transport)
    if given:
        request.transport.write(given)
        request.transport.close()
    else:
        request.transport.abort()
    return web.Response()


def test_what_becomes_of_a_forbidden_page(tmp_path: Path) -> None:
    with serving(answer, ADDRESSES) as server:
        seeds = [server.url(path, host) for host in range(len(CASES)) for path in ("/no/1", "/no/2", "/yes")]
        config = config_for(server, seeds, politeness=replace(FAST, tries=2), limits=LimitsConfig(total_seconds=5.0))
        crawled(tmp_path, config)
        asked = [server.paths(host) for host in range(len(CASES))]
    verdicts = verdicts_of(tmp_path)
    found = [
        tuple(verdicts[server.url(path, host)] for path in ("/no/1", "/no/2", "/yes")) for host in range(len(CASES))
    ]
    expected = [(verdict, verdict, UNREACHABLE if verdict == UNREACHABLE else "page") for _, verdict in CASES]
    assert found == expected
    for paths, (_, verdict) in zip(asked, CASES, strict=True):
        others = [path for path in paths if not path.startswith(("/robots.txt", "/.well-known/"))]
        assert others == {FORBIDDEN: ["/yes"], ALLOWED: ["/no/1", "/no/2", "/yes"], UNREACHABLE: []}[verdict]
        assert paths.count("/robots.txt") <= 2 + (paths is asked[0])  # once a try, however many URLs wait for it


def test_unreachable_and_forbidden_rules_by_setting(tmp_path: Path) -> None:
    """RFC 9309 lets a crawler go on after a long time without an answer; some would rather keep out at a 403."""
    cases = [b"", status(503), status(403), status(404)]

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/robots.txt":
            return page(body=request.host + request.path)
        given = cases[ADDRESSES.index(request.host.partition(":")[0])]
        if not isinstance(given, bytes):
            return given(request)
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.abort()
        return web.Response()

    with serving(answer, ADDRESSES[: len(cases)]) as server:
        seeds = [server.url("/no", host) for host in range(len(cases))]
        config = config_for(
            server, seeds, politeness=replace(FAST, tries=3), robots_unreachable="allow", robots_forbidden="disallow"
        )
        crawled(tmp_path, config)
        assert [server.paths(host).count("/robots.txt") for host in range(len(cases))] == [3, 3, 1, 1]
    assert [verdicts_of(tmp_path)[seed] for seed in seeds] == ["page", "page", "robots", "page"]
