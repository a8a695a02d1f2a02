"""Examples for a report: a page for each reason of a rejection, and a few documents that were kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobs.summary import manifest_of
from pipeline.places import join
from pipeline.tables import read_batches

_REJECTED = ("rejected/pages", "rejected/filter", "rejected/dedup")
_COLUMNS = ["id", "url", "stage", "reason", "value", "threshold", "duplicate_of", "detail"]
_SHOWN_CHARACTERS = 320
_DETAIL_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class Example:
    """A rejected page and what was measured or found."""

    url: str
    measured: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A document that was kept: where it is from and how it begins."""

    url: str
    title: str
    beginning: str


def rejected(run: str) -> dict[str, Example]:
    """For each `stage: reason` the page with the smallest id."""
    found: dict[str, tuple[str, Example]] = {}
    for row in _rejections(run):
        reason = f"{row['stage']}: {row['reason']}"
        if reason not in found or row["id"] < found[reason][0]:
            found[reason] = (row["id"], Example(url=row["url"], measured=_measured(row)))
    return {reason: example for reason, (_, example) in found.items()}


def _rejections(run: str) -> Iterator[dict[str, Any]]:
    for dataset in _REJECTED:
        manifest = manifest_of(run, dataset)
        for entry in manifest.files if manifest else ():
            for batch in read_batches(join(run, dataset, entry.path), _COLUMNS):
                yield from batch.to_pylist()


def _measured(row: dict[str, Any]) -> str:
    """A measured value beside its threshold, in words; what else is known where a reason has no value."""
    value, threshold = row["value"], row["threshold"]
    if value is None:
        detail = row["detail"] or ""
        return detail if len(detail) <= _DETAIL_CHARACTERS else detail[:_DETAIL_CHARACTERS] + "…"
    # Below the threshold where others of the cluster link the two.
    if row["duplicate_of"]:
        return f"similarity {value:.4g} to the one kept"
    if threshold is None:
        return f"{value:.4g}"
    side = "below" if value < threshold else "above" if value > threshold else "at"
    return f"{value:.4g}, {side} {threshold:.4g}"


def kept(run: str, number: int = 3) -> list[Kept]:
    """The first documents of the run, as the model sees them."""
    return list(islice(_documents(run, number), number))


def _documents(run: str, number: int) -> Iterator[Kept]:
    manifest = manifest_of(run, "documents")
    for entry in manifest.files if manifest else ():
        if not entry.num_records:
            continue
        for batch in read_batches(join(run, "documents", entry.path), ["url", "title", "text"], batch_rows=number):
            for row in batch.to_pylist():
                yield Kept(url=row["url"], title=row["title"] or "", beginning=_beginning(row["text"]))


def _beginning(text: str) -> str:
    text = "\n".join(line for line in text.split("\n") if line.strip())
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS].rstrip() + " …"
