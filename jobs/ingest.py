"""Makes the page index of a run from archives, JSON lines, Parquet, HTML and text files.

In: the files that `[ingest]` names. Out: the datasets `pages` and `rejected/pages`.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

import apache_beam as beam

from jobs import replaced
from jobs.engine import Engine, explaining, run_pipeline, watch
from jobs.progress import Progress
from jobs.settings import plain
from pipeline import manifests, storage
from pipeline.errors import InputError
from pipeline.ingest.captures import FILE_REASONS
from pipeline.ingest.config import IngestConfig
from pipeline.ingest.inputs import Inputs, list_inputs
from pipeline.ingest.keeping import check_kept
from pipeline.ingest.kept import MAX_KEPT_BYTES
from pipeline.ingest.sharing import listed, shards
from pipeline.ingest.stage import LEFT_OUT, PAGES_OUTPUT, REJECTED_OUTPUT, UNREAD_FILES, WITH_FIELD, IndexPages
from pipeline.manifests import Manifest
from pipeline.places import is_local, join, on_disk
from pipeline.stage import shard_elements
from pipeline.steps import Shard, Step, drop_receipt, receipts
from pipeline.tables import read_rows

if TYPE_CHECKING:
    from jobs.config import RunConfig

# Settings that decide what is accepted or which files there are, but no byte of the index beyond that.
_NOT_IN_BYTES = frozenset(("inputs", "input_files", "input_prefix", "sources", "source", "max_unreadable_files"))

# What this run makes: pages, and the documents of pages.
_OWN_FOLDERS = ("pages", "rejected", "filtered", "documents")


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/pages, made now unless it is up to date.

    Raises:
        InputError: as `ingest_run`.
    """
    return ingest_run(config.run.folder, config.ingest, engine, force=force)


def ingest_run(run: str, config: IngestConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`.

    Raises:
        InputError: an input is missing, or more files are broken than `ingest.max_unreadable_files`
            allows; then all others have been read, and another attempt only looks at the limit again.
    """
    inputs = list_inputs(config)
    _check_not_own(run, inputs)
    step = ingest_step(run, config, inputs)
    if not force and step.is_current():
        Progress.note("ingest: up to date")
        manifest = manifests.read_manifest(step.folder(PAGES_OUTPUT))
        _check_broken_files(step, manifest.counts["broken_files"], config)
        return manifest
    check_kept(inputs.files, config.fields)
    if inputs.num_unknown:
        Progress.note(
            f"ingest: passed over {inputs.num_unknown:,} file{'s' * (inputs.num_unknown != 1)} in folders that show no format it reads, for example {inputs.unknown}"
        )
    if replaced.crawled(step):
        replaced.set_aside(step, "ingest", ["they came from a crawl"])
    done = step.begin(force=force)
    work = [listed(shard, join(step.attempt_folder, "inputs")) for shard in shards(inputs.files, config)]
    if len(done) < len(work):
        _index(step, work, config, engine)
    _check_attempt(step, config)
    manifest = step.commit([shard.name for shard in work], counts={"passed_over_files": inputs.num_passed_over})
    for line in _lines_of_kept(config, manifest.counts):
        Progress.note(line)
    return manifest


def _lines_of_kept(config: IngestConfig, counts: Mapping[str, int]) -> Iterator[str]:
    """What is to be said of the fields that were to be kept."""
    for name in config.fields.keep:
        if too_long := counts.get(LEFT_OUT + name):
            yield f"ingest: {too_long:,} pages have more than {MAX_KEPT_BYTES:,} bytes in the field {name!r}; there it is left out"
        elif not counts.get(WITH_FIELD + name):
            yield f"ingest: no page has the field {name!r} of ingest.fields.keep"


def _check_not_own(run: str, inputs: Inputs) -> None:
    """Nothing, unless an input lies in a dataset that this run makes, and would remove first."""
    folder = os.path.abspath(on_disk(run)) if is_local(run) else run.rstrip("/")
    own = tuple(join(folder, name) + "/" for name in _OWN_FOLDERS)
    for file in inputs.files:
        if file.path.startswith(own):
            raise InputError(
                f"the ingest input {file.path} lies in this very run; ingest it in a run of another folder"
            )


def ingest_step(run: str, config: IngestConfig, inputs: Inputs) -> Step:
    """The step "pages" as ingest makes it."""
    settings = {
        field.name: plain(getattr(config, field.name)) for field in fields(config) if field.name not in _NOT_IN_BYTES
    }
    settings["fields"] = config.fields.stated()
    return Step(
        run=run,
        name="pages",
        outputs=(PAGES_OUTPUT, REJECTED_OUTPUT),
        settings=settings,
        external={"inputs": inputs.identity()},
    )


def _index(step: Step, work: list[Shard], config: IngestConfig, engine: Engine) -> None:
    with watch(step, "ingest", total=len(work)), explaining(step):
        run_pipeline(
            lambda pipeline: pipeline | "Shards" >> beam.Create(shard_elements(work)) | IndexPages(step, config),
            engine,
            step=step,
        )


def _check_attempt(step: Step, config: IngestConfig) -> None:
    """Nothing, unless more files are broken than may be; then those that could not be read are tried again by the next attempt.

    What kept one from being read (who may read it, say) changes neither its size nor its time.
    """
    counts = {receipt.shard: receipt.counts for receipt in receipts(step.attempt_folder)}
    try:
        _check_broken_files(step, sum(each["broken_files"] for each in counts.values()), config)
    except InputError:
        for shard, each in counts.items():
            if each.get(UNREAD_FILES):
                drop_receipt(step.attempt_folder, shard)
        raise


def _check_broken_files(step: Step, num_broken: int, config: IngestConfig) -> None:
    if num_broken <= config.max_unreadable_files:
        return
    first = next(
        row["detail"]
        for path in storage.list_files(step.folder(REJECTED_OUTPUT))
        if path.endswith(".parquet")
        for row in read_rows(path, ["reason", "detail"])
        if row["reason"] in FILE_REASONS
    )
    others = f" and {num_broken - 1} more" if num_broken > 1 else ""
    raise InputError(
        f"broken input at {first}{others}; to go on without, set ingest.max_unreadable_files = {num_broken} or more"
    )
