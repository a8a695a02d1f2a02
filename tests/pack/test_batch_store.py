"""Remote shards through a bounded local cache."""

import errno
import multiprocessing
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import fsspec
import numpy as np
import pytest

from model.batches import Batches, CacheConfig
from pipeline.errors import DataError, InputError
from pipeline.pack.batch_store import CachedStore
from pipeline.pack.shards import ShardSet
from tests.pack.shard_maker import documents_of, spec_of, write_shards


@pytest.fixture
def remote() -> str:
    spec = spec_of(32)
    parts = [documents_of([40] * 900, source=source, spec=spec) for source in ("web", "books")]
    return write_shards("memory://remote/run", {"train": parts}, spec)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges that were asked of the remote side."""
    ranges: list[tuple[int, int]] = []
    fs = fsspec.filesystem("memory")
    cat = type(fs).cat_file

    def counted(self, path, start=None, end=None, **options):  # type: ignore[no-untyped-def]
        ranges.append((start, end))
        return cat(self, path, start=start, end=end, **options)

    monkeypatch.setattr(type(fs), "cat_file", counted)
    return ranges


def read_all(shards: ShardSet) -> None:
    for number in range(shards.num_rows("web")):
        shards.row("web", number)


def held_bytes(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.iterdir())


def test_rows_of_remote_shards_are_those_of_local_ones(remote: str, tmp_path: Path) -> None:
    spec = spec_of(32)
    parts = [documents_of([40] * 900, source=source, spec=spec) for source in ("web", "books")]
    local = ShardSet.open(write_shards(tmp_path / "local", {"train": parts}, spec))
    shards = ShardSet.open(remote, cache_folder=str(tmp_path / "cache"))
    assert shards.identity == local.identity
    for source in shards.sources:
        for number in range(0, shards.num_rows(source), 17):
            assert shards.row(source, number) == local.row(source, number)


def test_each_batch_is_fetched_once_and_survives_a_restart(
    remote: str, tmp_path: Path, fetched: list[tuple[int, int]]
) -> None:
    for _ in range(2):
        shards = ShardSet.open(remote, cache_folder=str(tmp_path))
        for number in range(shards.num_rows("web")):
            shards.row("web", number)
    assert (
        len(fetched)
        == len(set(fetched))
        == -(-ShardSet.open(remote, cache_folder=str(tmp_path)).num_rows("web") // 256)
    )


def test_the_cache_stays_within_its_bound(remote: str, tmp_path: Path) -> None:
    bound = 100_000
    shards = ShardSet.open(remote, cache_folder=str(tmp_path), cache_bytes=bound)
    for number in np.random.default_rng(0).integers(0, shards.num_rows("web"), 60).tolist():
        shards.row("web", number)
        shards.row("books", number)
        shards.close()  # drops the views, so that every row asks the store
        assert held_bytes(tmp_path) <= bound


def test_what_was_read_longest_ago_goes_first(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/numbers", bytes(range(100)))
    store = CachedStore("memory://", ["numbers"], str(tmp_path), 40)
    for age, offset in enumerate((0, 10, 20)):
        store.read(0, offset, 10)
        os.utime(store._path(0, offset, 10), ns=(age, age))
    store.read(0, 0, 10)  # read again: now the youngest
    store.read(0, 30, 10)
    store.read(0, 40, 10)
    offsets = {int(path.name.split("-")[1]) for path in tmp_path.iterdir()}
    assert offsets == {0, 30, 40}


def test_batches_that_are_not_at_hand_are_fetched_side_by_side(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fetch waits until three are under way, which one after the other would never be."""
    fs = fsspec.filesystem("memory")
    cat = type(fs).cat_file
    together = threading.Barrier(3)

    def meeting(self, path, start=None, end=None, **options):  # type: ignore[no-untyped-def]
        together.wait(timeout=120)
        return cat(self, path, start=start, end=end, **options)

    monkeypatch.setattr(type(fs), "cat_file", meeting)
    shards = ShardSet.open(remote, cache_folder=str(tmp_path))
    blocks = shards.blocks_at([0, 1, 2, 0, 1, 2])
    assert [block.tokens[0, 1] for block in blocks[:3]] == [block.tokens[0, 1] for block in blocks[3:]]


def test_what_is_kept_open_is_bounded_too(remote: str, tmp_path: Path) -> None:
    shards = ShardSet.open(remote, cache_folder=str(tmp_path), cache_bytes=200_000)
    for number in np.random.default_rng(0).integers(0, shards.num_rows("web"), 60).tolist():
        shards.row("web", number)
        shards.row("books", number)
        assert shards._held_bytes <= 50_000


@pytest.mark.parametrize(("window_rows", "most"), [(256, 3), pytest.param(512, 3, marks=pytest.mark.slow)])
def test_a_window_reads_each_batch_little_more_than_once(
    tmp_path: Path, fetched: list[tuple[int, int]], window_rows: int, most: int
) -> None:
    """With room for a few batches only, an epoch in windows fetches far less than one in a global shuffle."""
    spec = spec_of(32)
    run = "memory://window/run"
    folder = write_shards(run, {"train": [documents_of([32] * 6000, source="web", spec=spec)]}, spec)
    num_fetched = {}
    for window in (None, window_rows):
        fetched.clear()
        cache = CacheConfig(folder=str(tmp_path / str(window)), max_bytes=250_000)
        batches = Batches(folder, batch_rows=16, epochs=1, window_rows=window, cache=cache, prefetch=0)
        assert sum(len(batch.tokens) for batch in batches) > 5900
        num_fetched[window] = len(fetched)
    num_batches = -(-6000 // 256)
    assert num_fetched[window_rows] <= most * num_batches
    assert num_fetched[window_rows] * 5 < num_fetched[None]


def test_a_damaged_cache_is_fetched_again(remote: str, tmp_path: Path) -> None:
    first = ShardSet.open(remote, cache_folder=str(tmp_path)).row("web", 0)
    for path in tmp_path.iterdir():
        path.write_bytes(b"\0" * path.stat().st_size)
    assert ShardSet.open(remote, cache_folder=str(tmp_path)).row("web", 0) == first


def test_damage_on_the_remote_side_is_an_error_each_time(remote: str, tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    data = bytearray(fs.cat_file("/remote/run/shards/train/00000.arrow"))
    data[len(data) // 3] ^= 1
    fs.pipe_file("/remote/run/shards/train/00000.arrow", bytes(data))
    for _ in range(2):
        shards = ShardSet.open(remote, cache_folder=str(tmp_path))
        with pytest.raises(DataError, match="is damaged"):
            read_all(shards)


def test_without_a_cache_folder_nothing_is_kept(
    remote: str, fetched: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shards = ShardSet.open(remote)
    fetched.clear()
    read_all(shards)
    read_all(shards)
    assert len(fetched) == len(set(fetched)), "what is held in memory is not fetched again"
    shards.close()
    read_all(shards)
    assert len(fetched) == 2 * len(set(fetched))
    assert not list(tmp_path.iterdir())


def test_a_cache_without_room_costs_nothing_but_speed(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.pack.batch_store.os.replace", full)
    shards = ShardSet.open(remote, cache_folder=str(tmp_path / "cache"))
    read_all(shards)
    assert list((tmp_path / "cache").iterdir()) == []


def test_more_at_once_than_there_is_room_for_stays_within_the_bound(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All fetches are under way before the first is in the folder; what has no room is read all the same."""
    fsspec.filesystem("memory").pipe_file("/numbers", bytes(1000))
    store = CachedStore("memory://", ["numbers"], str(tmp_path), 300)
    together, keep = threading.Barrier(8), CachedStore._keep

    def slow(store: CachedStore, path: str, data: bytes) -> None:
        time.sleep(0.3)
        keep(store, path, data)

    def read(place: int) -> int:
        together.wait(timeout=120)
        return store.read(0, 100 * place, 100).size

    monkeypatch.setattr(CachedStore, "_keep", slow)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(read, range(8))) == [100] * 8
    assert 0 < held_bytes(tmp_path) <= 300


def test_processes_that_share_a_cache_stay_within_its_bound(remote: str, tmp_path: Path) -> None:
    """Each sees what the others added; one that only counted its own would not."""
    bound = 200_000
    several = [ShardSet.open(remote, cache_folder=str(tmp_path), cache_bytes=bound) for _ in range(8)]
    for block in range(8):
        for number, shards in enumerate(several):
            shards.block((number + block) % 8)
        assert held_bytes(tmp_path) <= bound


def read_at_random(folder: str, cache: str, seed: int, bound: int) -> None:
    """What one of several processes does: each range must hold what its place says."""
    store = CachedStore(folder, ["numbers"], cache, bound)
    for place in np.random.default_rng(seed).integers(0, 400, 600).tolist():
        data = store.read(0, 1000 * place, 1000).to_pybytes()
        assert data == b"".join((1000 * place + i).to_bytes(4, "big") for i in range(0, 1000, 4))


@pytest.mark.slow
def test_processes_of_their_own_share_a_cache_within_its_bound(tmp_path: Path) -> None:
    """400 kB of ranges through room for 64 kB; the bound is watched all the while, with the slack that is stated."""
    (tmp_path / "numbers").write_bytes(b"".join(i.to_bytes(4, "big") for i in range(0, 400_000, 4)))
    cache, bound = tmp_path / "cache", 64_000
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=read_at_random, args=(f"file://{tmp_path}", str(cache), seed, bound))
        for seed in range(3)
    ]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        with suppress(FileNotFoundError):
            most = max(most, held_bytes(cache))
        processes[0].join(timeout=0.01)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert 0 < most <= bound + 3 * (bound // 64 + 1000)


def test_what_a_killed_process_left_goes_too(remote: str, tmp_path: Path) -> None:
    left = tmp_path / "left.batch.0123abcd.tmp"
    left.write_bytes(bytes(150_000))
    os.utime(left, (1, 1))
    read_all(ShardSet.open(remote, cache_folder=str(tmp_path), cache_bytes=200_000))
    assert not left.exists()


def test_a_missing_remote_shard_is_named(remote: str, tmp_path: Path) -> None:
    fsspec.filesystem("memory").rm("/remote/run/shards/train/00000.arrow")
    with pytest.raises(InputError, match="is missing, although the batch index names it"):
        ShardSet.open(remote, cache_folder=str(tmp_path)).row("web", 0)


def test_the_cache_may_vanish_under_way(remote: str, tmp_path: Path) -> None:
    """Another process, or a person, may empty it at any time."""
    shards = ShardSet.open(remote, cache_folder=str(tmp_path / "cache"))
    first = shards.row("web", 0)
    shutil.rmtree(tmp_path / "cache")
    shards.close()
    assert shards.row("web", 0) == first


def test_batches_come_from_remote_shards(remote: str, tmp_path: Path) -> None:
    cache = CacheConfig(folder=str(tmp_path), max_bytes=1 << 20)
    batches = Batches.once(remote, "train", batch_rows=50, cache=cache)
    assert sum(len(batch.tokens) for batch in batches) == batches.num_rows
    batches.close()
