"""Serves the demo site on loopback: the main host at 127.0.0.1, its mirror at 127.0.0.2 where the machine has it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobs.demo.site import PROSE_BYTES, DemoSite, Response, compressed

MAIN_HOST = "127.0.0.1"
MIRROR_HOST = "127.0.0.2"
_DRIPS = 10


@dataclass(frozen=True, kw_only=True)
class Served:
    """The site while it is being served. Crawl from `seeds`, stay within `hosts`; `requests` counts by path."""

    site: DemoSite
    origin: str
    mirror_origin: str
    ports: tuple[int, int]
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def seeds(self) -> tuple[str, ...]:
        """Where a crawl begins."""
        return (f"{self.origin}/", f"{self.mirror_origin}/")

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the site, for the scope of a crawl."""
        return tuple(
            dict.fromkeys(
                origin.removeprefix("http://").rpartition(":")[0] for origin in (self.origin, self.mirror_origin)
            )
        )


@contextmanager
def serve_demo_site(
    *, ports: tuple[int, int] = (0, 0), prose_bytes: int = PROSE_BYTES, slow_seconds: float = 2.0
) -> Iterator[Served]:
    """The demo site, served from threads of this process until the block ends.

    `ports` are those wished for the two hosts, 0 for any; one that is taken gives way to a free one. The
    addresses of the pages, and so the ids of a crawl, are the same again only with the same ports.
    """
    stopped = threading.Event()
    requests: Counter[str] = Counter()
    servers = [_bound(MAIN_HOST, ports[0]), _mirror_bound(ports[1])]
    origins = [f"http://{server.server_address[0]!s}:{server.server_address[1]}" for server in servers]
    try:
        site = DemoSite(origins[0], origins[1], prose_bytes=prose_bytes, slow_seconds=slow_seconds)
        for server, mirror in zip(servers, (False, True), strict=True):
            server.RequestHandlerClass = _handler(site, mirror, requests, stopped)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        bound = (int(servers[0].server_address[1]), int(servers[1].server_address[1]))
        yield Served(site=site, origin=origins[0], mirror_origin=origins[1], ports=bound, requests=requests)
    finally:
        stopped.set()
        for server in servers:
            if server.RequestHandlerClass is not BaseHTTPRequestHandler:
                server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that went away is no news."""


def _bound(host: str, port: int) -> _Server:
    """A server at `port`, or at any that is free where `port` is taken."""
    try:
        return _Server((host, port), BaseHTTPRequestHandler)
    except OSError:
        return _Server((host, 0), BaseHTTPRequestHandler)


def _mirror_bound(port: int) -> _Server:
    """A second loopback address, or a second port of the first one where the machine has but one."""
    try:
        return _bound(MIRROR_HOST, port)
    except OSError:
        return _bound(MAIN_HOST, port)


def _handler(
    site: DemoSite, mirror: bool, requests: Counter[str], stopped: threading.Event
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "shelf"
        sys_version = ""
        wbufsize = -1  # one packet a response
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            requests[("mirror:" if mirror else "") + self.path] += 1
            response = site.respond(mirror=mirror, target=self.path)
            tag = response.headers.get("ETag")
            if tag and self.headers.get("If-None-Match") == tag:
                response = Response(status=304, headers={"ETag": tag})
            self._send(response)

        do_HEAD = do_GET

        def _send(self, response: Response) -> None:
            body, encoding = (
                compressed(response) if "gzip" in self.headers.get("Accept-Encoding", "") else (response.body, "")
            )
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(body) + (1000 if response.cut_off else 0)))
            if encoding:
                self.send_header("Content-Encoding", encoding)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD" and response.status != 304:
                self._send_body(body, response.drip_seconds)
            self.close_connection = self.close_connection or response.cut_off

        def _send_body(self, body: bytes, drip_seconds: float) -> None:
            if not drip_seconds:
                self.wfile.write(body)
                return
            size = -(-len(body) // _DRIPS)
            for start in range(0, len(body), size):
                self.wfile.write(body[start : start + size])
                self.wfile.flush()
                if stopped.wait(drip_seconds / _DRIPS):
                    return

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a crawl would drown in it."""

    return Handler
