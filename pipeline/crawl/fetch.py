"""HTTP: the only place of the project that opens connections.

One request gives one answer: redirects are not followed, encodings are not undone, cookies are not
kept, proxies of the environment are not used. Every socket is checked by the `AddressGuard` at the
moment it is made, with the address it is about to connect to, so no spelling, redirect or DNS answer gets
around it. All that a server can send is bounded: headers, body, silence, time.
"""

import asyncio
import contextlib
import contextvars
import functools
import ipaddress
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.http_exceptions import BadHttpMessage, PayloadEncodingError

from pipeline.crawl.config import CrawlConfig
from pipeline.crawl.guard import AddressGuard
from pipeline.crawl.warc import Exchange
from pipeline.urls import UrlParts, canonical_host, url_parts

_DNS_SECONDS = 300.0
_DNS_THREADS = 32
_SHORT_BYTES = 1 << 18  # of bodies that are longer, only so many are in memory at a time:
_NUM_LONG_BODIES = 16
_NUM_HEADERS = 128
_KEPT_SECONDS = 1.0  # connections are kept open only where the next request follows soon
_ACCEPT = "text/html,application/xhtml+xml,text/plain;q=0.9,application/xml;q=0.5,*/*;q=0.1"
_host_is_named: contextvars.ContextVar[bool] = contextvars.ContextVar("host_is_named", default=False)

BodyLimit = Callable[[int, str], int]


class FetchError(Exception):
    """A request that gave no usable answer. `reason` goes into the ledger; `retry` says whether another try makes sense."""

    def __init__(self, reason: str, *, retry: bool, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry
        self.detail = detail


class AddressRefused(OSError):
    """The address is not public and no setting allows it."""


class Answer(NamedTuple):
    """What a server sent. `skipped` says that its headers were enough and the body was not read."""

    exchange: Exchange
    skipped: bool


class Fetcher:
    """An asynchronous HTTP client with bounds. Use as an asynchronous context manager, inside one event loop."""

    def __init__(self, config: CrawlConfig) -> None:
        self._config = config
        self._guard = AddressGuard(config.allow_private_hosts, config.ports)
        self._names = Names(config.addresses)
        self._long_bodies = asyncio.Semaphore(_NUM_LONG_BODIES)
        self._per_address: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(config.politeness.connections_per_address)
        )

    async def __aenter__(self) -> Self:
        limits = self._config.limits
        connector = aiohttp.TCPConnector(
            limit=limits.sockets,
            resolver=self._names,
            use_dns_cache=False,
            socket_factory=self._socket,
            force_close=self._config.politeness.delay_seconds >= _KEPT_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(
                total=limits.total_seconds,
                sock_connect=limits.connect_seconds,
                sock_read=limits.read_seconds,
                ceil_threshold=3600.0,
            ),
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=_NUM_HEADERS,
            skip_auto_headers=("User-Agent",),
        )
        # No second request at once behind our back when a kept connection turns out to be closed.
        self._session._retry_connection = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(
        self, url: str, limit: BodyLimit, extra: Mapping[str, str] | None = None, *, cut: bool = False
    ) -> Answer:
        """The answer to a GET of a canonical URL.

        `limit` gets the status and the Content-Type and says how many bytes of body are wanted; 0 skips it.
        With `cut`, a longer body is cut there instead of refused.

        Raises:
            FetchError: there was none, or it broke a bound.
        """
        parts = url_parts(url)
        headers = {"User-Agent": self._config.user_agent, "Accept": _ACCEPT, "Accept-Encoding": "gzip", **(extra or {})}
        try:
            address = await self._address(parts)
            async with self._per_address[address]:
                _host_is_named.set(self._guard.is_named(parts.host, parts.port))
                return await self._exchange(url, headers, limit, cut)
        except FetchError:
            raise
        except Exception as error:
            raise _explained(error) from error

    async def _address(self, parts: UrlParts) -> str:
        """The first address of a host: what the limit of connections per address counts by."""
        host = parts.host
        if ":" in host or host.rpartition(".")[2].isdecimal():  # of a canonical URL: an IP address
            return str(ipaddress.ip_address(host))
        known = self._names.known(host)
        if known:
            return known[0][0]
        async with asyncio.timeout(self._config.limits.connect_seconds):
            return (await self._names.resolve(host, parts.port))[0]["host"]

    async def _exchange(self, url: str, headers: Mapping[str, str], limit: BodyLimit, cut: bool) -> Answer:
        at, started = time.time(), time.monotonic()
        async with self._session.get(yarl.URL(url, encoded=True), headers=headers, allow_redirects=False) as response:
            peer = _peer(response)
            wanted = limit(response.status, response.headers.get("Content-Type", ""))
            body, truncated = await self._body(response, wanted, cut) if wanted else (b"", False)
            exchange = Exchange(
                url=url,
                at=at,
                seconds=time.monotonic() - started,
                address=peer,
                request_headers=list(response.request_info.headers.items()),
                status=response.status,
                reason=response.reason or "",
                headers=[
                    (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
                    for name, value in response.raw_headers
                ],
                body=body,
                truncated=truncated,
                version=f"{response.version.major}.{response.version.minor}" if response.version else "1.1",
            )
            if not wanted:
                response.close()
            return Answer(exchange, skipped=not wanted)

    async def _body(self, response: aiohttp.ClientResponse, limit: int, cut: bool) -> tuple[bytes, bool]:
        """The body as sent, transfer encoding undone, and whether it was cut. Few long ones are read at a time, whatever all the servers send.

        Raises:
            FetchError: it is longer than `limit` and is not to be cut.
        """
        if (response.content_length or 0) > limit and not cut:
            raise FetchError("too_large", retry=False, detail=f"Content-Length {response.content_length}")
        chunks: list[bytes] = []
        size = 0
        async with contextlib.AsyncExitStack() as held:
            async for chunk in response.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    if not cut:
                        raise FetchError("too_large", retry=False, detail=f"more than {limit} bytes")
                    response.close()
                    break
                if size > _SHORT_BYTES >= size - len(chunk):
                    await held.enter_async_context(self._long_bodies)
            return b"".join(chunks)[:limit], size > limit

    def _socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """A socket for one address, after the guard has looked at it."""
        family, kind, protocol, _, address = info
        if not self._guard.allows(str(address[0]), int(address[1]), host_is_named=_host_is_named.get()):
            raise AddressRefused(f"{address[0]} is not a public address")
        if not (_host_is_named.get() or self._guard.allows_port(str(address[0]), int(address[1]))):
            raise AddressRefused(f"port {address[1]} is not in crawl.ports")
        made = socket.socket(family=family, type=kind, proto=protocol)
        made.setblocking(False)
        return made


class Names(AbstractResolver):
    """Host names to addresses, kept for a while, with names that the settings give addresses to."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = {canonical_host(name): address for name, address in addresses.items()}
        self._known: dict[str, tuple[float, list[tuple[str, int]]]] = {}
        self._threads = ThreadPoolExecutor(_DNS_THREADS, "dns")  # a name server that hangs takes one of them

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`.

        Raises:
            OSError: it has none.
        """
        found = await self._lookup(host)
        if not found:
            raise OSError(None, f"{host} has no address")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for address, kind in found
        ]

    def known(self, host: str) -> list[tuple[str, int]]:
        """The addresses of `host` with their families, as far as they are known without asking."""
        given = self._addresses.get(host)
        if given:
            return [(given, socket.AF_INET6 if ":" in given else socket.AF_INET)]
        until, found = self._known.get(host, (0.0, []))
        return found if time.monotonic() < until else []

    async def _lookup(self, host: str) -> list[tuple[str, int]]:
        found = self.known(host)
        if not found:
            lookup = functools.partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
            infos = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
            found = list(dict.fromkeys((str(info[4][0]), int(info[0])) for info in infos))
            self._known[host] = (time.monotonic() + _DNS_SECONDS, found)
        return found

    async def close(self) -> None:
        """Forgets what was looked up, and does not wait for what still is."""
        self._known.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _peer(response: aiohttp.ClientResponse) -> str:
    connection = response.connection
    peer = connection.transport.get_extra_info("peername") if connection and connection.transport else None
    return str(peer[0]) if peer else ""


def _explained(error: Exception) -> FetchError:
    """What went wrong, under one of a few names."""
    detail = " ".join(str(error).encode("utf-8", "replace").decode().split())[:200]
    if _cause(error, AddressRefused):
        return FetchError("address_refused", retry=False, detail=str(_cause(error, AddressRefused)))
    if isinstance(error, (TimeoutError, aiohttp.ServerTimeoutError)):
        return FetchError("timeout", retry=True, detail=detail)
    if isinstance(error, (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch)):
        return FetchError("tls", retry=True, detail=detail)
    if isinstance(error, (aiohttp.ClientConnectorDNSError, socket.gaierror)):
        return FetchError("dns", retry=True, detail=detail)
    if isinstance(error, aiohttp.ClientPayloadError):
        cause = _cause(error, BadHttpMessage)
        if cause and not isinstance(cause, PayloadEncodingError):  # trailers: as in the head, they cannot be read
            return FetchError("bad_response", retry=False, detail=detail)
        return FetchError("incomplete_body", retry=True, detail=detail)
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)):
        return FetchError("connection", retry=True, detail=detail)
    if isinstance(error, (aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError)):
        return FetchError("bad_response", retry=False, detail=detail)
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return FetchError("connection", retry=True, detail=detail)
    raise error


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The exception of `kind` that led to `error`, in a chain or a group of them."""
    pending, seen = [error], set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        if isinstance(current, kind):
            return current
        seen.add(id(current))
        pending += [current.__cause__, current.__context__, getattr(current, "os_error", None)]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return None
