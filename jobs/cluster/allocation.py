"""A Flink cluster inside a Slurm job, for as long as one command: `python -m jobs.cluster.allocation run my.toml`.

Runs on the first node of the job, as `corpusmill cluster slurm` has its script do. Job manager, job server and the command
run here; a task manager and a pool of workers on each node are started by srun (`node.py`). When the command ends, is
interrupted or dies, everything ends; when a part that nothing replaces dies, so does the command.

What listens for other machines (remote calls, classes, data between task managers) talks to nobody without the key of
this job (`keys.py`). The rest listens on loopback: the REST interface, Beam's job server, its services in the task
managers, the pools of workers. Loopback is shared by all who work on a node, so a job should have its nodes alone.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from jobs.cluster import flink
from jobs.cluster.assembly import assembled_path
from jobs.cluster.control import Cluster, Starter, listens, write_config
from jobs.cluster.job_server import job_server_command
from jobs.cluster.keys import make_key
from jobs.cluster.node import ASKED_TO_END, address_of_this_node
from jobs.cluster.processes import die_with_parent, end, free_ports
from jobs.cluster.rest import FlinkRest
from jobs.cluster.settings import FOLDER_VARIABLE, ClusterSettings, flink_options
from pipeline.errors import CorpusmillError, SettingError

INTERRUPTED = 130
_EVERYWHERE = "0.0.0.0"
_LEAST_MANAGER_MIB, _MIB_PER_SLOT, _JOB_MANAGER_MIB = 1280, 512, 1536
_START_SECONDS = 300.0
_POLL_SECONDS = 0.5
_SECONDS_FOR_NODES = 10.0
_SECONDS_TO_END = 40.0  # the command calls its job off, for which it takes up to 15


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """What Slurm has given to this job."""

    job: str
    nodes: int
    # Processors of each node: as many tasks run there at once, and as many workers.
    cpus: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Allocation":
        """What the variables that Slurm sets say.

        Raises:
            SettingError: this is no Slurm job.
        """
        if "SLURM_JOB_ID" not in environment:
            raise SettingError("this runs inside a Slurm job; corpusmill cluster slurm writes the script of one")
        everywhere = re.findall(r"(?:^|,)(\d+)", environment.get("SLURM_JOB_CPUS_PER_NODE", "1"))  # such as 32(x3),16
        return cls(
            job=environment["SLURM_JOB_ID"],
            nodes=int(environment.get("SLURM_JOB_NUM_NODES", "1")),
            cpus=int(environment.get("SLURM_CPUS_PER_TASK") or min(map(int, everywhere))),
        )

    @property
    def srun(self) -> list[str]:
        """The command that starts one task on each node; if one fails, all end."""
        return [
            "srun", f"--nodes={self.nodes}", f"--ntasks={self.nodes}", "--ntasks-per-node=1",
            f"--cpus-per-task={self.cpus}", "--kill-on-bad-exit=1", "--mpi=none", "--input=none", "--label",
        ]  # fmt: skip

    def settings(self, folder: Path, *, port: int, task_manager_mib: int = 0) -> ClusterSettings:
        """One task manager on each node, with a slot for each processor."""
        return ClusterSettings(
            folder=str(folder),
            task_managers=self.nodes,
            slots=self.cpus,
            port=port,
            job_manager_mib=_JOB_MANAGER_MIB,
            task_manager_mib=task_manager_mib or max(_LEAST_MANAGER_MIB, _MIB_PER_SLOT * (self.cpus + 1)),
            start_seconds=_START_SECONDS,
        )


def options_for_nodes(settings: ClusterSettings, ports: Mapping[str, int], key: Mapping[str, str]) -> dict[str, str]:
    """The configuration of Flink: as on one machine, but what must be reached from other nodes is, by who has the key."""
    options = flink_options(settings, ports)
    for name in ("taskmanager.host", "taskmanager.bind-host", "io.tmp.dirs"):
        del options[name]  # each node says its own
    return {
        **options,
        **key,
        "jobmanager.rpc.address": address_of_this_node(),
        # Its own REST interface goes to its server of classes by loopback, other nodes by the address.
        "jobmanager.bind-host": _EVERYWHERE,
        "blob.server.port": "0",
        "parallelism.default": str(settings.slots_total),
        "classloader.resolve-order": "parent-first",  # as the job server is kept
        # Machines are busier here: half a minute without a word, where a broken connection says nothing sooner.
        "heartbeat.interval": "5000",
        "heartbeat.timeout": "30000",
    }


@contextmanager
def cluster_in(
    allocation: Allocation, folder: Path, *, scratch: str = "", task_manager_mib: int = 0
) -> Iterator[Starter]:
    """A cluster over all nodes. `folder`, which nobody else may enter, gets its configuration, and keeps its logs.

    Raises:
        CorpusmillError: a part of it is missing or does not come up.
    """
    java, distribution = flink.java_command(), flink.distribution_folder()
    jar = job_server_or_refuse(flink.flink_version(distribution))
    mine = Path(tempfile.mkdtemp(prefix="corpusmill-", dir=scratch or None))
    port, job_manager, pool, job_port = free_ports(4)
    settings = allocation.settings(folder, port=port, task_manager_mib=task_manager_mib)
    cluster = Cluster(
        folder=str(folder),
        flink_version=flink.flink_version(distribution),
        port=settings.port,
        pool_port=pool,
        parallelism=settings.slots_total,
        workers_per_manager=settings.slots,
        job_port=job_port,
    )
    starter = Starter(cluster, seconds=settings.start_seconds, die_with_us=True)
    try:
        options = options_for_nodes(settings, {"job_manager": job_manager, "blobs": 0}, make_key(folder / "key", java))
        write_config(folder, options)
        _start_all(starter, allocation, settings, java=java, distribution=distribution, jar=jar, scratch=mine)
        yield starter
    finally:
        end(starter.cluster.named("nodes"), seconds=_SECONDS_FOR_NODES, asking=ASKED_TO_END)
        starter.stop()
        shutil.rmtree(mine, ignore_errors=True)
        for name in ("key", "conf"):  # the configuration holds the password
            shutil.rmtree(folder / name, ignore_errors=True)


def job_server_or_refuse(version: str) -> str:
    """The path of the job server that was put together here, the one that keeps to loopback.

    Raises:
        CorpusmillError: there is none.
    """
    jar = assembled_path(version)
    if jar is None or not jar.is_file():
        raise CorpusmillError("Beam's job server is not here yet; corpusmill cluster job-server puts it together")
    return str(jar)


def _start_all(
    starter: Starter, allocation: Allocation, settings: ClusterSettings, *, java: str, distribution: Path, jar: str, scratch: Path
) -> None:  # fmt: skip
    cluster, rest = starter.cluster, FlinkRest(starter.cluster.address)
    command = flink.job_manager_command(java, distribution, starter.folder / "conf", starter.log, beam=jar)
    starter.start("job-manager", [*command, "-D", f"io.tmp.dirs={scratch}"])
    starter.start(
        "job-server",
        job_server_command(java, jar, cluster.address, cluster.job_port, starter.folder / "temporary/artifacts"),
    )
    node = [sys.executable, "-m", "jobs.cluster.node", cluster.folder, jar, str(cluster.pool_port), str(scratch.parent)]
    starter.start("nodes", [*allocation.srun, *node])
    starter.wait("the job manager", lambda: bool(rest.version()))
    starter.wait("the job server", lambda: listens(cluster.job_port))
    starter.wait("the pool of workers", lambda: listens(cluster.pool_port))
    starter.wait("the task managers", lambda: rest.overview()["slots-total"] == settings.slots_total)


def drive(starter: Starter, words: Sequence[str]) -> int:
    """The exit code of `corpusmill WORDS` on the cluster.

    Raises:
        CorpusmillError: a part of the cluster ended before it.
    """
    address = f"localhost:{starter.cluster.port}"
    command = [sys.executable, "-m", "jobs", *words, "--", "--runner=FlinkRunner", f"--flink_master={address}"]
    environment = {**os.environ, FOLDER_VARIABLE: starter.cluster.folder}
    driver = subprocess.Popen(command, env=environment, preexec_fn=die_with_parent)
    try:
        while driver.poll() is None:
            starter.check_alive()
            time.sleep(_POLL_SECONDS)
    finally:
        _end(driver)
    return driver.returncode if driver.returncode >= 0 else 128 - driver.returncode


def _end(driver: "subprocess.Popen[bytes]") -> None:
    """Asks the command to end, if it has not, and waits for it."""
    driver.terminate()
    try:
        driver.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command; 130 if this was told to end."""
    parser = argparse.ArgumentParser(prog="python -m jobs.cluster.allocation", description=__doc__)
    parser.add_argument("--folder", default=".", help="where all nodes see the configuration (default: here)")
    parser.add_argument("--scratch", default="", help="a folder of each node's own (default: $TMPDIR or /tmp)")
    parser.add_argument("--task-manager-mib", type=int, default=0, help="memory of a task manager")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="a command of corpusmill, such as: run my.toml")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupted)
    try:
        allocation = Allocation.of(os.environ)
    except SettingError as error:
        return _failed(error)
    # For this user alone (mode 700), as the key lies there.
    folder = Path(tempfile.mkdtemp(prefix=f"corpusmill-{allocation.job}-", dir=os.path.abspath(options.folder)))
    try:
        with cluster_in(
            allocation, folder, scratch=options.scratch, task_manager_mib=options.task_manager_mib
        ) as starter:
            _say(f"Flink over {allocation.nodes} nodes, {allocation.cpus} tasks on each")
            code = drive(starter, options.words)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except CorpusmillError as error:
        code = _failed(error)
    if code in (0, INTERRUPTED) or not (folder / "logs").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"the logs of the cluster lie in {folder / 'logs'}")
    return code


def _failed(error: CorpusmillError) -> int:
    _say(str(error))
    return 2 if isinstance(error, SettingError) else 1


def _interrupted(*_signal: object) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT):  # once is enough
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(sentence: str) -> None:
    print(f"corpusmill: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
