"""Counts the pre-tokens of a run: RUN/documents → RUN/counts (see `pipeline.count.table`).

In: the document files. Out: the count table, sorted, by source and language. RUN/pretokens holds the
counts of single files while the job runs.
"""

import importlib.metadata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from jobs.engine import Engine, explaining, run_pipeline, run_step, watch
from jobs.progress import Progress
from pipeline.count.config import CountConfig
from pipeline.count.stage import COUNTS, PRETOKENS, CountPretokens, SumPartitions
from pipeline.count.table import GROUPS_FILE, Group, TableInfo, merged_groups, read_info, with_dropped, write_info
from pipeline.manifests import Manifest, dataset_files, read_manifest
from pipeline.places import join
from pipeline.stage import shard_elements
from pipeline.steps import Receipt, Shard, Step, receipts, write_receipt
from pipeline.storage import remove_tree
from tokenizer.patterns import pattern_named

if TYPE_CHECKING:
    from jobs.config import RunConfig

_GROUPS_RECEIPT = "groups"
_DOCUMENT_SECONDS = 0.0003  # about what a document takes on one core


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/counts, made now unless it is up to date."""
    return count_run(config.run.folder, config.count, engine, force=force)


def count_run(run: str, config: CountConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`."""
    step = _step(run, COUNTS, config)
    if not force and step.is_current():
        remove_tree(join(run, PRETOKENS))  # left by an attempt that was killed right after its commit
        Progress.note("count: up to date")
        return read_manifest(step.folder(COUNTS))
    counted = _count_files(run, config, engine)
    manifest = _sum_up(step, counted, config, engine, force=force)
    remove_tree(join(run, PRETOKENS))
    return manifest


def _count_files(run: str, config: CountConfig, engine: Engine) -> Manifest:
    paths = dataset_files(join(run, "documents"))
    step = _step(run, PRETOKENS, config)
    shards = [Shard(name=f"part-{number:06d}", work=path) for number, path in enumerate(paths)]
    return run_step(
        step,
        shards,
        lambda elements: elements | "CountPretokens" >> CountPretokens(step, config),
        engine,
        label="count",
        record_seconds=_DOCUMENT_SECONDS,
    )


def _sum_up(step: Step, counted: Manifest, config: CountConfig, engine: Engine, *, force: bool) -> Manifest:
    runs = join(step.run, PRETOKENS)
    names = [entry.path for entry in counted.files]
    groups = merged_groups(read_info(join(runs, name)).groups for name in names if name.endswith(".json"))
    tables = [name for name in names if name.endswith(".arrow")]
    shards = [Shard(name=f"part-{number:05d}", work=[number, tables]) for number in range(config.partitions)]
    done = step.begin(force=force)
    if not done.issuperset(shard.name for shard in shards):
        transform = SumPartitions(step, config, runs, groups)
        with watch(step, "sum counts", total=len(shards)), explaining(step):
            sized = engine.sized(_DOCUMENT_SECONDS * counted.num_records, len(shards))
            run_pipeline(lambda pipeline: _wire(pipeline, shards, transform), sized, step=step)
    _write_groups(step, config, groups)
    totals = {name: counted.counts[name] for name in ("read", "text_bytes")}
    return step.commit(
        [*(shard.name for shard in shards), _GROUPS_RECEIPT], counts={**totals, "kept": totals["read"], "rejected": 0}
    )


def _wire(pipeline: Any, shards: list[Shard], transform: SumPartitions) -> Any:
    return pipeline | "Partitions" >> beam.Create(shard_elements(shards)) | "SumPartitions" >> transform


def _write_groups(step: Step, config: CountConfig, groups: tuple[Group, ...]) -> None:
    """Describes the table, with what pruning dropped as the receipts of the partitions tell."""
    totals: dict[str, int] = {}
    for receipt in receipts(step.attempt_folder):
        for name, value in receipt.counts.items():
            totals[name] = totals.get(name, 0) + value
    info = TableInfo(
        pattern=pattern_named(config.pattern).label,
        max_pretoken_bytes=config.max_pretoken_bytes,
        min_count=config.min_count,
        partitions=config.partitions,
        groups=with_dropped(groups, _dropped(totals, len(groups))),
    )
    entry = write_info(join(step.folder(COUNTS), GROUPS_FILE), info)
    write_receipt(step.attempt_folder, Receipt(shard=_GROUPS_RECEIPT, files={COUNTS: (entry,)}))


def _dropped(totals: Mapping[str, int], num_groups: int) -> dict[int, tuple[int, int]]:
    mass = {
        place: (totals.get(f"dropped/{place}/pretokens", 0), totals.get(f"dropped/{place}/bytes", 0))
        for place in range(num_groups)
    }
    return {place: dropped for place, dropped in mass.items() if any(dropped)}


def _step(run: str, output: str, config: CountConfig) -> Step:
    """`max_types` is no setting of the step: it decides how often a worker writes, not what comes out."""
    names = [name for name in CountConfig.__dataclass_fields__ if name != "max_types"]
    settings = {name: getattr(config, name) for name in names} | {"pattern": pattern_named(config.pattern).label}
    return Step(
        run=run,
        name=output,
        outputs=(output,),
        settings={"count": settings},
        inputs={"documents": join(run, "documents")},
        versions={"regex": importlib.metadata.version("regex")},
        passing=output == PRETOKENS,
    )
