"""The text of one page of a run, kept or not, for `explain --text`.

Reads the datasets of the run; what was refused before its text was stored is extracted again from its page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow.compute as pc

from jobs.config import load
from jobs.settings import build
from jobs.summary import manifest_of
from pipeline.errors import InputError
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.filter.config import FilterConfig, QualityConfig
from pipeline.filter.stage import FilterDocuments
from pipeline.ingest.payloads import PageFinder
from pipeline.places import join
from pipeline.records import Rejection
from pipeline.tables import read_batches

_STORED = {"documents": "as it is in documents/", "filtered": "as it is in filtered/, before the deduplication"}
_AGAIN = "extracted again from its page"


class Text(NamedTuple):
    """A text, and in a few words where it is from."""

    text: str
    origin: str


def text_of(run: str, id: str) -> Text:
    """The text of the page with this id.

    Raises:
        InputError: it has none that could be shown.
    """
    for dataset, origin in _STORED.items():
        for _, row in rows(run, dataset, "id", id, ["text"]):
            return Text(row["text"], origin)
    for index, row in rows(run, "pages", "id", id):
        return _extracted(run, join(run, "pages", index), row)
    raise InputError(f"the page {id} has no text: it was refused before it was read, and {run} has no copy of it")


def rows(
    run: str, dataset: str, column: str, value: str, columns: list[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a dataset of the run whose `column` is `value`, each with its file; none where there is no such dataset."""
    manifest = manifest_of(run, dataset)
    for entry in manifest.files if manifest else ():
        if entry.path.endswith(".parquet") and entry.path.startswith("part-"):
            wanted = None if columns is None else sorted({column, *columns})
            for batch in read_batches(join(run, dataset, entry.path), wanted, batch_rows=8192):
                for row in batch.filter(pc.equal(batch.column(column), value)).to_pylist():
                    yield entry.path, row


def _extracted(run: str, index: str, row: Mapping[str, Any]) -> Text:
    finder = PageFinder(index, run)
    try:
        page = finder.page(row)
    finally:
        finder.close()
    from pipeline.stage import judge_one  # Beam takes seconds to import, and most texts are stored

    if isinstance(page, Rejection):
        raise InputError(f"the page {row['url']} cannot be shown: {page.detail}")
    extract, filtering = _settings(run)
    judge = ExtractText(replace(extract, language=replace(extract.language, keep=(), min_score=0.0)))
    judge.setup()
    try:
        document = judge_one((judge,), page)
    finally:
        judge.close()
    if isinstance(document, Rejection):
        raise InputError(
            f"the page {row['url']} has no text: it is refused as {document.reason} {document.detail}".rstrip()
        )
    rules = FilterDocuments(_lines_alone(filtering))
    if rules.edits:
        return Text(rules.edited(document), f"{_AGAIN}, with the lines that c4 leaves")
    return Text(document.text, _AGAIN)


def _lines_alone(filtering: FilterConfig) -> FilterConfig:
    """What chooses lines, without the models and functions that measure them: these need not be at hand to show a text."""
    return replace(filtering, off=(), quality=QualityConfig(), perplexity={}, own={})


def _settings(run: str) -> tuple[ExtractConfig, FilterConfig]:
    """Those that made filtered/, or those of the run where it is not made."""
    manifest = manifest_of(run, "filtered")
    if manifest is None:
        config = load(run)
        return config.extract, config.filter
    extract, filtering = manifest.settings["extract"], manifest.settings["filter"]
    return build(ExtractConfig, extract, "extract"), build(FilterConfig, filtering, "filter")
