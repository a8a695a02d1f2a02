"""What runs on each node of a Slurm job: a task manager and a pool of workers, begun again when they die.

`python -m jobs.cluster.node FOLDER JAR POOL-PORT SCRATCH`, by srun: FOLDER holds Flink's configuration and its logs, JAR is
Beam's job server, whose classes the jobs share. Ends when it is told to, and its processes with it.
"""

import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from jobs.cluster import flink
from jobs.cluster.control import last_words, pool_command
from jobs.cluster.processes import Process, end, started
from jobs.cluster.settings import worker_environment

_POLL_SECONDS = 0.5
_SECONDS_TO_END = 10.0
_MOST_RESTARTS = 10


def main(folder: str, jar: str, pool_port: str, scratch: str) -> int:
    """Keeps both running; an exit code if they keep ending."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told_to_end)
    shared, name = Path(folder), f"task-manager-{os.environ.get('SLURM_PROCID', '0')}"
    for needed in (shared / "conf/config.yaml", Path(jar)):
        if not needed.is_file():
            return _failed(f"does not see {needed}; it must lie on a file system that all nodes share")
    mine = tempfile.mkdtemp(prefix="corpusmill-", dir=scratch)
    running: list[Process] = []
    try:
        commands = {
            name: _task_manager(shared, jar, name, mine),
            name.replace("task-manager", "worker-pool"): pool_command(int(pool_port)),
        }
        return _keep_running(commands, shared, running)
    except KeyboardInterrupt:
        return 0
    finally:
        end(running, seconds=_SECONDS_TO_END)
        shutil.rmtree(mine, ignore_errors=True)


def _task_manager(shared: Path, jar: str, name: str, mine: str) -> list[str]:
    log = shared / "logs" / f"{name}.log"
    command = flink.task_manager_command(
        flink.java_command(), flink.distribution_folder(), shared / "conf", log, beam=jar
    )
    own = {"taskmanager.resource-id": name, "taskmanager.host": socket.gethostname(), "io.tmp.dirs": mine}
    return [*command, *(word for key, value in own.items() for word in ("-D", f"{key}={value}"))]


def _keep_running(commands: dict[str, list[str]], shared: Path, running: list[Process]) -> int:
    """Never returns while all is well. What runs is in `running`, also when this is interrupted."""

    def start(name: str) -> None:
        log = shared / "logs" / f"{name}.out"
        running.append(started(name, commands[name], log, worker_environment(), dies_with_us=True))

    for name in commands:
        start(name)
    for _ in range(_MOST_RESTARTS):
        while not (dead := [process for process in running if not process.is_alive()]):
            time.sleep(_POLL_SECONDS)
        for process in dead:
            _say(f"the {process.name} ended and begins again: {last_words(shared, process.name)}")
            running.remove(process)
            start(process.name)
    return _failed(f"its processes ended {_MOST_RESTARTS} times; see {shared / 'logs'}")


def _told_to_end(*_signal: object) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _failed(sentence: str) -> int:
    _say(sentence)
    return 1


def _say(sentence: str) -> None:
    print(f"{socket.gethostname()}: {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
