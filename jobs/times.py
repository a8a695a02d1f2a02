"""What a job made and how long it took: a line for people, and RUN/logs/seconds.json for the report.

No dataset holds a clock.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobs.lock import OPENED
from jobs.progress import Progress
from pipeline import storage
from pipeline.manifests import MANIFEST, read_manifest
from pipeline.places import join

# The dataset whose manifest a job writes last, in the order of a run.
_WRITES = {
    "crawl": "pages",
    "ingest": "pages",
    "curate": "documents",
    "count": "counts",
    "train_tokenizer": "tokenizer",
    "pack": "shards",
    "train": "model",
    "evaluate": "evaluation",
}


@contextmanager
def timed(run: str, job: str, *, force: bool = False) -> Iterator[None]:
    """Notes the seconds of the block as those of `job` and says what it made; what was up to date keeps its time."""
    helping = os.environ.get("RANK", "0") != "0" or OPENED in os.environ  # of several processes one speaks
    if job not in _WRITES or helping:
        yield
        return
    before, started = _made(run, job), time.monotonic()
    yield
    if force or _made(run, job) != before:
        took = time.monotonic() - started
        storage.write_json(_path(run), {**seconds(run), job: round(took, 1)})
        Progress.note(f"{job.replace('_', '-')}: {made(run, job)}in {duration(took)} → {join(run, _WRITES[job])}")


def made(run: str, job: str) -> str:
    """What a job made, in a few words and a comma; empty where its dataset says too little."""
    counts = read_manifest(join(run, _WRITES[job])).counts
    if job in ("crawl", "ingest"):
        return f"{counts['kept']:,} pages, {counts['rejected']:,} rejected, "
    if job == "curate":
        return f"{counts['kept']:,} documents of {_pages(run):,} pages, "
    return f"{counts['train/tokens']:,} tokens to train on, " if job == "pack" else ""


def _pages(run: str) -> int:
    return read_manifest(join(run, "filtered")).counts["read"]


def duration(seconds: float) -> str:
    """A time for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def seconds(run: str) -> dict[str, float]:
    """The seconds of each job that is known to have run, in the order of a run."""
    path = _path(run)
    found: dict[str, Any] = storage.read_json(path) if storage.exists(path) else {}
    return {job: float(found[job]) for job in _WRITES if job in found}


def _path(run: str) -> str:
    return join(run, "logs", "seconds.json")


def _made(run: str, job: str) -> bytes:
    path = join(run, _WRITES[job], MANIFEST)
    return storage.read_bytes(path) if storage.exists(path) else b""
