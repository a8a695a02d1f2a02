"""Where pipelines can run: worker processes here, Beam's job service and Prism with a pool of workers, a Flink cluster."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from jobs.cluster import control
from jobs.cluster import flink as found
from jobs.cluster.assembly import assemble
from jobs.cluster.maven import MavenSettings
from jobs.cluster.prism import build
from jobs.cluster.processes import free_ports
from jobs.cluster.settings import ClusterSettings, worker_environment
from jobs.engine import Engine
from pipeline.errors import CorpusmillError

FAULTS = Path(__file__).with_name("faults")
SECONDS_TO_BUILD = 480.0  # a minute of two cores, and a download
STALL_SECONDS = 45.0  # above what starting a worker takes on a busy machine


@dataclass(frozen=True, kw_only=True)
class Place:
    """An engine; whether it begins again by itself after it lost a worker, or notices the loss at least; and its Flink, if it is one."""

    engine: Engine
    begins_again: bool = False
    notices_death: bool = True
    cluster: control.Cluster | None = None

    def kill(self, name: str) -> None:
        """Kills the last process of this kind of its cluster."""
        assert self.cluster is not None
        os.kill(self.cluster.named(name)[-1].pid, signal.SIGKILL)

    def lost(self) -> list[str]:
        """The processes of its cluster that are gone."""
        assert self.cluster is not None
        return [process.name for process in self.cluster.dead()]


@contextmanager
def worker_processes(_folder: Path) -> Iterator[Place]:
    yield Place(engine=Engine(workers=2, stall_seconds=STALL_SECONDS))


@contextmanager
def job_service(folder: Path) -> Iterator[Place]:
    """Beam's job service: a driver, a service that leads, and two worker processes, which share nothing but files."""
    with ExitStack() as stack:
        service = stack.enter_context(serving(folder, "tests.cluster.two_workers", str(folder / "port")))
        port = int(wait_for(service, lambda: (folder / "port").read_text("ascii")))
        engine = stack.enter_context(with_pool(folder, "--runner=PortableRunner", f"--job_endpoint=localhost:{port}"))
        yield Place(engine=engine, notices_death=False)


@contextmanager
def prism(folder: Path) -> Iterator[Place]:
    """Prism as a service, and the worker process that it asks the pool for; if Go and its modules can be had."""
    binary = prism_or_skip()
    port = free_ports(1)[0]
    with ExitStack() as stack:
        command = [str(binary), f"-job_port={port}", "-serve_http=false"]
        service = stack.enter_context(running(folder / "prism.log", command))
        wait_for(service, lambda: "JobManagement" in (folder / "prism.log").read_text("utf-8"))
        yield Place(
            engine=stack.enter_context(with_pool(folder, "--runner=PortableRunner", f"--job_endpoint=localhost:{port}"))
        )


@cache
def prism_or_skip() -> Path:
    try:
        return build(seconds=SECONDS_TO_BUILD)
    except CorpusmillError as error:
        pytest.skip(str(error))


@contextmanager
def with_pool(folder: Path, *arguments: str) -> Iterator[Engine]:
    """An engine elsewhere that gets its workers from a pool of ours."""
    port = free_ports(1)[0]
    with serving(folder, "jobs.cluster.pool", "--port", str(port)) as pool:
        wait_for(pool, lambda: "listens" in (folder / "jobs.cluster.pool.log").read_text("utf-8"))
        workers = ("--environment_type=EXTERNAL", f"--environment_config=localhost:{port}")
        yield Engine(beam_args=(*arguments, *workers), stall_seconds=STALL_SECONDS)


@contextmanager
def flink(folder: Path) -> Iterator[Place]:
    """A real cluster, if Flink, Java and Beam's job server can be had."""
    jar = job_server_or_skip()
    chosen = ClusterSettings(folder=str(folder / "cluster"), port=free_ports(1)[0], start_seconds=240, job_server=jar)
    cluster = control.start(chosen)
    os.environ["CORPUSMILL_CLUSTER"] = cluster.folder
    try:
        arguments = ("--runner=FlinkRunner", f"--flink_master=localhost:{cluster.port}")
        engine = Engine(beam_args=arguments).ready()
        yield Place(engine=engine, begins_again=True, cluster=cluster)
    finally:
        del os.environ["CORPUSMILL_CLUSTER"]
        control.stop(cluster.folder)


@cache
def job_server_or_skip() -> str:
    """Beam's job server for Flink: that of FLINK_JOB_SERVER_JAR, or else put together from its parts in Maven."""
    try:
        found.java_command()
        found.distribution_folder()
        return os.environ.get("FLINK_JOB_SERVER_JAR") or str(assemble(MavenSettings()))
    except CorpusmillError as error:
        pytest.skip(f"Flink itself is tested by test_control.py; pipelines on it need Beam's job server: {error}")


PLACES = {
    "worker processes": worker_processes,
    "job service": job_service,
    "prism": prism,
    "flink": flink,
}


@contextmanager
def serving(folder: Path, module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    with running(folder / f"{module}.log", [sys.executable, "-m", module, *arguments]) as process:
        yield process


@contextmanager
def running(place: Path, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with open(place, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=worker_environment(), start_new_session=True)
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def wait_for(process: "subprocess.Popen[bytes]", answer: Callable[[], object], seconds: float = 60.0) -> str:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and process.poll() is None:
        try:
            found = answer()
            if found:
                return str(found)
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{process.args} did not begin to serve")
