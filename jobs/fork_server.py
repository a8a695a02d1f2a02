"""A process that begins Beam workers by fork: what they need is imported once, and not by each of them for each pipeline.

`python -m jobs.fork_server DESCRIPTOR`, a socket over which connections come, one for each worker. On such a connection
comes a line, the JSON list of the engine's address and the worker's name; back go a line with the number of the process, and
one with its exit code when it has ended (below zero: the signal that killed it). Whoever closes the connection ends the
worker, and when nobody holds the other end of the socket any more, all of them and this process end. `jobs/forking.py` is the other side.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from jobs import beam_worker

# What workers unpickle is in these, or imported by them.
_IMPORTED = (
    "apache_beam.runners.worker.sdk_worker",
    *(f"pipeline.{stage}.stage" for stage in ("ingest", "crawl", "extract", "filter", "dedup", "count", "pack")),
)
# Apple's libraries may not be used behind a fork: there each worker is a new process, as slow to begin as that is.
_CAN_FORK = sys.platform != "darwin"
_LINE_BYTES = 1 << 16


class ForkServer:
    """The workers that live, and the connection of each."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._workers: dict[int, socket.socket] = {}
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until nobody is left who could ask."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it arrives at all
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._requests:
                    if not self._take_request():
                        return self._end_all()
                elif key.fileobj == self._woken:
                    self._note_ended()
                else:
                    self._end_one(key.data)

    def _take_request(self) -> bool:
        """Whether there was still somebody to ask."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, 1, 1)
        if not message:
            return False
        connection = socket.socket(fileno=descriptors[0])
        with suppress(OSError, ValueError):  # whoever asked may be gone by now
            with connection.makefile("r", encoding="utf-8") as lines:
                control, worker_id = json.loads(lines.readline(_LINE_BYTES))
            pid = self._begin(control, worker_id)
            self._workers[pid] = connection
            self._selector.register(connection, selectors.EVENT_READ, pid)
            connection.sendall(f"{pid}\n".encode())
        return True

    def _begin(self, control: str, worker_id: str) -> int:
        words = (control, worker_id, str(os.getpid()))
        if not _CAN_FORK:
            return subprocess.Popen([sys.executable, "-m", beam_worker.__name__, *words]).pid
        pid = os.fork()
        if pid == 0:
            self._be_worker(words)
        return pid

    def _be_worker(self, words: Sequence[str]) -> NoReturn:
        """Never returns: a worker must not serve."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            for each in (self._requests, *self._workers.values()):
                each.close()
            for end in (self._woken, self._wake):
                os.close(end)
            beam_worker.main(*words)
            code = 0
        except BaseException:  # what the interpreter would have done
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)

    def _note_ended(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._woken, _LINE_BYTES):
                pass
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = found
                if (connection := self._workers.pop(pid, None)) is not None:
                    self._selector.unregister(connection)
                    with connection, suppress(OSError):
                        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _end_one(self, pid: int) -> None:
        """Its connection was closed: nobody wants it any more."""
        if (connection := self._workers.pop(pid, None)) is not None:
            self._selector.unregister(connection)
            connection.close()
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        for pid in list(self._workers):
            self._end_one(pid)


def main(descriptor: str) -> None:
    """Serves whoever has the other end of the socket `descriptor`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who ask
    requests = socket.socket(fileno=int(descriptor))
    for module in _IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else the first collection in each worker copies what could be shared
    ForkServer(requests).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
