"""A job that hangs is ended and named; one that is slow is left alone."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import apache_beam as beam
import pytest

from jobs.apart import run_apart
from jobs.cluster.processes import birth_of
from jobs.engine import Engine, run_step
from jobs.watchdog import Watchdog
from pipeline import heartbeat, steps
from pipeline.errors import CorpusmillError, InputError, SettingError
from pipeline.heartbeat import ALIVE, Heartbeat, Sign, signs
from pipeline.stage import Outputs, ProcessShards
from pipeline.steps import Receipt, Shard, Step
from pipeline.storage import write_json
from tests.cluster import places


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def sign(attempt: Path, shard: str, cpu_seconds: float, beat: int = 1, record: str = "") -> None:
    value = {"cpu_seconds": cpu_seconds, "beat": beat, "record": record}
    write_json(str(attempt / ALIVE / f"{shard}.json"), value)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchdog(tmp_path: Path, clock: Clock) -> Watchdog:
    return Watchdog(attempt_folder=str(tmp_path), limit_seconds=100, clock=clock)


def looked(watchdog: Watchdog, clock: Clock, seconds: float) -> str | None:
    """What it says after `seconds` of looking once a second."""
    said = None
    for _ in range(int(seconds)):
        clock.now += 1
        said = said or watchdog.look()
    return said


def test_nothing_at_all_is_a_hang(watchdog: Watchdog, clock: Clock) -> None:
    assert looked(watchdog, clock, 99) is None
    assert "nothing has gone on for 10" in str(looked(watchdog, clock, 10))


def test_receipts_are_signs_of_life(watchdog: Watchdog, clock: Clock, tmp_path: Path) -> None:
    for number in range(5):
        steps.write_receipt(str(tmp_path), Receipt(shard=f"part-{number}"))
        assert looked(watchdog, clock, 90) is None


def test_a_long_record_is_no_hang(watchdog: Watchdog, clock: Clock, tmp_path: Path) -> None:
    """One worker computes for hours on one shard."""
    for number in range(50):
        sign(tmp_path, "part-0", 60.0 * number, number)
        assert looked(watchdog, clock, 60) is None


def test_records_that_others_work_on_are_no_hang(watchdog: Watchdog, clock: Clock, tmp_path: Path) -> None:
    """Pages are extracted in a child: the worker itself does little more than come to the next one."""
    for number in range(50):
        sign(tmp_path, "part-0", 0.001 * number, number, f"https://example.org/{number}")
        assert looked(watchdog, clock, 60) is None


def test_a_worker_that_waits_for_ever_is_a_hang_although_it_is_alive(
    watchdog: Watchdog, clock: Clock, tmp_path: Path
) -> None:
    said = None
    for number in range(20):
        sign(tmp_path, "part-7", 5.0 + 0.001 * number, number)
        said = said or looked(watchdog, clock, 10)
    assert said is not None
    assert "under way: shard part-7" in said


def test_a_worker_that_died_is_a_hang_if_nobody_takes_its_place(
    watchdog: Watchdog, clock: Clock, tmp_path: Path
) -> None:
    sign(tmp_path, "part-3", 5.0)
    assert looked(watchdog, clock, 50) is None
    sign(tmp_path, "part-3", 0.5)  # the engine began it again: the processor time of a new process
    assert looked(watchdog, clock, 95) is None
    assert "part-3" in str(looked(watchdog, clock, 20))


def test_a_heartbeat_names_each_record_and_goes_with_the_receipt(tmp_path: Path) -> None:
    with Heartbeat(str(tmp_path), "train/part-1", seconds=0.01) as heart:
        heart.at("https://example.org/long" + "g" * 2000)
        heart.at("https://example.org/1")
        while signs(str(tmp_path))["train/part-1"].beat < 3:
            time.sleep(0.01)
        assert signs(str(tmp_path))["train/part-1"].record == "https://example.org/1"
    assert signs(str(tmp_path)) == {}


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="this system has no clock for a thread")
def test_a_heartbeat_counts_the_work_on_its_shard_alone(tmp_path: Path) -> None:
    """Not what else goes on in the process, such as answers to an engine that asks for progress."""
    with Heartbeat(str(tmp_path), "part-1", seconds=0.01):
        other = threading.Thread(target=burn, args=(0.5,))
        other.start()
        other.join()
        before = signs(str(tmp_path))["part-1"].beat
        while (after := signs(str(tmp_path))["part-1"]).beat <= before + 1:
            time.sleep(0.01)
        assert after.cpu_seconds < time.thread_time() + 0.1
        assert time.process_time() > time.thread_time() + 0.4


def test_a_failure_leaves_its_heartbeat(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), Heartbeat(str(tmp_path), "part-1") as heart:
        heart.at("https://example.org/2")
        raise ZeroDivisionError
    assert signs(str(tmp_path))["part-1"].record == "https://example.org/2"


def test_a_heartbeat_in_memory_or_on_a_full_disk_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(heartbeat.storage, "write_json", fails)
    with Heartbeat("memory://heartbeat-test", "part-1") as heart:
        heart.at("https://example.org/")
    assert signs("memory://heartbeat-test") == dict[str, Sign]()


# --- worker processes ---------------------------------------------------------------------------------------


class Misbehaves:
    """Does something else with each shard."""

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        outputs.at(f"https://example.org/{shard.name}")
        if shard.work == "hang":
            time.sleep(3600)
        if shard.work == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if shard.work == "setting":
            raise SettingError("extract.model is no model")
        if shard.work == "input":
            raise InputError("part-3.warc.gz is truncated")
        return {"read": 1}


def run(tmp_path: Path, work: str, engine: Engine) -> None:
    step = Step(run=str(tmp_path), name="misbehave", outputs=("made",))
    shards = [Shard(name=f"part-{number}", work=work if number == 1 else "") for number in range(3)]
    run_step(
        step, shards, lambda found: found | ProcessShards(step, Misbehaves()), engine, label="x", record_seconds=0.0
    )


@pytest.mark.parametrize(("work", "kind"), [("setting", SettingError), ("input", InputError)])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_in_a_worker_keeps_its_kind(
    tmp_path: Path, work: str, kind: type[CorpusmillError], workers: int
) -> None:
    """So that a wrong setting that only a worker can see ends with exit code 2."""
    with pytest.raises(kind) as raised:
        run(tmp_path, work, Engine(workers=workers))
    assert type(raised.value) is kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "said"), [("hang", "nothing has gone on for"), ("die", "a worker process ended unexpectedly")]
)
def test_a_hang_or_a_death_ends_and_names_the_record(
    tmp_path: Path, work: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "SECONDS", 0.5)
    with pytest.raises(CorpusmillError, match=said) as raised:
        run(tmp_path, work, Engine(workers=2, stall_seconds=places.STALL_SECONDS))
    assert "shard part-1 at https://example.org/part-1" in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "said"), [("hang", "nothing has gone on for"), ("die", "a worker process ended unexpectedly")]
)
def test_prism_is_watched_too_and_ends_with_its_job(
    tmp_path: Path, work: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks its workers for progress so often that a worker which waits for ever is never without work."""
    binary = shutil.copy(places.prism_or_skip(), tmp_path / "prism-of-this-test")
    monkeypatch.setattr(heartbeat, "SECONDS", 0.5)
    engine = Engine(
        beam_args=("--runner=PrismRunner", f"--prism_location={binary}"), stall_seconds=places.STALL_SECONDS
    )
    with pytest.raises(CorpusmillError, match=said) as raised:
        run(tmp_path, work, engine)
    assert "shard part-1 at https://example.org/part-1" in str(raised.value)
    assert ended_within(10, lambda: processes_of(str(binary))), "Prism goes on without its job"


def ended_within(seconds: float, living: Callable[[], object]) -> bool:
    """Whether soon nobody is left: a process that was told to end takes a moment on a busy machine."""
    limit = time.monotonic() + seconds
    while living():
        if time.monotonic() > limit:
            return False
        time.sleep(0.1)
    return True


def processes_of(command: str) -> list[Path]:
    """The processes of a command, where the system shows them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if place.read_bytes().startswith(os.fsencode(command) + b"\0"):
                found.append(place)
    return found


def test_work_elsewhere_is_called_off_when_the_driver_is_killed(tmp_path: Path) -> None:
    """`kill -9` of the driver: nobody reads its pipe any more, and what its child started ends as well."""
    driver = os.fork()
    if driver == 0:
        run_apart(partial(start_and_wait, tmp_path), can_be_called_off=True)
        os._exit(0)
    while not (tmp_path / "pid").exists():
        os.sched_yield()
    started = int((tmp_path / "pid").read_text("ascii"))
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    while birth_of(started):
        time.sleep(0.05)
    assert (tmp_path / "called off").exists()


def start_and_wait(folder: Path) -> None:
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    folder.joinpath("part").write_text(str(server.pid), "ascii")
    folder.joinpath("part").rename(folder / "pid")
    try:
        time.sleep(3600)
    except KeyboardInterrupt:
        (folder / "called off").touch()
        raise


def test_work_apart_is_ended_when_the_watchdog_says_so() -> None:
    with pytest.raises(CorpusmillError, match="enough"):
        run_apart(lambda: time.sleep(3600), look=lambda: "enough")


def test_work_elsewhere_can_call_itself_off(tmp_path: Path) -> None:
    """A job that runs on a cluster is cancelled there before its driver ends."""

    def work() -> None:
        (tmp_path / "began").touch()
        try:
            time.sleep(3600)
        except KeyboardInterrupt:
            (tmp_path / "called off").touch()
            raise

    with pytest.raises(CorpusmillError, match="enough"):
        run_apart(work, look=lambda: "enough" if (tmp_path / "began").exists() else None, can_be_called_off=True)
    assert (tmp_path / "called off").exists()


# --- how many workers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "seconds", "shards", "expected"),
    [
        (None, 3600.0, 100, 4),  # the cores
        (None, 3600.0, 3, 3),  # not more than there are shards
        (None, 3600.0, 1, 1),
        (None, 1.0, 100, 1),  # starting processes would take longer
        (2, 1.0, 100, 2),  # as one asks
        (8, 3600.0, 1, 8),
    ],
)
def test_the_number_of_workers(
    given: int | None, seconds: float, shards: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.engine.cores", lambda: 4)
    assert Engine(workers=given).sized(seconds, shards).workers == expected


def test_own_options_of_the_local_runner_are_left_alone() -> None:
    engine = Engine(beam_args=("--direct_running_mode=multi_threading", "--direct_num_workers=3"))
    assert engine.sized(3600.0, 100).workers is None
    assert not engine.starts_processes
    assert isinstance(beam.Pipeline(options=engine.options()), beam.Pipeline)
