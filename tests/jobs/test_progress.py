"""What a person sees of a long step: records that are done, those of shards under way among them."""

import errno
import io
from pathlib import Path
from typing import Any

import pytest

from jobs import engine, progress
from jobs.progress import Progress
from pipeline import steps
from pipeline.heartbeat import Heartbeat
from pipeline.steps import Receipt, Step


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(run=str(tmp_path), name="filter", outputs=("kept",))


class Shown:
    """Stands where a `Progress` does."""

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []

    def set(self, done: int, *, records: int | None = None, text: str = "") -> None:
        self.said.append((done, text))


def test_records_of_shards_under_way_count(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_SIGNS_SECONDS", 0.0)
    shown: Any = Shown()
    receipts = engine._Receipts(step, shown, by_records=True)
    steps.write_receipt(step.attempt_folder, Receipt(shard="a", counts={"read": 40}))
    with Heartbeat(step.attempt_folder, "b", seconds=0.01) as heart:
        for number in range(7):
            heart.at(str(number))
        while not shown.said or shown.said[-1][0] < 47:
            receipts.show()
    steps.write_receipt(step.attempt_folder, Receipt(shard="b", counts={"read": 9}))
    receipts.show()
    assert shown.said[0][0] >= 40
    assert shown.said[-2:] == [(47, "1 shard done"), (49, "2 shards done")]


def test_what_an_earlier_attempt_did_is_no_speed_of_this_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("filter", total=2_000, unit="records") as bar:
        bar.set(1_000, text="1 shard done")
        now[0] = 20.0
        bar.set(1_200, text="1 shard done")
    assert capsys.readouterr().err == (
        "filter: 1,200 of 2,000 records in 20 s, 80 s left (10 records/s · 1 shard done)\n"
    )


@pytest.mark.parametrize(("seen", "line"), [
    # nothing is known while workers start, nor from the first few records
    ([(20.0, 0)], "filter: 0 of 2,000 records in 20 s\n"),
    ([(20.0, 1)], "filter: 1 of 2,000 records in 20 s (0.1 records/s)\n"),
    # empty shards that were done at once are no measure of the full ones
    ([(1.0, 400), (30.0, 400)], "filter: 400 of 2,000 records in 30 s (13 records/s)\n"),
    # a start of 100 s is not taken for the speed of the rest
    ([(100.0, 1), (120.0, 101)], "filter: 101 of 2,000 records in 2 min, 6 min left (0.8 records/s)\n"),
])  # fmt: skip
def test_the_time_left_is_that_of_the_work(
    seen: list[tuple[float, int]], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress("filter", total=2_000, unit="records") as bar:
        bar.set(0)
        for seconds, done in seen:
            now[0] = seconds
            bar.set(done)
    assert capsys.readouterr().err.splitlines(keepends=True)[-1] == line


class FullDisk(io.StringIO):
    """A log on a disk that takes nothing any more."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_on_a_full_disk_ends_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", FullDisk())
    Progress.note("curate: done")
