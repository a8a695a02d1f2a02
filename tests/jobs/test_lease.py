"""One driver at a time in a run on an object store: told by whether a file goes on changing, never by a clock."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs import config as settings
from jobs.lease import FILE, Lease
from jobs.lock import opened
from pipeline import storage
from pipeline.errors import CorpusmillError
from tests import corpora

BEAT = 0.05
PATIENT = 40 * BEAT  # who looks for beats waits for them longer than a busy machine holds them up


@pytest.fixture
def folder() -> Iterator[str]:
    yield "memory://lease/run"
    fsspec.filesystem("memory").rm("/lease", recursive=True)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As commands make themselves; what a shell starts in the background ignores interruptions, and so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_another_driver_is_named_while_one_works_and_may_come_afterwards(folder: str) -> None:
    with Lease(folder, seconds=BEAT):
        begin = storage.read_json(f"{folder}/{FILE}")["beats"]
        with pytest.raises(CorpusmillError, match=f"another process is working in {folder} .process {os.getpid()} on "):
            Lease(folder, seconds=PATIENT).__enter__()
        assert storage.read_json(f"{folder}/{FILE}")["beats"] > begin
    assert not storage.exists(f"{folder}/{FILE}")
    with Lease(folder, seconds=BEAT):
        pass


@pytest.mark.parametrize("left", [b'{"name": "x", "beats": 7, "host": "gone", "pid": 1}', b"{", b"7", b""])
def test_what_a_killed_driver_left_is_taken_over(folder: str, left: bytes) -> None:
    """Whatever the clocks of the two machines say."""
    storage.write_bytes(f"{folder}/{FILE}", left)
    with Lease(folder, seconds=BEAT):
        assert storage.read_json(f"{folder}/{FILE}")["pid"] == os.getpid()


def test_a_driver_that_was_stopped_and_replaced_ends_when_it_wakes(folder: str) -> None:
    lease = Lease(folder, seconds=BEAT)
    lease.__enter__()
    with pytest.raises(KeyboardInterrupt):
        beat_for_ever(folder, "the other")
    with pytest.raises(CorpusmillError, match="another process has taken over"):
        lease.__exit__(KeyboardInterrupt)
    assert storage.read_json(f"{folder}/{FILE}")["name"] == "the other"


def beat_for_ever(folder: str, name: str) -> None:
    """As a driver at work does: its first beat may be overwritten by one that was under way."""
    for beats in range(60 * 20):
        storage.write_json(f"{folder}/{FILE}", {"name": name, "beats": beats})
        threading.Event().wait(BEAT)


def test_a_store_that_fails_for_a_moment_does_not_end_the_driver(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def fails(*_: object) -> None:
        failed.set()
        raise OSError("the store does not answer")

    with Lease(folder, seconds=BEAT):
        with monkeypatch.context() as patch:
            patch.setattr(storage, "read_json", fails)
            assert failed.wait(60)
        beats = storage.read_json(f"{folder}/{FILE}")["beats"]
        while storage.read_json(f"{folder}/{FILE}")["beats"] == beats:
            time.sleep(0.01)


def test_commands_hold_the_run(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = corpora.write_settings(tmp_path / "settings.toml", run=folder, inputs=tmp_path)  # type: ignore[arg-type]
    config = settings.load(str(place))
    with opened(config):
        assert storage.exists(f"{config.run.folder}/{FILE}")
        monkeypatch.setattr("jobs.lease.SECONDS", BEAT)
    assert not storage.exists(f"{config.run.folder}/{FILE}")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
