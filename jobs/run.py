"""Everything in one go: pages, documents, tokenizer, shards, model, scores, report; what is up to date is skipped."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jobs import count, crawl, curate, evaluate, ingest, ledger, pack, report, summary, train, train_tokenizer
from jobs.config import RunConfig, write_resolved
from jobs.engine import Engine
from jobs.lease import Lease
from jobs.processes import OPENED
from pipeline.errors import CorpusmillError, SettingError
from pipeline.storage import is_local, join

Job = Callable[..., Any]


def main(config: RunConfig, engine: Engine, *, force: bool = False) -> None:
    """Runs every job of the run, checks its ledger and writes its report.

    Raises:
        SettingError: the settings name no pages to begin with.
        DataError: the ledger does not close.
    """
    for job in jobs_of(config):
        job(config, engine, force=force)
    ledger.check(config.run.folder)
    report.main(config, engine)
    summary.show(config.run.folder)


def jobs_of(config: RunConfig) -> tuple[Job, ...]:
    """The jobs of a run, in order."""
    return (pages, curate.main, count.main, train_tokenizer.main, pack.main, train.main, evaluate.main)


def pages(config: RunConfig, engine: Engine, *, force: bool = False) -> Any:
    """The page index, from a crawl or from files."""
    if not config.crawls and not config.ingests:
        raise SettingError("there are no pages to begin with: set crawl.seeds (or crawl.seed_files) or ingest.inputs")
    return (crawl if config.crawls else ingest).main(config, engine, force=force)


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
