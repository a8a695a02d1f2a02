"""A server on loopback that is Flink's REST interface and a Maven repository in one."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

import apache_beam

from jobs.cluster.job_server import FLINK_ARTIFACT

_VERSION = apache_beam.__version__
NAME = f"{FLINK_ARTIFACT.format('1.20')}-{_VERSION}.jar"


class Answers(HTTPServer):
    """A Flink and a Maven repository in one: answers by path, or 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents: dict[str, bytes] = {"/config": json.dumps({"flink-version": "1.20.5"}).encode()}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def has_jar(self, content: bytes, *, sha1: str = "") -> None:
        path = f"/maven/org/apache/beam/{FLINK_ARTIFACT.format('1.20')}/{_VERSION}/{NAME}"
        stated = sha1 or hashlib.sha1(content).hexdigest()
        self.contents |= {path: content, path + ".sha1": stated.encode()}


class _Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        content = self.server.contents.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""
