"""Runs on an S3-compatible server on loopback: whole objects only, fresh listings, failures that are seen."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from jobs import cli, replaced
from jobs.engine import Engine
from jobs.ingest import ingest_run
from model.batches import Batches, CacheConfig
from pipeline import manifests, steps, storage
from pipeline.atomic import AtomicFile
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.inputs import list_inputs
from pipeline.ingest.payloads import read_pages
from pipeline.pack.shards import ShardSet
from pipeline.places import join
from pipeline.records import Page
from pipeline.steps import Receipt
from tests.ingest.archives import archive, crawl
from tests.pack.shard_maker import documents_of, spec_of, write_shards
from tests.runs import Made

pytest.importorskip("moto.server", reason="needs moto[server], of the extra `test`")
pytest.importorskip("s3fs", reason="needs s3fs, of the extra `s3`")

from tests.stores import WEATHER, Fault, Faults, serving_s3, some


@pytest.fixture(scope="module")
def server() -> Iterator[Faults]:
    """A server that lives as long as the module."""
    with serving_s3() as faults:
        yield faults


@pytest.fixture
def store(server: Faults) -> Iterator[Faults]:
    """The same server, without faults before and after a test."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()  # a test may have set how often it tries again
    server.reset()
    yield server
    server.reset()


@pytest.fixture
def bucket(store: Faults) -> str:
    """A bucket of it."""
    return "s3://bucket"


def test_what_a_step_made_is_set_aside_whole(bucket: str) -> None:
    run = f"{bucket}/aside"
    step = steps.Step(run=run, name="model", outputs=("model",))
    for number in (1, 2):
        for name in ("checkpoints/step-1/state.json", "checkpoints/step-2/state.json", "training.jsonl"):
            storage.write_bytes(f"{run}/model/{name}", f"{number} {name}".encode())
        storage.write_bytes(f"{run}/shards/one", b"stays")
        place = replaced.set_aside(step, "train", ["train.seed 0 → 1"])
        assert place == f"{run}/replaced/model-{number}"
        assert storage.read_bytes(f"{place}/model/checkpoints/step-2/state.json") == (
            f"{number} checkpoints/step-2/state.json".encode()
        )
        assert len(storage.list_files(place)) == 3
        assert storage.list_files(f"{run}/model") == []
        assert storage.exists(f"{run}/shards/one")


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
    folder = join(bucket, "attempts/pages")
    assert list(steps.receipts(folder)) == []
    assert not storage.exists(join(folder, "shards/a.json"))
    other = fsspec.filesystem("s3", skip_instance_cache=True)  # as in another process
    other.pipe_file("bucket/attempts/pages/shards/a.json", b'{"shard": "a", "files": {}, "counts": {}, "contents": {}}')
    assert [receipt.shard for receipt in steps.receipts(folder)] == ["a"]
    assert steps.read_receipt(folder, "a") == Receipt(shard="a")


def test_ingest_works_from_and_to_a_bucket(bucket: str, tmp_path: Path) -> None:
    for name, compression in (("a.warc.gz", "gzip"), ("b.warc", ""), ("c.warc.zst", "zstd")):
        storage.write_bytes(join(bucket, f"in/{name}"), archive(crawl(range(30)), compression))
    config = IngestConfig(inputs=(f"{bucket}/in",), split_bytes=4000)
    run = join(bucket, "run")
    manifest = ingest_run(run, config, Engine())
    assert manifest.counts["kept"] == 90
    pages = [page for path in manifests.dataset_files(join(run, "pages")) for page in read_pages(path, run)]
    assert sum(isinstance(page, Page) for page in pages) == 90
    assert not list(manifests.damaged_files(join(run, "pages")))
    assert ingest_run(run, config, Engine()) == manifest
    local = ingest_run(str(tmp_path), config, Engine())
    assert local.content == manifest.content


def test_a_bucket_that_does_not_exist_is_one_sentence(bucket: str) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the message is the store's
        storage.write_bytes("s3://there-is-no-such-bucket/x", b"x")
    assert steps.explained(caught.value)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s3://bucket/of/nobody/*.warc.gz", "s3://bucket/of/nobody/*.warc.gz: Unable to locate credentials"),
        ("ftp://127.0.0.1:1/x.warc.gz", "ftp://127.0.0.1:1/x.warc.gz: Connection refused"),
    ],
)
def test_a_store_that_does_not_let_us_in_is_one_sentence_of_the_command(
    address: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any pipeline runs, too: the error is of a kind of the store's own library."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[run]\nfolder = "{tmp_path / "run"}"\n[ingest]\ninputs = ["{address}"]\n', "utf-8")
    assert cli.main(["ingest", str(settings)]) == 1
    assert capsys.readouterr().err.strip().endswith(f"corpusmill: {sentence}")
    fsspec.get_filesystem_class("s3").clear_instance_cache()


# --- a store that fails, now and then or for good --------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [fault if fault == "reset_after" else pytest.param(fault, marks=pytest.mark.slow) for fault in WEATHER],
)
def test_a_fault_that_passes_is_not_even_noticed(store: Faults, bucket: str, fault: Fault) -> None:
    """The first of each request fails: reading, writing in one request and in several, listing, removing."""
    folder = join(bucket, f"weather-{fault}")
    store.choose = lambda method, path, before: fault if before == 0 else None
    small = storage.write_bytes(join(folder, "small.bin"), b"small")
    with AtomicFile(join(folder, "large.bin")) as large:
        for letter in b"abcd":
            large.write(bytes([letter]) * (15 << 20))
    for entry in (small, large.entry(num_records=0)):
        assert storage.checksum(entry.path) == (entry.sha256, entry.num_bytes)
    assert storage.list_files(folder) == [join(folder, "large.bin"), join(folder, "small.bin")]
    assert not storage.exists(join(folder, "none"))
    storage.remove_tree(join(folder, "small.bin"))
    assert not storage.exists(join(folder, "small.bin"))
    assert store.done[fault] > 8


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        *(("forbidden", action) for action in ("write", "read", "exists", "list", "remove", "ingest")),
        *((fault, action) for fault in ("error", "reset") for action in ("write", "read")),
    ],
)
def test_a_fault_that_stays_is_one_sentence_that_names_the_place(
    store: Faults, bucket: str, fault: Fault, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the store is asked once, not for half a minute
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    path = join(bucket, "stays/x.jsonl")
    storage.write_bytes(path, b"old")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    store.choose = lambda method, path, before: fault
    actions: dict[str, Callable[[], object]] = {
        "write": lambda: storage.write_bytes(path, b"new"),
        "read": lambda: storage.read_bytes(path),
        "exists": lambda: storage.exists(path),
        "list": lambda: storage.list_files(join(bucket, "stays")),
        "remove": lambda: storage.remove_tree(path),
        "ingest": lambda: list_inputs(IngestConfig(inputs=(path,))),
    }
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the store's library raises
        actions[action]()
    sentence = steps.explained(caught.value)
    assert sentence
    assert sentence.startswith(join(bucket, "stays"))
    store.reset()
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert storage.read_bytes(path) == b"old"


@pytest.mark.slow
def test_rows_of_shards_come_through_a_bounded_cache_from_a_store_that_fails_now_and_then(
    store: Faults, bucket: str, tmp_path: Path
) -> None:
    spec = spec_of(64)
    parts = {"train": [documents_of([50, 70, 20] * 900, source=name, spec=spec) for name in ("web", "books")]}
    there, here = (write_shards(folder, parts, spec) for folder in (join(bucket, "loader"), tmp_path / "local"))
    expected = Batches(here, batch_rows=16, prefetch=0)
    bound = 200_000
    store.choose = some(0.3, seed=1)
    batches = Batches(there, batch_rows=16, cache=CacheConfig(folder=str(tmp_path / "cache"), max_bytes=bound))
    for _ in range(40):
        ours, theirs = batches.next_batch(), expected.next_batch()
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours.tokens, theirs.tokens)
        with suppress(FileNotFoundError):  # the next batches are on their way, and what is old goes for them
            assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= bound
    batches.close()
    index = ShardSet.open(there)
    assert sum(index._index.columns["num_bytes"]) > 2 * bound, "nothing had to leave the cache"
    assert sum(store.done.values()) > 10


def test_the_cache_lies_where_caches_of_a_user_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORPUSMILL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert CacheConfig().folder == "/caches/corpusmill/batches"
    monkeypatch.setenv("CORPUSMILL_CACHE", "/scratch/batches")
    assert CacheConfig().folder == "/scratch/batches"


# --- whole runs ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_whole_run_in_a_bucket_equals_one_on_a_disk(
    store: Faults, bucket: str, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """From inputs in the bucket to scores and report; a tenth of all requests fail in some way the second time."""
    monkeypatch.setenv("CORPUSMILL_CACHE", str(tmp_path / "cache"))
    place = join(bucket, f"whole-{share}")
    for path in sorted(made.inputs.iterdir()):
        storage.write_bytes(join(place, "in", path.name), path.read_bytes())
    settings = tmp_path / "settings.toml"
    text = made.settings.read_text("utf-8").replace(str(made.run), f"{place}/run")
    settings.write_text(text.replace(str(made.inputs), f"{place}/in"), "utf-8")
    store.choose = some(share, seed=2)
    assert cli.main(["run", str(settings)]) == 0
    assert cli.main(["verify", f"{place}/run"]) == 0
    assert cli.main(["tokens", f"{place}/run"]) == 0
    assert cli.main(["export", f"{place}/run", "--format", "mds"]) == 0
    assert bool(store.done) == bool(share)
    store.reset()
    for dataset in ("documents", "rejected/filter", "rejected/dedup", "tokenizer", "shards"):
        there, here = (manifests.read_manifest(join(str(run), dataset)) for run in (f"{place}/run", made.run))
        assert there.files == here.files, dataset


@pytest.mark.slow
def test_a_kill_in_the_middle_goes_on_and_nothing_unfinished_is_taken_for_complete(
    store: Faults, bucket: str, tmp_path: Path
) -> None:
    """The store is gone for good after a number of writes; each time it is back, the same command goes on."""
    run = join(bucket, "gone/run")
    for name in "abcdef":
        storage.write_bytes(join(bucket, f"gone/in/{name}.warc.gz"), archive(crawl(range(20)), "gzip"))
    config = IngestConfig(inputs=(f"{bucket}/gone/in",), group_files=1)
    expected = ingest_run(str(tmp_path), config, Engine())
    sentences: list[str | None] = []
    manifest, allowed = None, 3
    while manifest is None:
        writes = count()
        last = allowed

        def after_some(method: str, path: str, before: int, writes: Iterator[int] = writes, last: int = last) -> Any:
            return "forbidden" if method in ("PUT", "POST") and next(writes) >= last else None

        store.choose = after_some
        try:
            manifest = ingest_run(run, config, Engine())
        except Exception as error:
            sentences.append(steps.explained(error))
            store.reset()
            assert not storage.exists(join(run, "pages/manifest.json"))
        allowed += 1
    store.reset()
    assert len(sentences) > 3
    assert all(sentences)
    assert manifest.content == expected.content
    assert manifest.counts == expected.counts
    assert not list(manifests.damaged_files(join(run, "pages")))
