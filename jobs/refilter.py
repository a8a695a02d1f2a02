"""Filters the pages of another run again: from what it stored where that is enough, else from the pages.

Reads BASE/pages, and BASE/filtered, BASE/measures and BASE/rejected/filter; writes RUN/filtered, RUN/measures
and RUN/rejected/filter, byte for byte as `curate` would make them from the same pages. Where only thresholds
differ, decisions are taken anew from stored measures; a page is read and extracted again only if the base
refused what would now pass. Where other settings differ, every page is. `ablate` makes its variants so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jobs import curate, replay
from jobs.config import RunConfig
from jobs.engine import Engine, run_step
from jobs.progress import Progress
from jobs.replay import Rulebook
from pipeline.corpus import FILTERED, MEASURES, REJECTED, page_shards, recipe
from pipeline.errors import DataError, SettingError
from pipeline.extract.stage import LANGUAGE_MEASURES
from pipeline.filter.decisions import CLASSIFIER_MEASURES, CLASSIFIERS, refusals
from pipeline.filter.own import own_measures
from pipeline.filter.rules import failures
from pipeline.filter.stage import RULE_MEASURES, rejection
from pipeline.ingest.payloads import read_pages
from pipeline.manifests import Manifest
from pipeline.records import Document, Page, Rejection
from pipeline.stage import Judge, JudgeEach, judge_one
from pipeline.steps import Shard
from pipeline.storage import join
from pipeline.tables import read_documents, read_rows

Verdict = Document | Rejection


def main(base: RunConfig, variant: RunConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of the `filtered` documents of `variant`, made from the run of `base` unless it is up to date."""
    pages = base.run.folder
    step = replace(curate.filter_step(variant), inputs={"pages": join(pages, "pages")})
    why = texts_needed(base, variant)
    judges = recipe(variant.extract, variant.filter)
    how = f"every page again, because {why}" if why else f"decided again from the measures of {pages}"
    Progress.note(f"filter {variant.run.folder}: {how}")
    if why:
        read: Any = partial(_pages, pages)
    else:
        read = Replayed(
            run=pages,
            rules=Rulebook.of(variant.filter),
            measured_first=(*LANGUAGE_MEASURES, *RULE_MEASURES, *own_measures(variant.filter.own)),
        )
        judges = (PagesOnly(judges),)
    build = JudgeEach(step, read, judges, kept=FILTERED, rejected=REJECTED, measures=MEASURES)
    return run_step(
        step, page_shards(pages), lambda found: found | "JudgeAgain" >> build, engine, label="filter", force=force
    )


def texts_needed(base: RunConfig, variant: RunConfig) -> str | None:
    """Why the stored measures of `base` cannot answer for `variant`; None if they can."""
    if base.extract != variant.extract:
        return "[extract] differs"
    if base.filter.privacy != variant.filter.privacy:
        return "[filter.privacy] differs"
    for name in CLASSIFIERS:
        if getattr(base.filter, name).on != getattr(variant.filter, name).on:
            return f"filter.{name}.on differs"
    try:
        replay.check_replayable(base.filter, variant.filter)
    except SettingError as error:
        return str(error).partition("; run")[0]
    return None


def _pages(run: str, shard: Shard) -> Iterable[Page | Rejection]:
    return read_pages(join(run, shard.work["index"]), run)


@dataclass
class PagesOnly:
    """Asks `judges` about pages; what is decided already passes."""

    judges: Sequence[Judge]
    stage: str = "filter"

    @property
    def measures(self) -> Sequence[str]:
        """Those of all judges."""
        return [name for judge in self.judges for name in judge.measures]

    def setup(self) -> None:
        """Loads the models of the judges."""
        for judge in self.judges:
            judge.setup()

    def judge(self, record: Page | Document) -> Any:
        """The document, or the rejection."""
        return judge_one(self.judges, record) if isinstance(record, Page) else record


@dataclass(frozen=True)
class Replayed:
    """Reads a shard of what the run in folder `run` stored: what it decided, as `rules` decide it, or the page."""

    run: str
    rules: Rulebook
    # What is known of a document by the time the rules decide; the scores of the classifiers come after.
    measured_first: tuple[str, ...]

    def __call__(self, shard: Shard) -> Iterator[Page | Verdict]:
        """One for each row of the page index, in its order."""
        pages = _Pages(join(self.run, shard.work["index"]), self.run)
        try:
            for number, stored in enumerate(_stored(self.run, shard)):
                yield self._again(stored) or pages.at(number)
        finally:
            pages.close()

    def _again(self, stored: Verdict) -> Verdict | None:
        """What becomes of a record; None if that takes its text, which nobody kept."""
        values = stored.measures
        if not values or values.get("num_words") is None:
            return stored  # decided before anything was measured
        failed = list(failures(values, self.rules.rules))
        if failed:
            return _refused(stored, failed, _only(values, self.measured_first))
        failed = list(refusals(values, self.rules.classifiers))
        if failed:
            return _refused(stored, failed, _only(values, (*self.measured_first, *CLASSIFIER_MEASURES)))
        return stored if isinstance(stored, Document) else None


def _refused(stored: Verdict, failed: Sequence[Any], values: dict[str, float]) -> Rejection:
    return rejection(Document(id=stored.id, url=stored.url, text=""), failed, values)


def _only(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The measures that were taken by the time of the decision."""
    return {name: values[name] for name in names if values.get(name) is not None}


def _stored(run: str, shard: Shard) -> Iterator[Verdict]:
    """The verdicts of one shard in the order of its pages, with the measures that were taken.

    Raises:
        DataError: the datasets do not belong together.
    """
    file = shard.name + ".parquet"
    kept = _Ahead(read_documents(join(run, FILTERED, file)))
    refused = _Ahead(Rejection(**row) for row in read_rows(join(run, REJECTED, file)))
    measured = _Ahead(_Measured(row) for row in read_rows(join(run, MEASURES, file)))
    for row in read_rows(join(run, shard.work["index"]), ["id"]):
        verdict = kept.take(row["id"]) or refused.take(row["id"])
        if verdict is None:
            raise DataError(f"{run} says nothing of page {row['id']}; run `corpusmill curate` again with --force")
        values = measured.take(row["id"])
        yield replace(verdict, measures=values.values) if values else verdict


class _Measured:
    """A row of measures: an id, and what was measured."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.id = row.pop("id")
        del row["decision"]
        self.values = {name: value for name, value in row.items() if value is not None}


class _Ahead:
    """Gives the next record of an iterator if it is the one asked for."""

    def __init__(self, records: Iterator[Any]) -> None:
        self._records = records
        self._next = next(records, None)

    def take(self, name: str) -> Any:
        """The next record, if its id is `name`; else None, and it waits."""
        if self._next is None or self._next.id != name:
            return None
        taken, self._next = self._next, next(self._records, None)
        return taken


class _Pages:
    """The pages of an index part by row; rows are asked for in ascending order."""

    def __init__(self, index: str, run: str) -> None:
        self._index, self._run = index, run
        self._pages: Any = None
        self._place = 0

    def at(self, number: int) -> Page | Rejection:
        """The page in row `number`. Nothing is read before the first is wanted."""
        if self._pages is None:
            self._pages = iter(read_pages(self._index, self._run))
        while True:
            page: Page | Rejection = next(self._pages)
            self._place += 1
            if self._place > number:
                return page

    def close(self) -> None:
        """Closes the files of the pages."""
        if self._pages is not None:
            self._pages.close()
