"""Everything in one go: pages, documents, tokenizer, shards, model, scores, report; what is up to date is skipped."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from jobs import checks
from jobs.config import RunConfig
from jobs.engine import Engine
from jobs.times import timed

Job = Callable[..., Any]
BEFORE_TRAINING = ("curate", "count", "train_tokenizer", "pack")
_AFTER_PAGES = (*BEFORE_TRAINING, "train", "evaluate")


def main(config: RunConfig, engine: Engine, *, force: bool = False) -> None:
    """Runs every job of the run, checks its ledger and writes its report.

    Raises:
        SettingError: a setting of any stage is wrong, see `jobs.checks`; nothing has been done then.
        DataError: the ledger does not close.
    """
    checks.check(config, [checks.WHOLE, *_AFTER_PAGES])
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
    return _done("crawl" if config.crawls else "ingest", config, engine, force=force)


def _done(name: str, config: RunConfig, engine: Engine, *, force: bool = False) -> Any:
    with timed(config.run.folder, name, force=force):
        return import_module(f"jobs.{name}").main(config, engine, force=force)
