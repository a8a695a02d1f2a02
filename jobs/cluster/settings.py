"""What a cluster on this machine consists of, and the configuration that Flink gets for it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.cluster.assembly import assembled_path
from jobs.cluster.job_server import check_given_jar
from pipeline.errors import SettingError

LOOPBACK = "127.0.0.1"
FOLDER_VARIABLE = "CORPUSMILL_CLUSTER"
_MIN_MANAGER_MIB, _MIN_WORKER_MIB = 640, 896


def default_folder() -> str:
    """The folder of the cluster that is meant when nobody names one."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return os.environ.get(FOLDER_VARIABLE) or str(Path(state) / "corpusmill/cluster")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """A job manager, some task managers, and a pool of Beam workers beside each."""

    # Where configuration, logs and the list of processes lie.
    folder: str = field(default_factory=default_folder)
    task_managers: int = 2
    # Tasks that one task manager may run side by side. Two, so that one manager can take over what another ran.
    slots: int = 2
    # The port of the web page and of the REST interface.
    port: int = 8081
    # Memory of the Java processes. The Beam workers need what their job needs, beside it.
    job_manager_mib: int = 768
    task_manager_mib: int = 1280
    # Whether Beam's job server is part of it: its jar (a ready-made one listens on every interface), or empty for the one
    # that `corpusmill cluster job-server` put together. With None each pipeline starts one of its own, which takes seconds.
    job_server: str | None = None
    # How often, and after how many seconds, a job that lost a worker begins again.
    restarts: int = 10
    restart_delay_seconds: float = 2.0
    # How long `start` waits until every part of the cluster has reported.
    start_seconds: float = 90.0

    def __post_init__(self) -> None:
        if self.job_server:
            check_given_jar(self.job_server, "--job-server")
        for name, value in (("--task-managers", self.task_managers), ("--slots", self.slots)):
            if not 1 <= value <= 256:
                raise SettingError(f"{name} is {value}; allowed is 1 to 256")
        if not 0 < self.port < 65536:
            raise SettingError(f"--port is {self.port}; allowed is 1 to 65535")
        for name, value, least in (
            ("--job-manager-mib", self.job_manager_mib, _MIN_MANAGER_MIB),
            ("--task-manager-mib", self.task_manager_mib, _MIN_WORKER_MIB),
        ):
            if value < least:
                raise SettingError(f"{name} is {value}; Flink needs {least} or more")

    @property
    def parallelism(self) -> int:
        """How many workers share a job when all is well: one for each task manager."""
        return self.task_managers

    @property
    def slots_total(self) -> int:
        """How many tasks fit into all task managers."""
        return self.task_managers * self.slots

    def job_server_jar(self, flink_version: str) -> str:
        """The path of Beam's job server for this version of Flink; empty if it is not wanted.

        Raises:
            SettingError: it is wanted, and none is here.
        """
        if self.job_server is None or self.job_server:
            return self.job_server or ""
        assembled = assembled_path(flink_version)
        if assembled is None or not assembled.is_file():
            raise SettingError("--job-server: there is none here yet; corpusmill cluster job-server puts one together")
        return str(assembled)


def flink_options(settings: ClusterSettings, ports: Mapping[str, int]) -> dict[str, str]:
    """The configuration of Flink: everything on loopback, and a job that loses a worker begins again."""
    folder = Path(settings.folder)
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.rpc.port": str(ports["job_manager"]),
        "jobmanager.memory.process.size": f"{settings.job_manager_mib}m",
        "blob.server.port": str(ports["blobs"]),
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.memory.process.size": f"{settings.task_manager_mib}m",
        "taskmanager.numberOfTaskSlots": str(settings.slots),
        # Pipelines with many shuffles (deduplication) hold many of these at once: 512 each would be more than there are.
        "taskmanager.network.sort-shuffle.min-buffers": "64",
        "taskmanager.memory.network.fraction": "0.15",
        "taskmanager.load-balance.mode": "SLOTS",  # one worker in each manager before two in one
        "parallelism.default": str(settings.parallelism),
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": str(settings.port),
        "web.submit.enable": "false",  # no jar comes in through the web page
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(settings.restarts),
        "restart-strategy.fixed-delay.delay": f"{int(settings.restart_delay_seconds * 1000)} ms",
        "heartbeat.interval": "2000",  # a killed task manager is noticed within ten seconds, not fifty
        "heartbeat.timeout": "10000",
        "io.tmp.dirs": str(folder / "temporary"),
        "env.log.dir": str(folder / "logs"),
        # Python workers keep their state outside the Java heap.
        "classloader.check-leaked-classloader": "false",
        # With the job server kept, its classes are those of the cluster: loaded and compiled once, not for each pipeline.
        **({"classloader.resolve-order": "parent-first"} if settings.job_server is not None else {}),
    }


def config_file(options: Mapping[str, str]) -> str:
    """`config.yaml`, each value quoted."""
    return "".join(f"{key}: '{value}'\n" for key, value in options.items())


def worker_environment() -> dict[str, str]:
    """The environment of the worker processes: they import what this process can import."""
    path = os.pathsep.join(dict.fromkeys(filter(None, [os.getcwd(), *sys.path])))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
