"""Starts, shows and stops a Flink cluster on this machine.

FOLDER/cluster.json lists what was started and how to reach it; FOLDER/conf and FOLDER/logs are Flink's. `stop` ends
every process by its number and birth, so a number that went to somebody else since is left alone.
"""

import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jobs.cluster import flink
from jobs.cluster.job_server import job_server_command
from jobs.cluster.processes import Process, check_free, end, free_ports, started
from jobs.cluster.rest import FlinkRest
from jobs.cluster.settings import (
    LOOPBACK,
    ClusterSettings,
    config_file,
    default_folder,
    flink_options,
    worker_environment,
)
from pipeline.errors import CorpusmillError, DataError

_STATE_FILE = "cluster.json"
_SECONDS_TO_END = 15.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that was started here: where it answers, and its processes."""

    folder: str
    flink_version: str
    port: int
    pool_port: int
    parallelism: int
    # Beam workers beside each task manager, where that runs several tasks of a job at once.
    workers_per_manager: int = 1
    # Where the job server listens; 0 if there is none.
    job_port: int = 0
    processes: tuple[Process, ...] = ()

    @property
    def address(self) -> str:
        """Where its REST interface and its web page are."""
        return f"http://{LOOPBACK}:{self.port}"

    def dead(self) -> list[Process]:
        """The processes that are gone."""
        return [process for process in self.processes if not process.is_alive()]

    def named(self, kind: str) -> list[Process]:
        """The processes of a kind: `job-manager`, `task-manager`, `worker-pool` or `job-server`."""
        return [process for process in self.processes if process.name.startswith(kind)]


def start(settings: ClusterSettings) -> Cluster:
    """Starts a cluster and waits until all of it has reported.

    Raises:
        CorpusmillError: one is running already, Java or Flink is missing, a port is taken, or it did not come up.
    """
    java, distribution = flink.java_command(), flink.distribution_folder()
    _clear_away(settings)
    check_free(settings.port)
    folder = Path(settings.folder).absolute()
    settings = replace(settings, folder=str(folder))
    version = flink.flink_version(distribution)
    jar = settings.job_server_jar(version)
    job_manager, blobs, pool, job_port = free_ports(4)
    write_config(folder, flink_options(settings, {"job_manager": job_manager, "blobs": blobs}))
    cluster = Cluster(
        folder=str(folder),
        flink_version=version,
        port=settings.port,
        pool_port=pool,
        parallelism=settings.parallelism,
        job_port=job_port if jar else 0,
    )
    starter = Starter(cluster, seconds=settings.start_seconds)
    try:
        _start_all(starter, settings, java, distribution, jar)
    except BaseException:
        starter.stop()
        raise
    return starter.cluster


class Starter:
    """Starts process after process, each noted before the next, so that nothing that runs is unknown."""

    def __init__(self, cluster: Cluster, *, seconds: float, die_with_us: bool = False) -> None:
        self.cluster = cluster
        self.folder = Path(cluster.folder)
        self._seconds = seconds
        self._limit = time.monotonic() + seconds
        self._environment = worker_environment()
        self._die_with_us = die_with_us

    @property
    def log(self) -> Path:
        """Where a process of Flink logs; `start` puts its name for {}."""
        return self.folder / "logs" / "{}.log"

    def start(self, name: str, command: list[str]) -> None:
        """Starts a process of this name."""
        words = [word.replace("{}", name) for word in command]
        place = self.folder / "logs" / f"{name}.out"
        process = started(name, words, place, self._environment, dies_with_us=self._die_with_us)
        self.cluster = replace(self.cluster, processes=(*self.cluster.processes, process))
        _write(self.cluster)

    def wait(self, what: str, is_ready: Callable[[], bool]) -> None:
        """Waits for a part of the cluster.

        Raises:
            CorpusmillError: a process ended, or the time is up.
        """
        while True:
            with suppress(CorpusmillError):  # nobody answers yet
                if is_ready():
                    return
            self.check_alive()
            if time.monotonic() > self._limit:
                raise CorpusmillError(f"{what} did not report within {self._seconds:.0f} s; see {self.folder / 'logs'}")
            time.sleep(_POLL_SECONDS)

    def check_alive(self) -> None:
        """Raises:
        CorpusmillError: a process has ended; with the last that it said.
        """
        for process in self.cluster.dead():
            raise CorpusmillError(f"the {process.name} ended: {last_words(self.folder, process.name)}")

    def stop(self) -> None:
        """Ends them all."""
        _stop(self.cluster)


def _start_all(starter: Starter, settings: ClusterSettings, java: str, distribution: Path, job_server: str) -> None:
    cluster, config = starter.cluster, starter.folder / "conf"
    rest = FlinkRest(cluster.address)
    starter.start("job-manager", flink.job_manager_command(java, distribution, config, starter.log, beam=job_server))
    starter.wait("the job manager", lambda: bool(rest.version()))
    command = flink.task_manager_command(java, distribution, config, starter.log, beam=job_server)
    for number in range(settings.task_managers):
        starter.start(f"task-manager-{number}", [*command, "-D", f"taskmanager.resource-id=task-manager-{number}"])
        starter.start(f"worker-pool-{number}", pool_command(cluster.pool_port))
    if job_server:
        artifacts = starter.folder / "temporary/artifacts"
        starter.start("job-server", job_server_command(java, job_server, cluster.address, cluster.job_port, artifacts))
    starter.wait("the task managers", lambda: rest.overview()["slots-total"] == settings.slots_total)
    starter.wait("the worker pools", lambda: listens(cluster.pool_port))
    if job_server:
        starter.wait("the job server", lambda: listens(cluster.job_port))


def pool_command(port: int) -> list[str]:
    """The command of a pool of Beam workers."""
    return [sys.executable, "-m", "jobs.cluster.pool", "--port", str(port)]


def status(folder: str = "") -> tuple[Cluster, list[str]]:
    """The cluster in `folder` and what there is to say about it, a line each.

    Raises:
        CorpusmillError: none was started there, or part of it is gone.
    """
    cluster = read(folder)
    if cluster is None:
        raise CorpusmillError(
            f"no cluster is running in {folder or default_folder()}; corpusmill cluster start makes one"
        )
    dead = cluster.dead()
    if len(dead) == len(cluster.processes):
        raise CorpusmillError(
            f"the cluster in {cluster.folder} is no longer running; corpusmill cluster start begins anew"
        )
    rest = FlinkRest(cluster.address)
    seen = rest.overview()
    lines = [
        f"Flink {rest.version()} at {cluster.address}, files in {cluster.folder}",
        f"{seen['taskmanagers']} task managers, {seen['slots-available']} of {seen['slots-total']} slots free, "
        f"{seen['jobs-running']} jobs running, {seen['jobs-finished']} finished, {seen['jobs-failed']} failed",
        f"worker pools at {LOOPBACK}:{cluster.pool_port}",
        f"job server at {LOOPBACK}:{cluster.job_port}"
        if cluster.job_port
        else "no job server: each pipeline starts one",
    ]
    lines += [
        f"{each.name:<16} process {each.pid:>7}  {'gone' if each in dead else 'running'}" for each in cluster.processes
    ]
    return cluster, lines


def stop(folder: str = "") -> bool:
    """Ends the cluster in `folder`; False if there was none."""
    cluster = read(folder)
    if cluster is None:
        return False
    _stop(cluster)
    return True


def read(folder: str = "") -> Cluster | None:
    """The cluster that was started in `folder` (default: the usual one), running or not.

    Raises:
        DataError: its file is damaged.
    """
    place = Path(folder or default_folder()) / _STATE_FILE
    if not place.exists():
        return None
    try:
        value = json.loads(place.read_text("utf-8"))
        processes = tuple(Process(**each) for each in value.pop("processes"))
        return Cluster(processes=processes, **value)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{place} is damaged: {error}; end what it started by hand, and remove it") from None


def running_at(address: str, folder: str = "") -> Cluster | None:
    """The cluster of this machine that answers at `address` (`HOST:PORT`, with or without http://), if it is one of ours."""
    host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if host not in ("localhost", LOOPBACK):
        return None
    cluster = read(folder)
    return cluster if cluster is not None and str(cluster.port) == port and not cluster.dead() else None


def _clear_away(settings: ClusterSettings) -> None:
    """Forgets a cluster whose processes are all gone.

    Raises:
        CorpusmillError: some are not.
    """
    cluster = read(settings.folder)
    if cluster is None:
        return
    alive = len(cluster.processes) - len(cluster.dead())
    if alive:
        raise CorpusmillError(
            f"a cluster is running already at {cluster.address} ({alive} of {len(cluster.processes)} processes); "
            "corpusmill cluster stop ends it"
        )
    _stop(cluster)


def _stop(cluster: Cluster) -> None:
    folder = Path(cluster.folder)
    end(reversed(cluster.processes), seconds=_SECONDS_TO_END)
    shutil.rmtree(folder / "temporary", ignore_errors=True)
    (folder / _STATE_FILE).unlink(missing_ok=True)


def _write(cluster: Cluster) -> None:
    place = Path(cluster.folder) / _STATE_FILE
    part = place.with_suffix(".part")
    part.write_text(json.dumps(asdict(cluster), indent=1) + "\n", "utf-8")
    part.replace(place)


def write_config(folder: Path, options: Mapping[str, str]) -> None:
    """Writes Flink's configuration into `folder`, and clears its logs."""
    for name in ("conf", "logs", "temporary"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for old in (folder / "logs").iterdir():
        old.unlink()
    (folder / "conf/config.yaml").write_text(config_file(options), "utf-8")
    (folder / "conf/log4j.properties").write_text(flink.LOGGING, "utf-8")


def last_words(folder: Path, name: str) -> str:
    """The last line of the log that tells of an error, or the last line."""
    lines: list[str] = []
    for suffix in (".out", ".log"):
        place = folder / "logs" / (name + suffix)
        lines += place.read_text("utf-8", "replace").splitlines() if place.exists() else []
    lines = [line for line in lines if not line.startswith("srun:")] or lines  # which says only that a task failed
    telling = [line for line in lines if "Exception" in line or "rror" in line] or lines or ["it said nothing"]
    return f"{telling[-1].strip()[:300]}; see {folder / 'logs'}"


def listens(port: int) -> bool:
    """Whether somebody listens on `port` of loopback."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False
