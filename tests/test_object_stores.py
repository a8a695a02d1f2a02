"""Runs on an S3-compatible server on loopback: whole objects only, fresh listings, failures that are seen."""

import gc
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs.engine import Engine
from jobs.ingest import ingest_run
from pipeline import steps, storage
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.payloads import read_pages
from pipeline.records import Page
from pipeline.steps import Receipt
from pipeline.storage import AtomicFile, join
from tests.ingest.archives import archive, crawl

moto = pytest.importorskip("moto.server", reason="needs moto[server], of the extra `test`")
pytest.importorskip("s3fs", reason="needs s3fs, of the extra `s3`")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a server that lives as long as the module."""
    with pytest.MonkeyPatch.context() as patch:
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        server.stop()


def fail_after(path: str, num_bytes: int) -> None:
    with AtomicFile(path) as file:
        for _ in range(0, num_bytes, 1 << 20):
            file.write(bytes(1 << 20))
        raise KeyError


@pytest.mark.parametrize("size", [1 << 20, 60 << 20])  # one request, and several parts
def test_nothing_appears_when_the_block_fails(bucket: str, size: int) -> None:
    path = join(bucket, f"failed/{size}.bin")
    with pytest.raises(KeyError):
        fail_after(path, size)
    gc.collect()  # fsspec completes an object that is collected open
    assert not storage.exists(path)
    assert storage.list_files(join(bucket, "failed")) == []


def test_a_failed_write_leaves_the_old_object(bucket: str) -> None:
    path = join(bucket, "old.bin")
    storage.write_bytes(path, b"old")
    with pytest.raises(KeyError):
        fail_after(path, 1 << 20)
    gc.collect()
    assert storage.read_bytes(path) == b"old"


def test_large_and_empty_objects_are_whole(bucket: str) -> None:
    with AtomicFile(join(bucket, "large.bin")) as file:
        for letter in b"abcdef":
            file.write(bytes([letter]) * (12 << 20))
    assert storage.checksum(join(bucket, "large.bin")) == (file.entry(num_records=0).sha256, 72 << 20)
    assert storage.write_bytes(join(bucket, "empty.bin"), b"").num_bytes == 0
    assert storage.read_bytes(join(bucket, "empty.bin")) == b""


def test_what_others_write_is_seen_at_once(bucket: str) -> None:
    """A driver that has listed a folder sees the receipts that workers write into it afterwards."""
    folder = join(bucket, "attempts/work")
    assert list(steps.receipts(folder)) == []
    assert not storage.exists(join(folder, "shards/a.json"))
    other = fsspec.filesystem("s3", skip_instance_cache=True)  # as in another process
    other.pipe_file("bucket/attempts/work/shards/a.json", b'{"shard": "a", "files": {}, "counts": {}, "contents": {}}')
    assert [receipt.shard for receipt in steps.receipts(folder)] == ["a"]
    assert steps.read_receipt(folder, "a") == Receipt(shard="a")


def test_ingest_works_from_and_to_a_bucket(bucket: str, tmp_path: Path) -> None:
    for name, compression in (("a.warc.gz", "gzip"), ("b.warc", ""), ("c.warc.zst", "zstd")):
        storage.write_bytes(join(bucket, f"in/{name}"), archive(crawl(range(30)), compression))
    config = IngestConfig(inputs=(f"{bucket}/in",), split_bytes=4000)
    run = join(bucket, "run")
    manifest = ingest_run(run, config, Engine())
    assert manifest.counts["kept"] == 90
    pages = [page for path in storage.dataset_files(join(run, "pages")) for page in read_pages(path, run)]
    assert sum(isinstance(page, Page) for page in pages) == 90
    assert not list(storage.damaged_files(join(run, "pages")))
    assert ingest_run(run, config, Engine()) == manifest
    local = ingest_run(str(tmp_path), config, Engine())
    assert local.content == manifest.content


def test_a_bucket_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the message is the store's
        storage.write_bytes("s3://there-is-no-such-bucket/x", b"x")
    assert steps.explained(caught.value)
