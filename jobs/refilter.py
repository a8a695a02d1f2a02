"""Decides again about the pages of a run, from what was stored of them, where only thresholds have changed.

Reads the pages of a run and its filtered/, measures/ and rejected/filter/; writes the same three datasets, byte for byte
as `curate` makes them from the pages. Rules are compared with stored measures; a page is read and extracted again only
if it was refused and would now pass. `curate` does so in a run of its own, and `ablate` makes variants of a base so.

In a run of its own the new datasets are made beside the earlier ones, in RUN/attempts/filter-again, and take their place
when they are complete: a failure leaves the earlier ones as they were, and after a kill the same command goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs import replay
from jobs.engine import Engine, run_step
from jobs.replay import Rulebook
from jobs.settings import build, plain
from pipeline import manifests, storage
from pipeline.corpus import FILTERED, MEASURES, REJECTED, documents_of, page_shards, recipe
from pipeline.errors import DataError, SettingError
from pipeline.extract.config import ExtractConfig
from pipeline.extract.stage import LANGUAGE_MEASURES
from pipeline.filter.config import FilterConfig
from pipeline.filter.decisions import CLASSIFIER_MEASURES, CLASSIFIERS, refusals
from pipeline.filter.rules import failures
from pipeline.filter.stage import rejection, rule_measures
from pipeline.ingest.payloads import PageFinder
from pipeline.manifests import MANIFEST, Manifest
from pipeline.places import join
from pipeline.records import Document, Page, Rejection
from pipeline.stage import Judge, JudgeShard, Outputs, ProcessShards, judge_one
from pipeline.steps import ATTEMPTS, Shard, Step
from pipeline.tables import read_documents, read_rows

Verdict = Document | Rejection
_BESIDE = "filter-again"
_PAGE_SECONDS = 0.001  # about what a page takes on one core, if one in ten is read again


def in_place(step: Step, extract: ExtractConfig, filtering: FilterConfig, engine: Engine) -> Manifest:
    """The manifest of the filtered documents of `step`, made from those that are there and put in their place."""
    decide_again(_beside(step), step.run, extract, filtering, engine)
    put_in_place(step)
    return manifests.read_manifest(step.folder(FILTERED))


def _beside(step: Step) -> Step:
    return replace(step, run=join(step.run, ATTEMPTS, _BESIDE))


def put_in_place(step: Step) -> None:
    """Replaces the datasets of `step` by those that were made beside them, if these are complete; clears what is left of others.

    A kill on the way leaves the complete ones beside, so that the next command goes on here.
    """
    made = _beside(step)
    mark = join(made.folder(FILTERED), MANIFEST)  # written last, removed first
    if storage.exists(mark):
        for output in step.outputs:
            storage.remove_tree(join(step.folder(output), MANIFEST))
        for output in reversed(step.outputs):
            _move(made.folder(output), step.folder(output))
        storage.remove_tree(mark)
    if not storage.exists(made.attempt_folder):
        storage.remove_tree(made.run)


def forget(step: Step) -> None:
    """Removes what an attempt that was killed has made beside the datasets of `step`: they are made in another way now."""
    storage.remove_tree(_beside(step).run)


def _move(source: str, target: str) -> None:
    manifest = manifests.read_manifest(source)
    for entry in manifest.files:
        if storage.exists(join(source, entry.path)):  # else an earlier attempt has moved it
            storage.move(join(source, entry.path), join(target, entry.path))
    wanted = {join(target, entry.path) for entry in manifest.files}
    for path in storage.list_files(target):
        if path not in wanted:
            storage.remove_tree(path)
    manifests.write_manifest(target, manifest)


def can_answer(step: Step) -> bool:
    """Whether the datasets that are there were made by the same work as `step` would do, but for thresholds."""
    if not all(storage.exists(join(step.folder(output), MANIFEST)) for output in step.outputs):
        return False
    made = [manifests.read_manifest(step.folder(output)) for output in step.outputs]
    stored = made[0]
    if any(each.fingerprint != stored.fingerprint for each in made):
        return False
    if (stored.inputs, stored.versions) != (step.input_contents(), step.versions):
        return False
    if stored.settings["extract"] != step.settings["extract"]:
        return False
    try:
        before, after = (build(FilterConfig, each["filter"], "filter") for each in (stored.settings, step.settings))
    except SettingError:  # of another version
        return False
    if plain(before) != stored.settings["filter"] or texts_needed(before, after):
        return False
    return all(
        set(manifests.dataset_files(folder)) <= set(storage.list_files(folder))
        for folder in map(step.folder, step.outputs)
    )


def decide_again(
    step: Step, run: str, extract: ExtractConfig, filtering: FilterConfig, engine: Engine, *, force: bool = False
) -> Manifest:
    """The manifest of the filtered documents of `step`, from what the run in folder `run` stored, made now unless up to date."""
    read = Replayed(
        run=run,
        rules=Rulebook.of(filtering),
        measured_first=(*LANGUAGE_MEASURES, *rule_measures(filtering)),
    )
    judge = PagesOnly(recipe(extract, filtering))
    worker = JudgeShardAgain(
        read=read,
        judges=(judge,),
        kept=FILTERED,
        rejected=REJECTED,
        measures=MEASURES,
        documents=documents_of(run),
    )
    work = ProcessShards(step, worker)
    return run_step(
        step,
        page_shards(run),
        lambda found: found | "JudgeAgain" >> work,
        engine,
        label="filter",
        force=force,
        record_seconds=_PAGE_SECONDS,
        lines_of=_lines,
    )


def _lines(num_read: list[int]) -> list[str]:
    return [f"filter: decided again from stored measures, {sum(num_read):,} documents read again"]


def texts_needed(before: FilterConfig, after: FilterConfig) -> str | None:
    """Why measures that were stored under `before` cannot answer for `after`; None if they can."""
    if before.privacy != after.privacy:
        return "[filter.privacy] differs"
    for name in CLASSIFIERS:
        if getattr(before, name).on != getattr(after, name).on:
            return f"filter.{name}.on differs"
    try:
        replay.check_replayable(before, after)
    except SettingError as error:
        return str(error).partition("; run")[0]
    return None


@dataclass(kw_only=True)
class JudgeShardAgain(JudgeShard):
    """Judges one shard, and remarks how many of its pages were read again."""

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """As `JudgeShard` does."""
        (judge,) = self.judges
        assert isinstance(judge, PagesOnly)
        before = judge.num_pages
        counts = super().process(shard, outputs)
        outputs.remark(judge.num_pages - before)
        return counts


@dataclass
class PagesOnly:
    """Asks `judges` about pages; what is decided already passes."""

    judges: Sequence[Judge]
    stage: str = "filter"
    num_pages: int = field(default=0, init=False)

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
        if not isinstance(record, Page):
            return record
        self.num_pages += 1
        return judge_one(self.judges, record)


@dataclass(frozen=True)
class Replayed:
    """Reads a shard of what the run in folder `run` stored: what it decided, as `rules` decide it, or the page."""

    run: str
    rules: Rulebook
    # What is known of a document by the time the rules decide; the scores of the classifiers come after.
    measured_first: tuple[str, ...]

    def __call__(self, shard: Shard) -> Iterator[Page | Verdict]:
        """One for each row of the page index, in its order."""
        finder = PageFinder(join(self.run, shard.work["index"]), self.run)
        try:
            for row, stored in _stored(self.run, shard):
                yield self._again(stored) or finder.page(row)
        finally:
            finder.close()

    def _again(self, stored: Verdict) -> Verdict | None:
        """What becomes of a record; None if that takes its text, which nobody kept."""
        values = stored.measures
        if isinstance(stored, Rejection) and stored.reason.startswith("error/"):
            return None  # what was measured before went with the exception
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


def _stored(run: str, shard: Shard) -> Iterator[tuple[dict[str, Any], Verdict]]:
    """The rows of the index of one shard, each with its verdict and the measures that were taken.

    Raises:
        DataError: the datasets do not belong together.
    """
    file = shard.name + ".parquet"
    kept = _Ahead(read_documents(join(run, FILTERED, file)))
    refused = _Ahead(Rejection(**row) for row in read_rows(join(run, REJECTED, file)))
    measured = _Ahead(_Measured(row) for row in read_rows(join(run, MEASURES, file)))
    for row in read_rows(join(run, shard.work["index"])):
        verdict = kept.take(row["id"]) or refused.take(row["id"])
        if verdict is None:
            raise DataError(f"{run} says nothing of page {row['id']}; run `corpusmill curate` again with --force")
        values = measured.take(row["id"])
        yield row, replace(verdict, measures=values.values) if values else verdict


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
