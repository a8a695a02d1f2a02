"""Data sets of the Hugging Face hub by name (`hf://datasets/…`), read from a small server that answers as the hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.inputs import _entries
from pipeline.storage import open_read
from pipeline.tables import read_rows

constants = pytest.importorskip("huggingface_hub.constants")
HfFileSystem = pytest.importorskip("huggingface_hub").HfFileSystem
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "/api/datasets/org/name"


def parquet(texts: list[str]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink)
    return bytes(sink.getvalue())


FILES = {
    "README.md": b"# A data set\n",
    "data/train-0.parquet": parquet(["one", "two"]),
    "data/train-1.parquet": parquet(["three"]),
    "data/sub/test-0.parquet": parquet(["four"]),
}


def entry(path: str) -> dict[str, Any]:
    """A file or folder as the hub lists it."""
    if path not in FILES:
        return {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
    return {"type": "file", "path": path, "size": len(FILES[path]), "oid": hashlib.sha1(FILES[path]).hexdigest()}


def below(folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """What lies in a folder, and in its folders."""
    start = folder + "/" if folder else ""
    names = [path for path in FILES if path.startswith(start)]
    folders = {path.rsplit("/", depth)[0] for path in names for depth in range(1, path.count("/") + 1)} - {folder}
    found = sorted({*names, *(one for one in folders if one.startswith(start))})
    return [entry(path) for path in found if recursive or "/" not in path[len(start) :]]


class Hub(BaseHTTPRequestHandler):
    """The few answers of the hub that reading needs."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def tell(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path, asked = unquote(address.path), parse_qs(address.query)
        if path in (REPO, f"{REPO}/revision/main"):
            self.tell({"id": "org/name", "sha": COMMIT, "siblings": [], "private": False, "disabled": False})
        elif path.startswith(f"{REPO}/tree/main"):
            folder = path.removeprefix(f"{REPO}/tree/main").strip("/")
            self.tell(below(folder, recursive=asked.get("recursive", [""])[0].lower() == "true"))
        elif path.startswith("/datasets/org/name/resolve/main/"):
            self.give(FILES.get(path.removeprefix("/datasets/org/name/resolve/main/")))
        else:
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET

    def give(self, content: bytes | None) -> None:
        if content is None:
            self.answer(b"{}", 404, X_Error_Code="EntryNotFound")
            return
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if not asked:
            self.answer(content, ETag='"x"', X_Repo_Commit=COMMIT)
            return
        start, end = (int(one) for one in asked.split("-"))
        part = content[start : end + 1]
        self.answer(part, 206, Content_Range=f"bytes {start}-{start + len(part) - 1}/{len(content)}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
        known = {*FILES, *(one["path"] for one in below("", recursive=True))}
        self.tell([entry(path) for path in asked if path in known])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server, under the name that the client asks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    HfFileSystem.clear_instance_cache()
    yield
    HfFileSystem.clear_instance_cache()
    server.shutdown()
    server.server_close()


ALL = ["data/sub/test-0.parquet", "data/train-0.parquet", "data/train-1.parquet"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("hf://datasets/org/name/data/train-0.parquet", ["data/train-0.parquet"]),
        ("hf://datasets/org/name/data/*.parquet", ["data/train-0.parquet", "data/train-1.parquet"]),
        ("hf://datasets/org/name/data/**/*.parquet", ALL),
        ("hf://datasets/org/name/data", ALL),
        ("hf://datasets/org/name", ["README.md", *ALL]),
        ("hf://datasets/org/name@main/data/train-[1-9].parquet", ["data/train-1.parquet"]),
    ],
)
def test_files_folders_and_patterns(hub: None, pattern: str, expected: list[str]) -> None:
    found = [one for one, _ in _entries(pattern, IngestConfig())]
    assert sorted(one.path.partition("/name")[2].partition("/")[2] for one in found) == expected
    for one in found:
        assert one.path.startswith("hf://datasets/org/name")
        content = FILES[one.path.partition("/name")[2].partition("/")[2]]
        assert one.num_bytes == len(content)
        assert one.stamp == hashlib.sha1(content).hexdigest(), "another file of the same size is noticed"
        with open_read(one.path) as file:
            assert file.read() == content
    texts = [row["text"] for one in found if one.path.endswith("train-1.parquet") for row in read_rows(one.path)]
    assert texts in ([], ["three"])


def test_what_is_not_there(hub: None) -> None:
    for path in ("hf://datasets/org/name/data/none.parquet", "hf://datasets/org/other/x.parquet"):
        with pytest.raises(InputError, match="does not exist"):
            list(_entries(path, IngestConfig()))
