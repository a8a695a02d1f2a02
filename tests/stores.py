"""An S3-compatible server on loopback whose requests can be made to fail as those of real stores do."""

import socket
import struct
import threading
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import fsspec
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

# What befalls a request: an error of the server, before or after the work is done; a request to slow down; a
# connection that breaks before the work, after it, or in the middle of the answer; an answer that takes its time.
Fault = Literal["error", "error_after", "slow_down", "reset", "reset_after", "cut", "slow", "forbidden"]
WEATHER: tuple[Fault, ...] = ("error", "error_after", "slow_down", "reset", "reset_after", "cut", "slow")
_ERRORS = {
    "error": ("500 Internal Server Error", "InternalError"),
    "error_after": ("500 Internal Server Error", "InternalError"),
    "slow_down": ("503 Slow Down", "SlowDown"),
    "forbidden": ("403 Forbidden", "AccessDenied"),
}
_SLOW_SECONDS = 0.3


@dataclass
class Faults:
    """A WSGI application that answers for `app`, except where `choose` names a fault for a request.

    `choose` gets the method, the path with its query, and how often that request has come before.
    """

    app: Any
    choose: Callable[[str, str, int], Fault | None] = lambda method, path, before: None
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    _lock: Any = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """No faults from here on, and none counted."""
        self.choose = lambda method, path, before: None
        self.seen.clear()
        self.done.clear()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if environ["QUERY_STRING"]:
            path += "?" + environ["QUERY_STRING"]
        request = (method, path + environ.get("HTTP_RANGE", ""))
        with self._lock:
            fault = self.choose(method, path, self.seen[request])
            self.seen[request] += 1
            if fault:
                self.done[fault] += 1
        match fault:
            case None:
                return self.app(environ, start_response)
            case "slow":
                time.sleep(_SLOW_SECONDS)
                return self.app(environ, start_response)
            case "error" | "slow_down" | "forbidden":
                _take_body(environ)
                return _refused(fault, environ, start_response)
            case "error_after":
                b"".join(self.app(environ, _ignore))
                return _refused(fault, environ, start_response)
            case "reset_after":
                b"".join(self.app(environ, _ignore))
            case "cut":
                return _half(self.app, environ, start_response)
        raise _broken(environ)


def some(share: float, seed: int, faults: tuple[Fault, ...] = WEATHER) -> Callable[[str, str, int], Fault | None]:
    """A choice of faults for about `share` of all requests, the same each time; no request fails twice in a row."""

    def choose(method: str, path: str, before: int) -> Fault | None:
        draw = zlib.crc32(f"{seed} {method} {path} {before // 2}".encode())
        if before % 2 or draw % 10_000 >= share * 10_000:
            return None
        return faults[draw // 10_000 % len(faults)]

    return choose


def _ignore(*_: Any) -> Callable[[bytes], None]:
    return lambda data: None


def _take_body(environ: dict[str, Any]) -> None:
    """Reads the body of a request: unread, it would be taken for the next one."""
    if environ.get("wsgi.input_terminated"):
        environ["wsgi.input"].read()
    else:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _refused(fault: Fault, environ: dict[str, Any], start_response: Any) -> list[bytes]:
    status, code = _ERRORS[fault]
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made to fail</Message></Error>".encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _half(app: Any, environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """The first half of the answer, behind a head that promises the whole."""
    body = b"".join(app(environ, start_response))
    yield body[: len(body) // 2]
    raise _broken(environ)


def _broken(environ: dict[str, Any]) -> ConnectionError:
    """Breaks the connection of a request."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
    connection.shutdown(socket.SHUT_RDWR)
    return ConnectionError("made to fail")


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Says nothing."""


def _forget(address: str) -> None:
    """Empties what lies in this process: an earlier server may have left it there."""
    with urllib.request.urlopen(f"{address}/moto-api/reset", data=b"") as answer:
        assert answer.status == 200


@contextmanager
def serving_s3() -> Iterator[Faults]:
    """A server with the bucket `bucket`, which the environment names as the endpoint while the block runs."""
    faults = Faults(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faults, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        _forget(f"http://127.0.0.1:{server.server_port}")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("bucket")
        yield faults
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.shutdown()
    thread.join()
    server.server_close()
