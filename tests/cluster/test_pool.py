"""A pool of Beam workers: it starts one for each request, and ends those that it is told to, or all with itself."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability.api import beam_fn_api_pb2

from jobs.cluster.pool import WorkerPool
from tests.jobs.processes import lives, parent_of, soon

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """The address of one that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield {"url": f"127.0.0.1:{silent.getsockname()[1]}"}


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool()
    yield made
    made.end_all()


def start(pool: WorkerPool, engine: Any, name: str, capfd: pytest.CaptureFixture[str]) -> int:
    """The number of the process that a request has started, as the log of the pool says it."""
    answer = pool.StartWorker(beam_fn_api_pb2.StartWorkerRequest(worker_id=name, control_endpoint=engine), None)
    assert not answer.error
    return int(capfd.readouterr().out.rpartition(" ")[2])


def stop(pool: WorkerPool, name: str) -> None:
    pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=name), None)


def test_the_one_that_is_named_is_ended(pool: WorkerPool, engine: Any, capfd: pytest.CaptureFixture[str]) -> None:
    one, other = (start(pool, engine, name, capfd) for name in ("1-1", "1-2"))
    stop(pool, "1-1")
    assert soon(lambda: not lives(one))
    assert lives(other)
    stop(pool, "1-2")
    stop(pool, "nobody's")
    assert soon(lambda: not lives(other))


def test_two_of_one_name_both_live(pool: WorkerPool, engine: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Two task managers ask the same pool, each for its worker 4-1; a request to stop one must not end that of the other."""
    first, second = (start(pool, engine, "4-1", capfd) for _ in range(2))
    stop(pool, "4-1")
    assert lives(first)
    assert lives(second)
    os.kill(first, signal.SIGKILL)
    assert soon(lambda: not lives(first))

    def is_stopped() -> bool:
        stop(pool, "4-1")  # the pool may learn a moment later than we do that the first is gone
        return not lives(second)

    assert soon(is_stopped), "now it is clear which one"


def test_a_pool_whose_server_was_killed_has_another(
    pool: WorkerPool, engine: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    first = start(pool, engine, "5-1", capfd)
    server = parent_of(first)
    os.kill(server, signal.SIGKILL)
    assert soon(lambda: not lives(server))
    second = start(pool, engine, "5-2", capfd)
    assert lives(second)
    assert soon(lambda: not lives(first))
    stop(pool, "5-2")
