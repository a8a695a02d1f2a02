"""The folder of a run, held by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobs.config import RunConfig, write_resolved
from pipeline.errors import CorpusmillError
from pipeline.storage import is_local, join

OPENED = "CORPUSMILL_OPENED"  # set for processes that work in a run which the one that started them holds


@contextmanager
def opened(config: RunConfig) -> Iterator[None]:
    """The run folder, with its resolved settings written, for this process alone.

    Raises:
        CorpusmillError: another process works in it.
    """
    if os.environ.get("RANK", "0") != "0" or OPENED in os.environ:  # one of several processes, and not the first
        yield
        return
    with held(config.run.folder):
        write_resolved(config)
        yield


@contextmanager
def held(run: str) -> Iterator[None]:
    """The run folder for this process alone.

    Raises:
        CorpusmillError: another process works in it.
    """
    if not is_local(run):
        from jobs.lease import Lease

        with Lease(run):
            yield
        return
    folder = run.removeprefix("file://")
    os.makedirs(folder, exist_ok=True)
    with open(join(folder, ".lock"), "wb") as lock, suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusmillError(f"another process is working in {run}") from None
        yield
