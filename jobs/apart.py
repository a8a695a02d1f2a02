"""Runs a function in a process of its own, and ends that and whatever it started when it should end.

Beam's worker processes may hang after a failure, print their logs over ours and outlive a driver that
was killed. Here they live in a session apart, without a terminal: Ctrl-C reaches the driver alone,
which ends them all; and should the driver vanish, a pipe that it held open breaks, and they end too.
"""

import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from pipeline.errors import CorpusmillError
from pipeline.steps import error_of, explained, kind_of

# The name of the threads that each wait for a worker process.
WORKER_THREAD = "run_worker"
_POLL_SECONDS = 1.0
# How long work that can be called off may take to do so.
_SECONDS_TO_CALL_OFF = 15.0
_DIED = "a worker process ended unexpectedly ({}), perhaps for want of memory; fewer --workers need less, and the same command goes on from here"


class FailedApartError(RuntimeError):
    """An unforeseen failure in the other process: its traceback is the message."""


class WorkerDiedError(CorpusmillError):
    """A worker process ended, and nobody knows why."""


def run_apart(
    work: Callable[[], None], *, look: Callable[[], str | None] | None = None, can_be_called_off: bool = False
) -> None:
    """Runs `work()` in a forked process.

    `look` is asked about once a second whether there is a reason to give up. Work that `can_be_called_off` gets a
    KeyboardInterrupt first and some seconds to react to it: what it started may run on other machines.

    Raises:
        CorpusmillError: it failed for a reason that can be said in one sentence, a worker process died, or `look` gave up.
        FailedApartError: it failed otherwise.
    """
    answer_read, answer_write = os.pipe()
    alive_read, alive_write = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the child has left our terminal
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _interrupted if can_be_called_off else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(answer_read)
        os.close(alive_write)
        _be_child(work, answer_write, alive_read, _SECONDS_TO_CALL_OFF if can_be_called_off else 0.0)
    os.close(answer_write)
    os.close(alive_read)
    answer = ""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        answer = _read_all(answer_read, look or _content)
    finally:
        _end(child, seconds=_SECONDS_TO_CALL_OFF if can_be_called_off and not answer else 0.0)
        os.close(answer_read)
        os.close(alive_write)
    _raise_for(answer)


def _content() -> None:
    return None


def _interrupted(*_signal: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _raise_for(answer: str) -> None:
    kind, _, text = answer.partition("\n")
    if kind == "died":
        raise WorkerDiedError(text)
    if kind == "traceback":
        raise FailedApartError(text)
    if not kind:
        raise WorkerDiedError(_DIED.format("the one that leads the others"))
    if kind != "done":
        raise error_of(kind, text)


def _read_all(descriptor: int, look: Callable[[], str | None]) -> str:
    """All that the child says; a worker that keeps the pipe open cannot keep us, as one answer is all there is."""
    answer = b""
    while not answer.endswith(b"\0"):
        if not select.select([descriptor], [], [], _POLL_SECONDS)[0]:
            reason = look()
            if reason is not None:
                raise CorpusmillError(reason)
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            break
        answer += piece
    return answer.rstrip(b"\0").decode("utf-8", "replace")


def _end(child: int, *, seconds: float) -> None:
    """Ends the child and its session, after `seconds` in which it may do so itself."""
    if seconds:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.05)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)  # it may not have a group of its own yet
    os.waitpid(child, 0)


def _be_child(work: Callable[[], None], answer: int, alive: int, seconds: float) -> NoReturn:
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
        if failure.thread is not None and failure.thread.name == WORKER_THREAD:
            say("died", _DIED.format(failure.exc_value))
        threading.__excepthook__(failure)

    try:
        os.setsid()
        threading.excepthook = thread_failed
        threading.Thread(target=_end_with_parent, args=(alive, seconds), daemon=True).start()
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # worker processes import what we can import
        _hush()
        work()
    except KeyboardInterrupt:
        _end_session()  # called off: the parent, if there is one, knows why
    except WorkerDiedError as error:
        say("died", str(error))
    except BaseException as error:  # everything is said to the parent
        sentence = explained(error)
        say("traceback", traceback.format_exc()) if sentence is None else say(kind_of(error), sentence)
    say("done")


def _end_with_parent(alive: int, seconds: float) -> None:
    os.read(alive, 1)  # nobody writes: it returns when the parent is gone
    if seconds:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
    _end_session()


def _end_session() -> NoReturn:
    """Ends this process with all that it started, such as the job server of an engine."""
    if os.getsid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _hush() -> None:
    """Sends the logs of the worker processes nowhere, unless logs are wanted."""
    if not logging.getLogger().isEnabledFor(logging.INFO):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
