"""Runs a function in a process of its own, and ends that and whatever it started when it should end.

Beam's worker processes may hang after a failure, print their logs over ours and outlive a driver that
was killed. Here they live in a session apart, without a terminal: Ctrl-C reaches the driver alone,
which ends them all; and should the driver vanish, a pipe that it held open breaks, and they end too.
"""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from pipeline.errors import CorpusmillError
from pipeline.steps import explained

# The name that Beam gives to the threads that each wait for a worker process.
_WORKER_THREAD = "run_worker"
_FOOTNOTE = "a worker process ended unexpectedly ({}), perhaps for want of memory; fewer --workers need less, and the same command goes on from here"


class FailedApartError(RuntimeError):
    """An unforeseen failure in the other process: its traceback is the message."""


def run_apart(work: Callable[[], None]) -> None:
    """Runs `work()` in a forked process.

    Raises:
        CorpusmillError: it failed for a reason that can be said in one sentence, or a worker process died.
        FailedApartError: it failed otherwise.
    """
    answer_read, answer_write = os.pipe()
    alive_read, alive_write = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the child has left our terminal
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(answer_read)
        os.close(alive_write)
        _be_child(work, answer_write, alive_read)
    os.close(answer_write)
    os.close(alive_read)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        answer = _read_all(answer_read)
    finally:
        _end(child)
        os.close(answer_read)
        os.close(alive_write)
    _raise_for(answer)


def _raise_for(answer: str) -> None:
    kind, _, text = answer.partition("\n")
    if kind == "sentence":
        raise CorpusmillError(text)
    if kind == "traceback":
        raise FailedApartError(text)
    if kind != "done":
        raise CorpusmillError(_FOOTNOTE.format("the one that leads the others"))


def _read_all(descriptor: int) -> str:
    """All that the child says; a worker that keeps the pipe open cannot keep us, as one answer is all there is."""
    answer = b""
    while not answer.endswith(b"\0") and (piece := os.read(descriptor, 1 << 16)):
        answer += piece
    return answer.rstrip(b"\0").decode("utf-8", "replace")


def _end(child: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)  # it may not have a group of its own yet
    os.waitpid(child, 0)


def _be_child(work: Callable[[], None], answer: int, alive: int) -> NoReturn:
    """Never returns: whatever happens here must not run the code of the parent twice."""
    said = threading.Lock()

    def say(kind: str, text: str = "") -> NoReturn:
        said.acquire()  # for ever: there is one answer
        data = f"{kind}\n{text}".encode("utf-8", "replace").replace(b"\0", b"") + b"\0"
        while data:
            data = data[os.write(answer, data) :]
        os.close(answer)
        threading.Event().wait()  # the parent ends us
        os._exit(0)

    def thread_failed(failure: threading.ExceptHookArgs) -> None:
        if failure.thread is not None and failure.thread.name == _WORKER_THREAD:
            say("sentence", _FOOTNOTE.format(failure.exc_value))
        threading.__excepthook__(failure)

    try:
        os.setsid()
        threading.excepthook = thread_failed
        threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # worker processes import what we can import
        _hush()
        work()
    except BaseException as error:  # everything is said to the parent
        sentence = explained(error)
        say("traceback", traceback.format_exc()) if sentence is None else say("sentence", sentence)
    say("done")


def _end_with_parent(alive: int) -> None:
    os.read(alive, 1)  # nobody writes: it returns when the parent is gone
    os.killpg(0, signal.SIGKILL)


def _hush() -> None:
    """Sends the logs of the worker processes nowhere, unless logs are wanted."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
