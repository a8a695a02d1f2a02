"""A web server on loopback in a thread of its own, for several hosts (addresses 127.x), with an access log."""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Access(NamedTuple):
    """One request, in the order of arrival."""

    host: str  # address and port
    path: str  # with query
    at: float
    headers: dict[str, str]


@dataclass
class Server:
    """A running server. `log` grows while it runs."""

    addresses: tuple[str, ...]
    port: int = 0
    log: list[Access] = field(default_factory=list)

    def url(self, path: str = "/", host: int = 0) -> str:
        """A URL on one of the hosts, by its number."""
        return f"http://{self.addresses[host]}:{self.port}{path}"

    def paths(self, host: int = 0) -> list[str]:
        """What was asked of one host, in order."""
        return [access.path for access in self.log if access.host == f"{self.addresses[host]}:{self.port}"]

    def gaps(self, host: int = 0) -> list[float]:
        """Seconds between the requests to one host."""
        times = [access.at for access in self.log if access.host == f"{self.addresses[host]}:{self.port}"]
        return [later - earlier for earlier, later in itertools.pairwise(times)]


@contextmanager
def serving(handler: Handler, addresses: Sequence[str] = ("127.0.0.1",)) -> Iterator[Server]:
    """A server that answers with `handler` until the block ends."""
    server = Server(tuple(addresses))
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        server.log.append(Access(request.host, request.path_qs, time.time(), dict(request.headers)))
        return await handler(request)

    async def main() -> None:
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        for address in addresses:
            site = web.TCPSite(runner, address, server.port)
            await site.start()
            server.port = runner.addresses[0][1]
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    assert ready.wait(60), "the server did not start"
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
