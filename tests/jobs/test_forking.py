"""Worker processes from a server that forks them: they begin, are waited for, and none is left behind, whoever ends first."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import fork_server, forking
from jobs.forking import WorkerSource
from tests.jobs.processes import lives, parent_of, soon

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")


@pytest.fixture(scope="module")
def source() -> Iterator[WorkerSource]:
    made = WorkerSource(apart=True)
    yield made
    made.close()


@pytest.fixture
def ending() -> Iterator[WorkerSource]:
    """One that a test may end."""
    made = WorkerSource(apart=True)
    yield made
    made.close()


@pytest.fixture
def engine() -> Iterator[str]:
    """The address of one that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def test_workers_are_forks_of_one_server(source: WorkerSource, engine: str) -> None:
    workers = [forking.worker(source.descriptor, engine, f"worker-{number}") for number in range(3)]
    assert len({worker.pid for worker in workers}) == 3
    assert len({parent_of(worker.pid) for worker in workers}) == 1
    assert [worker.poll() for worker in workers] == [None] * 3
    for worker in workers:
        worker.end()
    assert soon(lambda: not any(lives(worker.pid) for worker in workers))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_the_signal_that_killed_a_worker_is_told(source: WorkerSource, engine: str, number: int) -> None:
    first, second = (forking.worker(source.descriptor, engine, name) for name in ("first", "second"))
    os.kill(first.pid, number)
    assert first.wait() == -number
    assert first.poll() == first.wait() == -number, "it can be asked again"
    assert second.poll() is None, "another one goes on"
    second.end()


def test_a_worker_without_its_server_ends(ending: WorkerSource, engine: str) -> None:
    worker = forking.worker(ending.descriptor, engine, "worker")
    os.kill(parent_of(worker.pid), signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    assert soon(lambda: not lives(worker.pid))
    assert soon(lambda: not ending.is_usable)
    with pytest.raises(OSError, match=r"gone|pipe|reset"):
        forking.worker(ending.descriptor, engine, "worker")


def test_closed_with_all_its_workers(ending: WorkerSource, engine: str) -> None:
    worker = forking.worker(ending.descriptor, engine, "worker")
    server = parent_of(worker.pid)
    ending.close()
    assert not lives(server)
    assert soon(lambda: not lives(worker.pid))


ASKS = """
import sys, os
from jobs import forking
asked = forking.worker(forking.source().descriptor, sys.argv[1], "worker")
print(asked.pid, flush=True)
{then}
"""


@pytest.mark.parametrize(
    "then",
    [
        "os.kill(os.getpid(), 9)",
        "sys.stdin.read()",
    ],
)
def test_whoever_asked_ends_and_nothing_is_left(engine: str, then: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ASKS.format(then=then), engine],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as asking:
        assert asking.stdout is not None
        worker = int(asking.stdout.readline())
        server = parent_of(worker) if lives(worker) else 0
        asking.kill()
    assert soon(lambda: not lives(worker) and not (server and lives(server)))


def test_a_fork_that_asked_is_ended_and_so_is_its_worker_alone(source: WorkerSource, engine: str) -> None:
    """As the process of a pipeline is; the server goes on for the next one."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        asked = forking.worker(source.descriptor, engine, "worker")
        os.write(write, f"{asked.pid}\n".encode())
        signal.pause()
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as lines:
        worker = int(lines.readline())
    assert lives(worker)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert soon(lambda: not lives(worker))
    other = forking.worker(source.descriptor, engine, "other")
    assert other.poll() is None
    other.end()


def test_one_server_as_long_as_nothing_changes_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first = forking.source()
    assert forking.source() is first
    monkeypatch.setenv("CORPUSMILL_TEST_OF_FORKS", "1")
    second = forking.source()
    assert second is not first
    assert soon(lambda: not first.is_usable)
    monkeypatch.undo()


def test_what_is_imported_beforehand_starts_nothing() -> None:
    """A lock that a thread held would be held for ever in each fork. What stands idle in C (of OpenBLAS, jemalloc) is made again there."""
    program = f"import importlib, threading\nfor name in {fork_server._IMPORTED}: importlib.import_module(name)\nprint(threading.active_count())"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "1"
