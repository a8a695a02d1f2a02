"""Servers that send what no server should: every one of them is cut off in time, and costs little memory."""

import asyncio
import socket
import threading
import tracemalloc
from typing import Any

import pytest
from aiohttp import web

from pipeline.crawl.config import CrawlConfig, LimitsConfig, PolitenessConfig
from pipeline.crawl.fetch import Answer, Fetcher, FetchError
from pipeline.crawl.warc import response_head
from tests.crawl.crawling import AGENT
from tests.site.raw import Script, repeats, says, serving_raw
from tests.site.server import serving

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
# What a server that never ends is cut off by; one that ends by itself gets the time that a busy machine may need.
HURRIED = LimitsConfig(total_seconds=0.4, read_seconds=0.3, connect_seconds=0.3)
PATIENT = LimitsConfig(total_seconds=60.0, read_seconds=60.0, connect_seconds=60.0)
BODY_BYTES = 1 << 18


def get(url: str, *, limit: int = BODY_BYTES, cut: bool = False, **settings: Any) -> Answer:
    chosen: dict[str, Any] = {"user_agent": AGENT, "allow_private_hosts": ("127.0.0.1",), "limits": PATIENT, **settings}

    async def fetch() -> Answer:
        async with Fetcher(CrawlConfig(**chosen)) as fetcher:
            return await fetcher.get(url, lambda status, content_type: limit, cut=cut)

    return asyncio.run(fetch())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (repeats(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), "timeout"),  # answers before the answer, for ever
        (repeats(b"", b"\r\n" * 100), "timeout"),
        (repeats(b"HTTP/1.1 200 ", b"x" * 1000), "timeout or bad_response"),  # a status line without end
        (repeats(OK, b"X: y\r\n" * 100), "timeout or bad_response"),  # headers without end
        (repeats(OK, b"X: y\r\n", pause=0.02), "timeout"),  # the same, slowly
        (repeats(OK + b"X:", b"y", pause=0.02), "timeout"),
        (repeats(CHUNKED + b"1;", b"x" * 1000), "timeout"),  # a chunk extension without end
        (repeats(CHUNKED, b"1\r\na\r\n", pause=0.001), "timeout"),  # a body in drips
        (repeats(CHUNKED + b"0\r\n", b"X: y\r\n" * 100), "timeout or bad_response"),  # trailers without end
        (repeats(CHUNKED + b"0\r\nX:", b"y" * 1000), "timeout or bad_response"),
        (repeats(CHUNKED, b"2710\r\n" + b"x" * 10_000 + b"\r\n"), "too_large"),
        (repeats(OK + b"\r\n", b"x" * 10_000), "too_large"),  # no length at all
        (says(b"", then_close=False), "timeout"),
        (says(b""), "connection"),
        (says(b"<html>no HTTP"), "bad_response"),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n"), "bad_response"),
        (says(OK + b"Content-Length: 9\r\n\r\nabc"), "incomplete_body"),
        (says(OK + b"Content-Length: 9\r\n\r\nabc", then_close=False), "timeout"),
        (says(OK + b"Content-Length: 3\r\n\r\nabcdef"), "bad_response"),
        (says(OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"), "bad_response"),
        (says(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "bad_response"),
        (says(OK + b"Content-Length: -1\r\n\r\nabc"), "bad_response"),
        (says(OK + b"Content-Length: 99999999999999999999999\r\n\r\nabc"), "bad_response"),
        (says(CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"), "bad_response"),
        (says(CHUNKED + b"ffffffffffffffffff\r\nabc"), "bad_response"),
        (says(CHUNKED + b"3\r\nabc\r\n"), "incomplete_body"),  # no last chunk
        (says(b"HTTP/1.1 20000 X\r\n\r\n"), "bad_response"),
        (says(OK + b"X: a\0b\r\n\r\n"), "bad_response"),
        (says(OK + b"X: a\rWARC/1.1\r\n\r\n"), "bad_response"),  # would split a header of the archive
    ],
)  # fmt: skip
def test_misbehaving_servers_are_cut_off(script: Script, reason: str) -> None:
    with serving_raw(script) as origin:
        tracemalloc.start()
        with pytest.raises(FetchError) as caught:  # if nothing cut them off, most would never end
            get(origin + "/", limits=HURRIED if "timeout" in reason else PATIENT)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert caught.value.reason in reason.split(" or ")
    # What one read of a socket gives, 256 KiB, takes some megabytes when it is thousands of answers before the answer.
    assert peak < 64 * BODY_BYTES


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nabc", 200, b"abc"),  # ends with the connection
        (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", 200, b"abc"),
        (b"HTTP/1.1 200 \xe9\xff\r\nX: \xff\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
        (OK + b"X: a\r\n  folded\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc"),
        (b"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n", 999, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 101, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
    ],
)
def test_odd_servers_are_understood(answer: bytes, status: int, body: bytes) -> None:
    with serving_raw(says(answer)) as origin:
        exchange = get(origin + "/").exchange
    assert (exchange.status, exchange.body) == (status, body)
    assert all("\n" not in name + value and "\r" not in name + value for name, value in exchange.headers)
    version = b"HTTP/1.0" if answer.startswith(b"HTTP/1.0") else b"HTTP/1.1"
    assert response_head(exchange, len(body)).startswith(version + b" %d " % status)


def test_long_file_is_cut_where_that_is_wanted() -> None:
    with serving_raw(repeats(CHUNKED, b"2710\r\n" + b"x" * 10_000 + b"\r\n")) as origin:
        cut = get(origin + "/", cut=True).exchange
    assert (cut.body, cut.truncated) == (b"x" * BODY_BYTES, True)
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES + b"x" * BODY_BYTES
    with serving_raw(says(whole)) as origin:
        assert not get(origin + "/", cut=True).exchange.truncated


def test_few_long_bodies_are_in_memory_at_a_time() -> None:
    """Forty servers that send a megabyte and then stall: most of them wait before they have sent it."""
    piece = b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
    config = CrawlConfig(
        user_agent=AGENT, allow_private_hosts=("127.0.0.0/8",), limits=LimitsConfig(total_seconds=2.0, sockets=64)
    )

    async def fetch_all(port: str) -> None:
        async with Fetcher(config) as fetcher:
            urls = [f"http://127.0.0.{number}:{port}/" for number in range(1, 41)]
            gets = [fetcher.get(url, lambda status, content_type: 5 << 20) for url in urls]
            results = await asyncio.gather(*gets, return_exceptions=True)
            assert {getattr(result, "reason", "") for result in results} == {"timeout"}

    with serving_raw(says(CHUNKED + piece, then_close=False), host="0.0.0.0") as origin:
        tracemalloc.start()
        asyncio.run(fetch_all(origin.rpartition(":")[2]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 80 << 20  # the server is in this process and keeps as much again


def test_one_address_has_few_connections_whatever_its_names() -> None:
    now, most = 0, 0
    three = asyncio.Barrier(3)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await three.wait()  # answers come when three have asked,
        await asyncio.sleep(0.05)  # and leave a fourth the time to ask as well
        now -= 1
        return web.Response(text="x")

    async def fetch_all(config: CrawlConfig, port: int) -> None:
        async with Fetcher(config) as fetcher:
            urls = [f"http://name-{number}.test:{port}/" for number in range(9)] + [f"http://127.0.0.1:{port}/"] * 3
            await asyncio.gather(*(fetcher.get(url, lambda status, content_type: 9) for url in urls))

    with serving(answer) as server:
        names = {f"name-{number}.test": "127.0.0.1" for number in range(9)}
        config = CrawlConfig(
            user_agent=AGENT,
            allow_private_hosts=("127.0.0.1",),
            addresses=names,
            politeness=PolitenessConfig(connections_per_address=3),
        )
        asyncio.run(fetch_all(config, server.port))
    assert most == 3
    assert len(server.log) == 12


def test_name_server_that_hangs_costs_no_more_than_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    answered: list[bool] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: answered.append(over.wait(60)))
    with pytest.raises(FetchError, match="timeout"):
        get("http://slow.test/", limits=HURRIED)
    assert not answered, "the name server was waited for"
    over.set()


@pytest.mark.parametrize(
    ("url", "detail"), [("http://93.184.216.34:22/", "port 22"), ("https://[2606:4700::1]:6379/", "port 6379")]
)
def test_ports_that_no_setting_names_are_not_connected_to(url: str, detail: str) -> None:
    with pytest.raises(FetchError, match="address_refused") as caught:
        get(url)
    assert detail in caught.value.detail
