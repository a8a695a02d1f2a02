"""Deduplicates the documents of a run.

Reads RUN/filtered (and RUN/measures, where the survivor is chosen by a measure); writes RUN/documents (the
survivors, one file for each input file, in the same order), RUN/duplicates (verified pairs, cluster sizes),
RUN/rejected/dedup (each duplicate with its survivor and the verified similarity) and, if asked to, RUN/signatures
(the index for a later run), RUN/contamination (what survivors hold of evaluation sets) and RUN/passages (what they
repeat).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from jobs.decontaminate import warnings_of
from jobs.engine import Engine, explaining, run_pipeline, watch
from jobs.progress import Progress
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.index import VERSIONS, index_files
from pipeline.dedup.phases import (
    Phase,
    check_arrivals,
    clustering_phases,
    finding_phases,
    labelling_phases,
    last_phases,
    shards_of,
    spreading_phases,
    star_phases,
)
from pipeline.dedup.plan import CONTAMINATION_OUTPUT, OUTPUTS, PASSAGES_OUTPUT, SIGNATURES_OUTPUT, STEP, Plan
from pipeline.dedup.stage import RunPhases
from pipeline.manifests import Manifest, read_manifest
from pipeline.places import join
from pipeline.remarks import remarks
from pipeline.stage import shard_elements
from pipeline.steps import Step, receipts
from pipeline.storage import checksum

if TYPE_CHECKING:
    from jobs.config import RunConfig

LABEL = "deduplicate"
# Settings that are not in manifests unless they are on, so that what was made before they existed stays up to date.
_LATER = ("cluster_sizes", "one_per_address")
PAIRS_IN_PARTITION = 4_000_000
_DOCUMENT_SECONDS = 0.001  # about what a document takes on one core


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/documents, made now unless it is up to date."""
    return deduplicate_run(config.run.folder, config.dedup, engine, force=force)


def deduplicate_run(run: str, config: DedupConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    step, plan = step_of(run, config), plan_of(run, config)
    if not force and step.is_current():
        Progress.note(f"{LABEL}: up to date")
        return read_manifest(step.folder(OUTPUTS[0]))
    step.begin(force=force)

    def run_phases(phases: Sequence[Phase]) -> None:
        with explaining(step):
            elements = shard_elements(shards_of(phases))
            build = RunPhases(step, phases)
            run_pipeline(
                lambda pipeline: pipeline | "Shards" >> beam.Create(elements) | "RunPhases" >> build,
                engine.sized(_DOCUMENT_SECONDS * plan.num_documents, len(elements)),
                step=step,
            )

    expected = finding_phases(plan) + clustering_phases(plan) + last_phases(plan)
    with watch(step, LABEL, total=len(shards_of(expected))):
        done = drive(step, plan, run_phases)
    for line in warnings_of(remarks(step.attempt_folder)):
        Progress.note(line)
    return step.commit([shard.name for shard in shards_of(done)])


def drive(step: Step, plan: Plan, run_phases: Callable[[Sequence[Phase]], None]) -> list[Phase]:
    """Runs the phases of a deduplication; returns those that were run.

    Clusters are joined in the memory of one worker while the verified pairs allow it, and else by star rounds,
    two in a pipeline, until neither changes an edge.
    """
    done: list[Phase] = []

    def run(phases: list[Phase]) -> None:
        if phases:
            run_phases(phases)
            done.extend(phases)

    run(finding_phases(plan))
    num_pairs = _counted(step, "verified_pairs")
    if num_pairs <= plan.config.max_pairs_in_memory:
        run(clustering_phases(plan))
    else:
        partitions, last = -(-num_pairs // PAIRS_IN_PARTITION), 2
        run(spreading_phases(plan, partitions))
        run(star_phases(plan, partitions, last))
        while _counted(step, f"changed/{last - 1:03d}") or _counted(step, f"changed/{last:03d}"):
            last += 2
            run(star_phases(plan, partitions, last))
        run(labelling_phases(plan, partitions, last))
        plan = replace(plan, num_near_files=partitions)
    run(last_phases(plan))
    check_arrivals(_all_counts(step))
    return done


def _counted(step: Step, name: str) -> int:
    return _all_counts(step)[name]


def _all_counts(step: Step) -> Counter[str]:
    counts: Counter[str] = Counter()
    for receipt in receipts(step.attempt_folder):
        counts.update(receipt.counts)
    return counts


def plan_of(run: str, config: DedupConfig) -> Plan:
    """The plan for the filtered documents of `run`."""
    filtered = join(run, "filtered")
    manifest = read_manifest(filtered)
    earlier, num_earlier_documents = index_files(config.against, config)
    return Plan(
        run=run,
        config=config,
        parts=(*earlier, *(join(filtered, entry.path) for entry in manifest.files)),
        num_documents=manifest.num_records + num_earlier_documents,
        num_earlier=len(earlier),
        measures=join(run, "measures"),
    )


def step_of(run: str, config: DedupConfig) -> Step:
    """The step, with all that decides its bytes."""
    inputs = {"filtered": join(run, "filtered")}
    if config.survivor == "best_measure":
        inputs["measures"] = join(run, "measures")
    inputs |= {f"against/{number}": folder for number, folder in enumerate(config.against)}
    return Step(
        run=run,
        name=STEP,
        outputs=outputs_of(config),
        settings={"dedup": _told(config)},
        inputs=inputs,
        external=[checksum(path) for path in config.decontaminate.sets],
        versions=VERSIONS,
    )


def _told(config: DedupConfig) -> dict[str, Any]:
    told = {name: value for name, value in asdict(config).items() if value or name not in _LATER}
    if config.passages.unit != "sentences":  # as with those that came later
        del told["passages"]["span_sentences"]
    return told


def outputs_of(config: DedupConfig) -> tuple[str, ...]:
    """The datasets that the step makes."""
    signatures = (SIGNATURES_OUTPUT,) if config.keep_signatures else ()
    contamination = (CONTAMINATION_OUTPUT,) if config.decontaminate.sets else ()
    passages = (PASSAGES_OUTPUT,) if config.passages.action != "off" else ()
    return (*OUTPUTS, *signatures, *contamination, *passages)
