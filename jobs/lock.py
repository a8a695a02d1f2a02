"""The folder of a run, held by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jobs.config import DATASETS, RunConfig, holds_datasets, is_record, write_resolved
from pipeline.errors import CorpusmillError, DataError, InputError, SettingError
from pipeline.manifests import MANIFEST, RUN_FILE
from pipeline.places import is_local, join, on_disk
from pipeline.steps import ATTEMPTS, noting_begun
from pipeline.storage import exists, list_files, read_bytes, remove_tree, write_bytes

OPENED = "CORPUSMILL_OPENED"  # set for processes that work in a run which the one that started them holds


@contextmanager
def opened(config: RunConfig) -> Iterator[None]:
    """The run folder, with its resolved settings written, for this process alone.

    Settings that are refused before they changed anything do not stay in it.

    Raises:
        CorpusmillError: another process works in it.
        SettingError: it is no run, and holds files of something else where a run would replace them.
    """
    if os.environ.get("RANK", "0") != "0" or OPENED in os.environ:  # one of several processes, and not the first
        yield
        return
    _check_own(config.run.folder)
    with held(config.run.folder), _going_back(join(config.run.folder, RUN_FILE)):
        write_resolved(config)
        yield


def _check_own(run: str) -> None:
    file = join(run, RUN_FILE)
    if (exists(file) and is_record(read_bytes(file))) or list_files(join(run, ATTEMPTS)):
        return
    for folder in (join(run, name) for name in DATASETS):
        files = list_files(folder)
        if files and not any(path.endswith(f"/{MANIFEST}") for path in files):
            raise SettingError(
                f"run.folder is {run}, which is no run and holds {folder}, whose files a run would replace; choose another folder"
            )
    if exists(file) and not holds_datasets(run):
        raise SettingError(
            f"run.folder is {run}, where a run would replace {file}, which somebody has written; choose another folder"
        )


@contextmanager
def _going_back(path: str) -> Iterator[None]:
    """Gives the file `path` its content again, or removes it, when the block is refused before a step has begun."""
    earlier = read_bytes(path) if exists(path) else None
    with noting_begun() as begun:
        try:
            yield
        except (SettingError, InputError, DataError):
            if earlier is None and not begun:
                remove_tree(path)
            elif earlier is not None and not begun:
                write_bytes(path, earlier)
            raise


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
    folder = on_disk(run)
    os.makedirs(folder, exist_ok=True)
    with open(join(folder, ".lock"), "wb") as lock, suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusmillError(f"another process is working in {run}") from None
        yield
