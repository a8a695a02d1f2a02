"""Deduplicates the documents of a run.

Reads RUN/filtered (and RUN/measures, where the survivor is chosen by a measure); writes RUN/documents (the
survivors, one file for each input file, in the same order), RUN/duplicates (verified pairs, cluster sizes),
RUN/rejected/dedup (each duplicate with its survivor and the verified similarity) and, if asked to, RUN/signatures
(the index for a later run) and RUN/contamination (what survivors hold of evaluation sets).
"""

from dataclasses import asdict
from typing import TYPE_CHECKING

from jobs.engine import Engine, run_step
from pipeline.dedup.config import DedupConfig
from pipeline.dedup.index import VERSIONS, index_files
from pipeline.dedup.phases import all_phases, shards_of
from pipeline.dedup.plan import CONTAMINATION_OUTPUT, OUTPUTS, SIGNATURES_OUTPUT, STEP, Plan
from pipeline.dedup.stage import DeduplicateDocuments
from pipeline.steps import Step
from pipeline.storage import Manifest, checksum, join, read_manifest

if TYPE_CHECKING:
    from jobs.config import RunConfig


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/documents, made now unless it is up to date."""
    return deduplicate_run(config.run.folder, config.dedup, engine, force=force)


def deduplicate_run(run: str, config: DedupConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    step, plan = step_of(run, config), plan_of(run, config)
    build = DeduplicateDocuments(step, plan)
    shards = shards_of(all_phases(plan))
    return run_step(
        step,
        shards,
        lambda found: found | "Deduplicate" >> build,
        engine,
        label="deduplicate",
        force=force,
    )


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
        settings={"dedup": asdict(config)},
        inputs=inputs,
        external=[checksum(path) for path in config.decontaminate.sets],
        versions=VERSIONS,
    )


def outputs_of(config: DedupConfig) -> tuple[str, ...]:
    """The datasets that the step makes."""
    signatures = (SIGNATURES_OUTPUT,) if config.keep_signatures else ()
    contamination = (CONTAMINATION_OUTPUT,) if config.decontaminate.sets else ()
    return (*OUTPUTS, *signatures, *contamination)
