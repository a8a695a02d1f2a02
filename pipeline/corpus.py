"""The recipe: how pages become documents, in one readable list, and its wiring in Beam."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import apache_beam as beam
import pyarrow as pa

from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import ExtractText
from pipeline.filter.config import FilterConfig
from pipeline.filter.stage import FilterUrls, filter_judges
from pipeline.ingest.payloads import read_pages
from pipeline.manifests import read_manifest
from pipeline.places import join
from pipeline.records import Page, Rejection
from pipeline.stage import Judge, JudgeEach, Outcome
from pipeline.steps import Shard, Step
from pipeline.tables import DOCUMENTS, DOCUMENTS_WITH_KEPT

FILTERED, MEASURES, REJECTED = "filtered", "measures", "rejected/filter"


def recipe(extract: ExtractConfig, filtering: FilterConfig) -> tuple[Judge, ...]:
    """What is asked of every page, in this order."""
    return (FilterUrls(filtering), ExtractText(extract), *filter_judges(filtering))


class CuratePages(beam.PTransform):
    """Shards of the page index of the run `pages` → `Outcome` of documents that passed every judge, and rejections."""

    def __init__(self, step: Step, extract: ExtractConfig, filtering: FilterConfig, *, pages: str) -> None:
        super().__init__()
        self._judge = JudgeEach(
            step,
            partial(_pages_of, pages),
            recipe(extract, filtering),
            kept=FILTERED,
            rejected=REJECTED,
            measures=MEASURES,
            documents=documents_of(pages),
        )

    def expand(self, shards: Any) -> Outcome:
        """One chain, no shuffle of texts."""
        outcome: Outcome = shards | "JudgePages" >> self._judge
        return outcome


def page_shards(run: str) -> list[Shard]:
    """One shard for each part of the page index of `run`."""
    entries = read_manifest(join(run, "pages")).files
    parts = [entry.path for entry in entries if entry.path.startswith("part-")]
    return [Shard(name=part.removesuffix(".parquet"), work={"index": join("pages", part)}) for part in parts]


def documents_of(run: str) -> pa.Schema:
    """The schema of the documents of `run`: with a column of kept fields where its pages were ingested with some."""
    fields = read_manifest(join(run, "pages")).settings.get("fields", {})
    return DOCUMENTS_WITH_KEPT if fields.get("keep") else DOCUMENTS


def _pages_of(run: str, shard: Shard) -> Iterable[Page | Rejection]:
    return read_pages(join(run, shard.work["index"]), run)
