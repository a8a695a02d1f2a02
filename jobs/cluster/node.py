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
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from jobs.cluster import flink
from jobs.cluster.control import last_words, pool_command
from jobs.cluster.processes import Process, end, started
from jobs.cluster.settings import LOOPBACK, worker_environment
from pipeline.errors import CorpusmillError

_POLL_SECONDS = 0.5
_SECONDS_TO_END = 1.0  # they have nothing to save, and Slurm does not wait for long
_SECONDS_TO_APPEAR = 60.0
_MOST_RESTARTS = 10
# srun hands on USR1; told to end by TERM, it kills its tasks, which could not clear up then.
ASKED_TO_END = signal.SIGUSR1
_TO_END = (ASKED_TO_END, signal.SIGTERM, signal.SIGINT)
_ELSEWHERE = "192.0.2.1"  # of a network that is for examples: any address that is not of this machine would do


def main(folder: str, jar: str, pool_port: str, scratch: str) -> int:
    """Keeps both running; an exit code if they keep ending."""
    for number in _TO_END:
        signal.signal(number, _told_to_end)
    shared, name = Path(folder), f"task-manager-{os.environ.get('SLURM_PROCID', '0')}"
    for needed in (shared / "conf/config.yaml", Path(jar)):
        if not _appears(needed):
            return _failed(f"does not see {needed}; it must lie on a file system that all nodes share")
    mine = tempfile.mkdtemp(prefix="corpusmill-", dir=scratch)
    running: list[Process] = []
    try:
        commands = {
            name: _task_manager(shared, jar, name, mine),
            name.replace("task-manager", "worker-pool"): pool_command(int(pool_port)),
        }
        return _keep_running(commands, shared, running)
    except CorpusmillError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        return 0
    finally:
        end(running, seconds=_SECONDS_TO_END)
        shutil.rmtree(mine, ignore_errors=True)


def _appears(place: Path) -> bool:
    """Whether the file is there, or comes: a shared file system may show it to other machines some seconds later."""
    limit = time.monotonic() + _SECONDS_TO_APPEAR
    while not place.is_file() and time.monotonic() < limit:
        time.sleep(_POLL_SECONDS)
    return place.is_file()


def address_of_this_node() -> str:
    """The address at which other nodes reach this one: that of its name, or, where that means loopback here, of its way out."""
    with suppress(OSError):
        address = socket.gethostbyname(socket.gethostname())
        if not address.startswith("127."):
            return address
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
            way_out.connect((_ELSEWHERE, 9))  # sends nothing
            return str(way_out.getsockname()[0])
    return LOOPBACK


def _task_manager(shared: Path, jar: str, name: str, mine: str) -> list[str]:
    log = shared / "logs" / f"{name}.log"
    command = flink.task_manager_command(
        flink.java_command(), flink.distribution_folder(), shared / "conf", log, beam=jar
    )
    address = address_of_this_node()
    own = {
        "taskmanager.resource-id": name,
        "taskmanager.host": address,
        "taskmanager.bind-host": address,
        "io.tmp.dirs": mine,
    }
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
    for number in _TO_END:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _failed(sentence: str) -> int:
    _say(sentence)
    return 1


def _say(sentence: str) -> None:
    print(f"{socket.gethostname()}: {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
