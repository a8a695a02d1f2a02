"""What became of one page: every verdict with its measured values, and where its tokens lie; or its text.

Reads the datasets of a run; writes lines to standard output.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from jobs.config import load
from jobs.page_text import rows, text_of
from jobs.progress import Progress
from jobs.replay import Rulebook, decided_by
from jobs.summary import manifest_of
from pipeline.errors import InputError
from pipeline.filter.decisions import refusals
from pipeline.filter.rules import Failure, in_language
from pipeline.manifests import RUN_FILE
from pipeline.pack.lookup import find_document
from pipeline.places import join
from pipeline.storage import exists
from pipeline.tables import CLUSTER_SIZE, KEPT, read_batches
from pipeline.urls import canonical_url

_SHOWN = 200  # characters of a field of the input
_REJECTED = ("rejected/pages", "rejected/filter", "rejected/dedup")


def main(run: str, page: str, *, text: bool = False) -> None:
    """Prints what became of the page with this URL or id; with `text`, its text and nothing else.

    Raises:
        InputError: the run has seen no such page, or there is no text to show.
    """
    page = page.encode("utf-8", "replace").decode()  # a command line may hold any bytes
    if manifest_of(run, "pages") is None:
        raise InputError(f"{run} is no run that has pages: it holds no complete dataset pages/")
    if not text:
        print("\n".join(lines(run, page)))
        return
    found = text_of(run, _only_id(run, page))
    Progress.note(f"explain: the text of {page}, {found.origin}")
    print(found.text)


def _only_id(run: str, page: str) -> str:
    column, value = _key(page)
    ids = _ids(run, column, value)
    if not ids:
        raise InputError(f"{run} has no page with the {column} {value!r}, so no text")
    if len(ids) > 1:
        raise InputError(f"{len(ids)} pages of {run} have the {column} {value!r}; name one of them: {', '.join(ids)}")
    return ids[0]


def lines(run: str, page: str) -> Iterator[str]:
    """The lines that `main` prints."""
    column, value = _key(page)
    crawled = list(_crawled(run, page)) if column == "url" else []
    yield from crawled
    ids = _ids(run, column, value)
    if not ids and not crawled:
        raise InputError(f"{run} has seen no page with the {column} {value!r}")
    for id in ids:
        yield from _story(run, id)


def _key(page: str) -> tuple[str, str]:
    if len(page) == 32 and set(page) <= set("0123456789abcdef"):
        return "id", page
    page = page.encode(errors="backslashreplace").decode()  # bytes of a terminal that are no UTF-8
    try:
        return "url", canonical_url(page)
    except ValueError:
        return "url", page


def _ids(run: str, column: str, value: str) -> list[str]:
    datasets = ("pages", *_REJECTED)
    return sorted({row["id"] for dataset in datasets for row in _rows(run, dataset, column, value, ["id"])})


def _rows(
    run: str, dataset: str, column: str, value: str, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    return (row for _, row in rows(run, dataset, column, value, columns))


def _crawled(run: str, url: str) -> Iterator[str]:
    """What the ledger of the crawl says of a URL, whether or not it became a page."""
    manifest = manifest_of(run, "pages")
    _, canonical = _key(url)
    for entry in manifest.files if manifest else ():
        if entry.path.startswith("ledger/") and entry.path.endswith(".parquet"):
            for batch in read_batches(join(run, "pages", entry.path), None, batch_rows=8192):
                for row in batch.filter(pc.equal(batch.column("url"), canonical)).to_pylist():
                    via = f", found on {row['via']}" if row["via"] else ""
                    status = f", HTTP {row['status']}" if row["status"] else ""
                    yield f"crawl      {row['verdict']}{status}, depth {row['depth']}{via} {row['detail'] or ''}".rstrip()


def _story(run: str, id: str) -> Iterator[str]:
    for row in _rows(run, "pages", "id", id):
        yield f"page       {row['url']}"
        yield f"           id {id}, {row['media_type']}, {row['kind']} record at {row['file']}:{row['position']}"
    yield from _kept_fields(run, id)
    for dataset in _REJECTED:
        for row in _rows(run, dataset, "id", id):
            yield from _rejection(row)
    for row in _rows(run, "measures", "id", id):
        yield "measures"
        yield from _measures(row, _rulebook(run))
    for row in _rows(run, "documents", "id", id):
        yield f"kept       {len(row['text']):,} characters, {row['language']} ({row['language_score']:.2f}), title {row['title']!r}"
        stated = (
            ("author", row["author"]),
            ("date", row["date"]),
            ("licence", row["licence"]),
            ("canonical", row.get("canonical")),
            ("cluster_size", row.get(CLUSTER_SIZE)),
        )
        if known := ", ".join(f"{name} {value}" for name, value in stated if value):
            yield f"           {known}"
    yield from _shard_rows(run, id)


def _kept_fields(run: str, id: str) -> Iterator[str]:
    """The fields of the input that were kept, of a page whose text passed the filter."""
    for row in _rows(run, "filtered", "id", id):
        for name, value in json.loads(row.get(KEPT) or "{}").items():
            shown = json.dumps(value, ensure_ascii=False)
            yield f"field      {name} = {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'}"


def _rulebook(run: str) -> Rulebook | None:
    """All that decided about the documents of a run; nothing where its settings are missing."""
    return Rulebook.of(decided_by(load(run))) if exists(join(run, RUN_FILE)) else None


def _measures(row: Mapping[str, Any], book: Rulebook | None) -> Iterator[str]:
    """Every measure with the rules that compare it, then what each classifier decided."""
    limits: dict[str, list[Failure]] = {}
    for rule, threshold in in_language(row, book.rules) if book else ():
        limits.setdefault(rule.measure, []).append(Failure(rule=rule, value=0.0, threshold=threshold))
    for name, value in row.items():
        if name not in ("id", "decision") and value is not None:
            yield f"           {name} = {value:.4g}{_against(value, limits.get(name, ()))}"
    for name, bounds in book.classifiers.items() if book else ():
        if row.get(f"{name}_score") is not None:
            failed = [failure.rule.reason for failure in refusals(row, {name: bounds})]
            yield (
                f"           {name}: {f'fails {failed[0]}' if failed else 'passes'} (refused from score {bounds.short:g} on with one or two "
                f"sentences; else from {bounds.whole:g} on, if {bounds.share:.0%} of them score {bounds.sentence:g} or more)"
            )


def _against(value: float, limits: Sequence[Failure]) -> str:
    """What a measure was compared with, rule by rule, and which rules it fails."""
    told = []
    for limit in limits:
        fails = value < limit.threshold if limit.rule.fails == "<" else value > limit.threshold
        word = "fails" if fails else "passes"
        told.append(
            f"{word} {limit.rule.reason} ({'at least' if limit.rule.fails == '<' else 'at most'} {limit.threshold:g})"
        )
    return f"    {'; '.join(told)}" if told else ""


def _rejection(row: dict[str, Any]) -> Iterator[str]:
    against = f" (value {row['value']:.4g}" if row["value"] is not None else ""
    against += (
        f", threshold {row['threshold']:.4g})" if against and row["threshold"] is not None else ")" if against else ""
    )
    survivor = f", duplicate of {row['duplicate_of']}" if row["duplicate_of"] else ""
    yield f"rejected   by {row['stage']}: {row['reason']}{against}{survivor}"
    if row["detail"]:
        yield f"           {row['detail']}"


def _shard_rows(run: str, id: str) -> Iterator[str]:
    if manifest_of(run, "shards") is None:
        return
    for piece in find_document(join(run, "shards"), id):
        yield f"shard row  {piece.split}, source {piece.source or '(all)'}, row {piece.row}, positions {piece.start} to {piece.end}"
