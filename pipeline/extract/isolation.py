"""Extraction in a child process that may be killed: a page that explodes takes the child with it, not the worker.

The child lives as long as its worker and works on one page at a time under limits on CPU time and
memory. Where it dies, the page is tried once more in a new child, so that what went before can
never decide about a page; where that dies too, the page is refused. CPU time is counted, not time
on the wall: a busy machine refuses the same pages as an idle one. The child ends by itself when its
worker does, however that ends.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

from pipeline.errors import CorpusmillError
from pipeline.extract.config import ExtractConfig
from pipeline.extract.results import Extracted, Refused

# Waiting on the wall clock ends at this many times the CPU limit: for a child that sleeps, not one that computes.
_WALL_FACTOR = 20
_START_SECONDS = 120
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# The child is replaced after this many pages, so that slow leaks in libraries stay small.
_PAGES_PER_CHILD = 20_000


class Raised(NamedTuple):
    """An exception inside the child, by name: some kinds do not survive the journey."""

    name: str
    message: str

    def error(self) -> Exception:
        """An exception of the same name."""
        kind: type[Exception] = type(self.name, (Exception,), {})
        return kind(self.message)


Answer = Extracted | Refused | Raised


class Question(NamedTuple):
    """What goes to the child: the arguments of `html.PageExtractor.extract`."""

    payload: bytes
    url: str
    media_type: str
    charset: str
    metadata: Mapping[str, str]


class ChildExtractor:
    """Extracts pages in a child process. One at a time; safe to share between threads. Pickles without its child."""

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"_config": self._config}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__init__(cast("ExtractConfig", state["_config"]))  # type: ignore[misc]

    def extract(self, question: Question) -> Extracted | Refused:
        """What `html.PageExtractor.extract` gives, or the refusal `too_slow`, `too_much_memory` or `crashed`.

        Raises:
            Exception: what extraction raised inside the child.
        """
        with self._lock:
            answer, fresh = self._ask(question)
            if _is_death(answer) and not fresh:
                answer, _ = self._ask(question)
        if isinstance(answer, Raised):
            raise answer.error()
        return answer

    def close(self) -> None:
        """Ends the child, if there is one."""
        with self._lock:
            self._drop()

    def _ask(self, question: Question) -> tuple[Answer, bool]:
        """The answer, and whether a new child gave it."""
        child = self._child
        if child is None or not child.is_ours() or child.num_pages >= _PAGES_PER_CHILD:
            self._drop()
            child = self._child = _Child(self._config)
        fresh = child.num_pages == 0
        answer = child.ask(question, self._config.max_cpu_seconds * _WALL_FACTOR)
        if _is_death(answer):
            self._drop()
        return answer, fresh

    def _drop(self) -> None:
        if self._child is not None:
            self._child.close()
        self._child = None


_DEATHS = ("too_slow", "too_much_memory", "crashed")


def _is_death(answer: Answer) -> bool:
    return isinstance(answer, Refused) and answer.reason in _DEATHS


class _Child:
    """One child process and the connection to it."""

    def __init__(self, config: ExtractConfig) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.extract.child", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),), env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._connection = Connection(ours.detach())
        self._owner = os.getpid()
        self._config = config
        self.num_pages = 0
        self._connection.send(config)
        failure = self._start_failure()
        if failure is not None:
            self.close()
            raise failure

    def _start_failure(self) -> Exception | None:
        """What the child says after loading its models: none if all is well."""
        try:
            if self._connection.poll(_START_SECONDS):
                return cast("Exception | None", self._connection.recv())
        except (EOFError, OSError):
            pass
        return CorpusmillError(
            "the extraction process did not start, perhaps for want of memory; extract.isolate = false works without one"
        )

    def is_ours(self) -> bool:
        """Whether this process, and not one that it was forked from, started the child."""
        return self._owner == os.getpid()

    def ask(self, question: Question, wall_seconds: float) -> Answer:
        """The answer of the child, or why there is none."""
        self.num_pages += 1
        try:
            self._connection.send_bytes(pickle.dumps(tuple(question), protocol=pickle.HIGHEST_PROTOCOL))
            if not self._connection.poll(wall_seconds):
                self._process.kill()
                return Refused(reason="too_slow", detail="on the wall clock", threshold=wall_seconds)
            return cast("Answer", pickle.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            return self._death()

    def _death(self) -> Refused:
        code = self._process.wait(timeout=60)
        if code == -signal.SIGXCPU:
            return Refused(reason="too_slow", detail="seconds of CPU time", threshold=self._config.max_cpu_seconds)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Refused(reason="crashed", detail=f"the extraction process ended with {name}")

    def close(self) -> None:
        self._connection.close()
        if self.is_ours():
            self._process.kill()
            self._process.wait()
