"""One driver at a time in a run on an object store, where no lock of the operating system reaches.

RUN/driver.json names the driver and counts its beats. Whoever comes to it and sees it beat is told so; one that does not
beat for a while was left by a driver that was killed, and is taken over. No two clocks are compared: what counts is
whether the file changes while one looks.
"""

import os
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import Any, Self

from jobs.progress import Progress
from pipeline import storage
from pipeline.errors import CorpusmillError
from pipeline.places import join

FILE = "driver.json"
SECONDS = 10.0
_PATIENCE = 3  # so many beats may fail to come


class Lease:
    """Holds the run in `folder` while its block runs.

    Raises:
        CorpusmillError: another driver works in it; or, at the end of the block, one took it over meanwhile.
    """

    def __init__(self, folder: str, *, seconds: float = SECONDS) -> None:
        self._folder = folder
        self._path = join(folder, FILE)
        self._seconds = seconds
        self._name = uuid.uuid4().hex
        self._beats = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self.lost = False

    def __enter__(self) -> Self:
        self._wait_for_the_last_one()
        self._write()
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.lost:
            raise CorpusmillError(f"another process has taken over {self._folder}; this one has stopped") from None
        with suppress(Exception):  # a store that fails: the next driver waits a while
            if self._is_ours(self._read()):
                storage.remove_tree(self._path)

    def _wait_for_the_last_one(self) -> None:
        last = self._read()
        if last is not None:
            Progress.note(
                f"{self._folder} was left to process {last.get('pid')} on {last.get('host')}; "
                f"looking for {_PATIENCE * self._seconds:.0f} s whether it is still at work"
            )
        limit = time.monotonic() + _PATIENCE * self._seconds
        while last is not None and time.monotonic() < limit:
            time.sleep(self._seconds / 10)
            now = self._read()
            if now is not None and now != last:
                who = f"process {now.get('pid')} on {now.get('host')}"
                raise CorpusmillError(f"another process is working in {self._folder} ({who})")
            last = now

    def _go_on(self) -> None:
        while not self._ended.wait(self._seconds):
            with suppress(Exception):  # a store that fails now and then: what matters says so itself
                if not self._is_ours(self._read()):
                    self.lost = True
                    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C would: jobs elsewhere are called off
                    return
                self._write()

    def _is_ours(self, value: dict[str, Any] | None) -> bool:
        return value is not None and value.get("name") == self._name

    def _read(self) -> dict[str, Any] | None:
        try:
            value = storage.read_json(self._path) if storage.exists(self._path) else None
        except CorpusmillError:  # it went between the two looks, or is damaged
            return None
        return value if isinstance(value, dict) else None

    def _write(self) -> None:
        self._beats += 1
        value = {"name": self._name, "beats": self._beats, "host": socket.gethostname(), "pid": os.getpid()}
        storage.write_json(self._path, value)
