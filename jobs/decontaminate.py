"""Reports what the documents of a run hold of evaluation sets; changes none of them.

Reads RUN/documents and the sets of [dedup.decontaminate]; writes RUN/contamination-check: each document, item, share
of its n-grams, and where in the text. (Where the deduplication has these sets, it drops such documents itself.)
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from jobs.engine import Engine, run_step
from jobs.progress import Progress
from jobs.times import duration
from pipeline.dedup.decontaminate import MATCHES, Decontaminate
from pipeline.dedup.decontaminate_config import DecontaminateConfig
from pipeline.dedup.index import VERSIONS
from pipeline.errors import SettingError
from pipeline.manifests import Manifest, dataset_files
from pipeline.places import join
from pipeline.stage import Outputs, ProcessShards
from pipeline.steps import Shard, Step
from pipeline.storage import checksum
from pipeline.tables import read_batches

if TYPE_CHECKING:
    from jobs.config import RunConfig

OUTPUT = "contamination-check"
_DOCUMENT_SECONDS = 0.0005  # about what a document takes on one core


def main(config: "RunConfig", engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/contamination-check, made now unless it is up to date."""
    return decontaminate_run(config.run.folder, config.dedup.decontaminate, engine, force=force)


def decontaminate_run(run: str, config: DecontaminateConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """As `main`, for the run in folder `run`. Counts: `read`, `matched` (hold something), `contaminated` documents."""
    if not config.sets:
        raise SettingError("dedup.decontaminate.sets is empty; it names the JSON lines files to look for")
    step = Step(
        run=run,
        name="decontaminate",
        outputs=(OUTPUT,),
        settings={"decontaminate": asdict(config)},
        inputs={"documents": join(run, "documents")},
        external=[checksum(path) for path in config.sets],
        versions=VERSIONS,
    )
    shards = [
        Shard(name=path.rsplit("/", 1)[-1].removesuffix(".parquet"), work=path)
        for path in dataset_files(join(run, "documents"))
    ]
    work = ProcessShards(step, FindContamination(config=config))
    current, started = not force and step.is_current(), time.monotonic()
    manifest = run_step(
        step,
        shards,
        lambda found: found | "Decontaminate" >> work,
        engine,
        label="decontaminate",
        force=force,
        record_seconds=_DOCUMENT_SECONDS,
        lines_of=warnings_of,
    )
    took = "" if current else f", in {duration(time.monotonic() - started)}"
    counts = manifest.counts
    Progress.note(
        f"decontaminate: {counts['contaminated']:,} of {counts['read']:,} documents are contaminated, {counts['matched']:,} "
        f"hold something of the sets{took} → {step.folder(OUTPUT)}"
    )
    return manifest


def warnings_of(remarks: Iterable[list[str]]) -> list[str]:
    """The lines that workers remarked about the evaluation sets, each once: every worker reads them all."""
    return [f"decontaminate: {line}" for line in dict.fromkeys(line for lines in remarks for line in lines)]


@dataclass(kw_only=True)
class FindContamination:
    """Looks for evaluation items in the documents of one file each."""

    config: DecontaminateConfig

    def setup(self) -> None:
        """Reads the evaluation sets."""
        self._judge = Decontaminate(self.config)
        self._judge.setup()

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Reports on one file."""
        counts = {"read": 0, "matched": 0, "contaminated": 0}
        outputs.remark(self._judge.index.warnings)
        with outputs.table(OUTPUT, MATCHES) as report:
            for batch in read_batches(shard.work, ["id", "url", "text"]):
                for row in batch.to_pylist():
                    matches = self._judge.index.matches(row["text"])
                    for line in self._judge.report_rows(row["id"], row["url"], matches):
                        report.append(line)
                    counts["read"] += 1
                    counts["matched"] += bool(matches)
                    counts["contaminated"] += bool(matches) and matches[0].share >= self.config.threshold
        outputs.add(OUTPUT, report.entry())
        return counts
