"""Inputs behind web servers: with and without answers to requests for parts of a file."""

import random
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline import storage, web_files
from pipeline.errors import InputError
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.inputs import list_inputs
from pipeline.ingest.payloads import read_pages
from pipeline.ingest.sharing import shards
from pipeline.manifests import dataset_files
from pipeline.records import Page
from tests.ingest.archives import archive, http, record

BLOCK_BYTES = 5 << 20  # what fsspec asks for at a time


class PlainHandler(SimpleHTTPRequestHandler):
    """As `python -m http.server` answers: always the whole file."""

    gets: list[str]

    def do_GET(self) -> None:
        self.gets.append(self.path)
        try:
            if self.path.startswith("/breaks/"):
                self._break()
            else:
                super().do_GET()
        except (BrokenPipeError, ConnectionResetError):
            pass  # who only wants to know whether parts can be had does not read on

    def do_HEAD(self) -> None:
        if self.path.startswith("/breaks/"):
            self._head()
        else:
            super().do_HEAD()

    def _head(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2 * BLOCK_BYTES))
        self.end_headers()

    def _break(self) -> None:
        self._head()
        self.wfile.write(b"WARC/1.0\r\n")
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of the folder `tmp_path`/in, and the paths that it was asked for."""
    (tmp_path / "in").mkdir()
    gets: list[str] = []
    handler = type("Handler", (PlainHandler,), {"gets": gets})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "in"))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", gets
        httpd.shutdown()
        thread.join()


def page(number: int) -> bytes:
    """A page of about a megabyte that does not compress well."""
    return b"<html><p>" + random.Random(number).randbytes(1 << 20).hex().encode() + b"</p></html>"


def test_a_server_that_gives_only_whole_files(server: tuple[str, list[str]], tmp_path: Path) -> None:
    address, _ = server
    records = [record("response", f"http://x/{number}", http(page(number))) for number in range(12)]
    (tmp_path / "in/a.warc.gz").write_bytes(archive(records))
    assert (tmp_path / "in/a.warc.gz").stat().st_size > 2 * BLOCK_BYTES
    pq.write_table(pa.table({"text": [page(number).decode() for number in range(8)]}), tmp_path / "in/b.parquet")
    (tmp_path / "in/c.html").write_bytes(page(99))
    run = str(tmp_path / "run")
    names = ("a.warc.gz", "b.parquet", "c.html")
    manifest = ingest_run(run, IngestConfig(inputs=tuple(f"{address}/{name}" for name in names)), Engine())
    assert (manifest.counts["kept"], manifest.counts["rejected"]) == (21, 0)
    pages = [each for path in dataset_files(f"{run}/pages") for each in read_pages(path, run)]
    assert all(isinstance(each, Page) for each in pages)


def test_what_can_only_be_had_whole_is_not_shared_out(server: tuple[str, list[str]], tmp_path: Path) -> None:
    address, _ = server
    (tmp_path / "in/a.jsonl").write_bytes(b'{"text": "some words"}\n' * (1 << 19))
    config = IngestConfig(inputs=(f"{address}/a.jsonl",), split_bytes=1 << 20)
    assert len(list(shards(list_inputs(config).files, config))) == 1


def test_what_is_too_large_or_breaks_is_one_sentence(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    (tmp_path / "in/a.warc.gz").write_bytes(
        archive([record("response", f"http://x/{n}", http(page(n))) for n in range(8)])
    )
    remedy = "its server does not answer requests for parts of it; download it, and name the copy instead"
    with pytest.raises(InputError, match=rf"/breaks/a.warc could not be read to its end \(\S.*\), and {remedy}"):
        ingest_run(str(tmp_path / "run"), IngestConfig(inputs=(f"{address}/breaks/a.warc",)), Engine())
    monkeypatch.setattr(web_files, "MOST_COPIED_BYTES", 3 << 20)
    with pytest.raises(InputError, match=rf"/a.warc.gz is larger than 3 MiB, and {remedy}"):
        ingest_run(str(tmp_path / "run"), IngestConfig(inputs=(f"{address}/a.warc.gz",)), Engine())
    assert not storage.exists(str(tmp_path / "run/pages/manifest.json"))
