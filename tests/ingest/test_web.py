"""Inputs behind web servers: with and without answers to requests for parts of a file."""

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline import steps, storage, web_client, web_files
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


@contextmanager
def serving(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server of `folder` while the block runs."""
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of the folder `tmp_path`/in, and the paths that it was asked for."""
    gets: list[str] = []
    with serving(tmp_path / "in", type("Handler", (PlainHandler,), {"gets": gets})) as address:
        yield address, gets


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


class FaultyHandler(PlainHandler):
    """Answers requests for parts; the first time that a part is asked for, with a fault."""

    asked: dict[str, int]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        request = f"{self.command} {self.path} {self.headers.get('Range', '')}"
        number = self.asked[request] = self.asked.get(request, -1) + 1
        fault = FAULTS[len(self.asked) % len(FAULTS)] if number == 0 else ""
        content = (Path(self.directory) / self.path.strip("/")).read_bytes()
        if self.path.startswith("/never") or isinstance(fault, int):
            self.send_response(fault if isinstance(fault, int) else 503)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        if fault == "closed":
            self.close_connection = True
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1 if last else None]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if "Range" in self.headers:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
        self.end_headers()
        if with_body:
            self.wfile.write(part[: len(part) // 2] if fault == "cut" else part)
            self.close_connection = fault == "cut"


FAULTS: tuple[int | str, ...] = (503, "closed", "cut", 429, 500, "")


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, int]]]:
    """The address of a server of the folder `tmp_path`/in that fails now and then, and how often it was asked for what."""
    monkeypatch.setattr(web_client, "WAITS_SECONDS", (0.01,) * 7)
    asked: dict[str, int] = {}
    with serving(tmp_path / "in", type("Handler", (FaultyHandler,), {"asked": asked})) as address:
        yield address, asked


def test_a_fault_that_passes_is_not_noticed(faulty: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    """Of the servers of archives that are asked too often, or break off in the middle of a part."""
    address, asked = faulty
    records = [record("response", f"http://x/{number}", http(page(number))) for number in range(12)]
    (tmp_path / "in/a.warc.gz").write_bytes(archive(records))
    pq.write_table(pa.table({"text": [page(number).decode() for number in range(8)]}), tmp_path / "in/b.parquet")
    there, here = str(tmp_path / "there"), str(tmp_path / "here")
    manifest = ingest_run(there, IngestConfig(inputs=(f"{address}/a.warc.gz", f"{address}/b.parquet")), Engine())
    assert (manifest.counts["kept"], manifest.counts["rejected"]) == (20, 0)
    pages = [each for path in dataset_files(f"{there}/pages") for each in read_pages(path, there)]
    ingest_run(here, IngestConfig(inputs=(str(tmp_path / "in"),)), Engine())
    local = [each for path in dataset_files(f"{here}/pages") for each in read_pages(path, here)]
    assert sorted(each.payload for each in pages if isinstance(each, Page)) == sorted(
        each.payload for each in local if isinstance(each, Page)
    )
    assert sum(number > 0 for number in asked.values()) > len(FAULTS)


def test_a_fault_that_stays_is_one_sentence(faulty: tuple[str, dict[str, int]], tmp_path: Path) -> None:
    address, asked = faulty
    (tmp_path / "in/never.warc.gz").write_bytes(b"x")
    with pytest.raises(Exception, match="503") as raised:
        ingest_run(str(tmp_path / "run"), IngestConfig(inputs=(f"{address}/never.warc.gz",)), Engine())
    assert (steps.explained(raised.value) or "").startswith(f"{address}/never.warc.gz: 503")
    assert max(asked.values()) == len(web_client.WAITS_SECONDS)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/none.warc.gz", r"ingest input '.*/none.warc.gz' does not exist"),
        ("http://127.0.0.1:1/a.warc.gz", r"http://127.0.0.1:1/a.warc.gz: Connect call failed"),
    ],
)
def test_what_is_not_there_is_not_a_server_that_is_not_there(
    server: tuple[str, list[str]], tmp_path: Path, path: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_client, "WAITS_SECONDS", (0.01,) * 7)
    address = path if path.startswith("http") else server[0] + path
    with pytest.raises((InputError, OSError)) as raised:
        ingest_run(str(tmp_path / "run"), IngestConfig(inputs=(address,)), Engine())
    assert re.match(sentence, steps.explained(raised.value) or "")
