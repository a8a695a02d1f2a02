"""Processes that outlive the command that started them: started apart, known by number and birth, ended for certain."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CorpusmillError

_POLL_SECONDS = 0.05
_PR_SET_PDEATHSIG = 1
_PORTS = (15000, 32000)  # Linux gives connections 32768 and up, others 49152 and up


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of ours. `born` tells it from a later one that was given the same number."""

    name: str
    pid: int
    born: str

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return birth_of(self.pid) == self.born != ""


def started(
    name: str, command: Sequence[str], log: Path, environment: Mapping[str, str], *, dies_with_us: bool = False
) -> Process:
    """Starts `command` in a session of its own; what it prints goes to `log`.

    One that `dies_with_us` (on Linux) is killed when this process ends, however it ends.
    """
    with open(log, "ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(environment), start_new_session=True,
            preexec_fn=die_with_parent if dies_with_us else None,
        )  # fmt: skip
    return Process(name=name, pid=child.pid, born=birth_of(child.pid))


def die_with_parent() -> None:
    """Has Linux kill this process when the one that started it ends. For `preexec_fn`, where no threads are."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def birth_of(pid: int) -> str:
    """When the process began, in a form to compare; empty if there is none, or only its remains."""
    with suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)  # ours and dead: no remains
    place = Path(f"/proc/{pid}/stat")
    if place.parent.parent.joinpath("self").exists():
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    asked = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, born = asked.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else born.strip()


def end(processes: Iterable[Process], *, seconds: float, asking: int = signal.SIGTERM) -> None:
    """Ends the processes and all that they started: asked first, by the signal `asking`, and after `seconds` no longer asked."""
    alive = [process for process in processes if process.is_alive()]
    for process in alive:
        _signal(process, asking)
    limit = time.monotonic() + seconds
    while any(process.is_alive() for process in alive) and time.monotonic() < limit:
        time.sleep(_POLL_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)
    groups = {process.pid for process in alive}
    while groups & _living_groups() and time.monotonic() < limit + seconds:
        time.sleep(_POLL_SECONDS)


def _living_groups() -> set[int]:
    """Groups with a process that is more than remains. A signal to a group reaches its members one after the other."""
    if Path("/proc/self").exists():
        states = []
        for place in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # ended meanwhile
                state, _, group, *_ = place.read_text().rpartition(")")[2].split()
                states.append((group, state))
    else:
        asked = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=False)
        states = [(group, state) for group, state in map(str.split, asked.stdout.splitlines())]
    return {int(group) for group, state in states if not state.startswith("Z")}


def _signal(process: Process, number: int) -> None:
    """To the whole session: a worker pool may be gone while its workers are not."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def free_ports(number: int) -> list[int]:
    """Ports on loopback that nobody listens on now.

    None of those that the system itself gives to connections: between this answer and the start of what shall listen
    there, any program that connects or listens anywhere might be given one of them.
    """
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < number:
            mine = held.enter_context(socket.socket())
            with suppress(OSError):
                mine.bind(("127.0.0.1", random.randrange(*_PORTS)))
                ports.append(mine.getsockname()[1])
    return ports


def check_free(port: int) -> None:
    """Raises:
    CorpusmillError: something listens on `port` already.
    """
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            mine.bind(("127.0.0.1", port))
        except OSError:
            raise CorpusmillError(f"port {port} is taken by another program; choose another with --port") from None
