"""Worker processes from a server that forks them (`jobs/fork_server.py`): this side asks, waits and ends them.

One server lasts as long as the process that wanted it, for all of its pipelines. Its forks have the environment, the
path of modules and the folder that were ours when it began, so where these are others now, another one is begun.
"""

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

_LINE_BYTES = 1 << 16
_SECONDS_TO_END = 5.0


class Worker:
    """A worker process, seen from where it was asked for. It lives no longer than this has it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._code: int | None = None
        # The number of the process.
        self.pid = self._number()
        if self.pid is None:
            self.end()
            raise OSError("the server that forks worker processes is gone")

    def wait(self) -> int:
        """The exit code, once it has ended; below zero is the signal that killed it, also when its server was lost."""
        if self._code is None:
            found = self._number()
            self._code = -signal.SIGKILL if found is None else found
            self.end()
        return self._code

    def poll(self) -> int | None:
        """The exit code if it has ended."""
        if self._code is None and not select.select([self._connection], [], [], 0)[0]:
            return None
        return self.wait()

    def end(self) -> None:
        """Ends it, without warning."""
        self._lines.close()
        self._connection.close()

    def _number(self) -> int | None:
        try:
            return int(self._lines.readline(_LINE_BYTES))
        except (OSError, ValueError):
            return None


class WorkerSource:
    """A server of this process that forks workers. In a session of its own if `apart`; mute if `quiet`."""

    def __init__(self, *, apart: bool = False, quiet: bool = False) -> None:
        self._surroundings = _surroundings()
        self._requests, theirs = socket.socketpair()
        output = subprocess.DEVNULL if quiet else None
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobs.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                # it imports what we can import
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=apart,
            )

    @property
    def is_usable(self) -> bool:
        """Whether it lives, and what it forks would find the surroundings of now."""
        return self._process.poll() is None and self._surroundings == _surroundings()

    @property
    def descriptor(self) -> int:
        """What `worker` needs, here or in a fork of this process."""
        return self._requests.fileno()

    def close(self) -> None:
        """Ends it with all its workers."""
        self._requests.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_END)
            return
        self._process.kill()
        self._process.wait()


def worker(descriptor: int, control: str, worker_id: str) -> Worker:
    """A new worker process for the engine at `control`, from the server behind `descriptor`.

    Raises:
        OSError: that server is gone.
    """
    ours, theirs = socket.socketpair()
    with theirs, socket.socket(fileno=os.dup(descriptor)) as requests:
        socket.send_fds(requests, [b"w"], [theirs.fileno()])
    ours.sendall((json.dumps([control, worker_id]) + "\n").encode())
    return Worker(ours)


def _surroundings() -> Any:
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = ""
    return dict(os.environ), list(sys.path), folder


_source: WorkerSource | None = None


def source() -> WorkerSource:
    """The one server of this process for worker processes here, begun when it is first wanted."""
    global _source
    if _source is None or not _source.is_usable:
        if _source is not None:
            _source.close()
        _source = WorkerSource(apart=True, quiet=not logging.getLogger().isEnabledFor(logging.INFO))
    return _source
