"""Everything in one go: pages, documents, tokenizer, shards, model, scores, report; what is up to date is skipped."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from jobs.config import RunConfig
from jobs.engine import Engine
from jobs.times import timed
from pipeline.errors import SettingError

Job = Callable[..., Any]
_AFTER_PAGES = ("curate", "count", "train_tokenizer", "pack", "train", "evaluate")


def main(config: RunConfig, engine: Engine, *, force: bool = False) -> None:
    """Runs every job of the run, checks its ledger and writes its report.

    Raises:
        SettingError: the settings name no pages to begin with.
        DataError: the ledger does not close.
    """
    for job in jobs_of(config):
        job(config, engine, force=force)
    from jobs import ledger, report, summary

    ledger.check(config.run.folder)
    report.main(config, engine)
    summary.show(config.run.folder)


def jobs_of(config: RunConfig) -> tuple[Job, ...]:
    """The jobs of a run, in order. Each is imported when its turn comes: pages begin to arrive before torch is loaded."""
    return (pages, *(partial(_done, name) for name in _AFTER_PAGES))


def pages(config: RunConfig, engine: Engine, *, force: bool = False) -> Any:
    """The page index, from a crawl or from files."""
    if not config.crawls and not config.ingests:
        raise SettingError("there are no pages to begin with: set crawl.seeds (or crawl.seed_files) or ingest.inputs")
    return _done("crawl" if config.crawls else "ingest", config, engine, force=force)


def _done(name: str, config: RunConfig, engine: Engine, *, force: bool = False) -> Any:
    with timed(config.run.folder, name, force=force):
        return import_module(f"jobs.{name}").main(config, engine, force=force)
