"""The one shape of a stage, and the only place that counts records or catches what goes wrong with one.

The elements of our Beam pipelines are shards (references to input files), never records: a shard is
read, judged and written inside one call, in one order, so its output files depend on nothing but its
input. `JudgeEach` runs a chain of judges over every record of every shard; `ProcessShards` runs any
other shard worker. Beam decides where and when.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import apache_beam as beam
import pyarrow as pa

from pipeline import heartbeat, steps
from pipeline.atomic import AtomicFile, FileEntry, only_while
from pipeline.errors import CorpusmillError
from pipeline.heartbeat import Heartbeat
from pipeline.places import join
from pipeline.records import Document, Page, Rejection
from pipeline.remarks import write_remark
from pipeline.steps import Receipt, Shard, Step
from pipeline.tables import DOCUMENTS, REJECTIONS, TableWriter, document_row, measures_schema, rejection_row

Record = Page | Document


class Outcome(NamedTuple):
    """What a stage gives: together, `kept` and `rejected` hold each input exactly once."""

    kept: Any
    rejected: Any


@runtime_checkable
class Judge(Protocol):
    """Decides about one record. Models load in `setup`; before it, a judge pickles small.

    `judge` returns the record to keep (changed or not) or a `Rejection`. `measures` names the
    measures that it attaches, in order. What a judge has to say to the log of the driver, once, may stand in `warnings`, lines of text.
    """

    stage: str

    @property
    def measures(self) -> Sequence[str]:
        """The names of the measures that it attaches."""

    def setup(self) -> None:
        """Loads what is needed, once in each worker."""

    def judge(self, record: Any) -> Any:
        """The record to keep, or a `Rejection`."""


class ShardWorker(Protocol):
    """Does the work of one shard and writes its files through `outputs`. Returns counts by name."""

    def setup(self) -> None:
        """Loads what is needed, once in each worker."""

    def process(self, shard: Shard, outputs: "Outputs") -> Mapping[str, int]:
        """Works through one shard."""


class Outputs:
    """Where a worker writes the files of one shard: named after the shard, noted for its receipt."""

    def __init__(
        self,
        run: str,
        shard: str,
        *,
        at: Callable[[str], None] | None = None,
        remark: Callable[[Any], None] | None = None,
    ) -> None:
        self._run = run
        self._shard = shard
        self._at = at
        self._remark = remark
        self._files: dict[str, list[FileEntry]] = {}
        self._contents: dict[str, str] = {}

    def path(self, output: str, suffix: str) -> str:
        """The path of the file of this shard in the dataset `output`."""
        return join(self._run, output, self._shard + suffix)

    def table(self, output: str, schema: pa.Schema) -> TableWriter:
        """A Parquet file of this shard; hand its entry to `add` after its block."""
        return TableWriter(self.path(output, ".parquet"), schema)

    def file(self, output: str, suffix: str) -> AtomicFile:
        """A file of this shard in another format; hand its entry to `add` after its block."""
        return AtomicFile(self.path(output, suffix))

    def add(self, output: str, entry: FileEntry, *, content: str = "") -> None:
        """Notes a whole file, and the hash of what downstream work depends on if that is less than its bytes."""
        self._files.setdefault(output, []).append(entry)
        if content:
            self._contents[output] = content

    def at(self, record: str) -> None:
        """Notes which record is begun, so that one that ends its worker is known by name."""
        if self._at is not None:
            self._at(record)

    def remark(self, value: Any) -> None:
        """Leaves a JSON value for the log of the driver (see `pipeline.remarks`); it reaches no dataset."""
        if self._remark is not None:
            self._remark(value)

    def receipt(self, counts: Mapping[str, int]) -> Receipt:
        """The receipt of the shard."""
        files = {name: tuple(entries) for name, entries in self._files.items()}
        return Receipt(shard=self._shard, files=files, counts=dict(sorted(counts.items())), contents=self._contents)


def judge_each(judges: Sequence[Judge], records: Iterable[Record]) -> Iterator[Any]:
    """For each record what the chain of `judges` makes of it: the kept record or a `Rejection`.

    The first rejection ends the chain. An unforeseen exception becomes the rejection `error/<Type>`.
    """
    for record in records:
        yield judge_one(judges, record)


def judge_one(judges: Sequence[Judge], record: Record) -> Any:
    """What the chain of `judges` makes of one record."""
    current: Any = record
    for judge in judges:
        try:
            current = judge.judge(current)
        except CorpusmillError:
            raise
        except OSError as error:
            if error.errno is not None:  # the disk or the network failed, not the record
                raise
            return _error(record, judge.stage, error)
        except Exception as error:
            return _error(record, judge.stage, error)
        if isinstance(current, Rejection):
            return current
    return current


def _error(record: Record, stage: str, error: Exception) -> Rejection:
    detail = " ".join(str(error).split())[:300]
    return Rejection(id=record.id, url=record.url, stage=stage, reason=f"error/{type(error).__name__}", detail=detail)


class ProcessShards(beam.PTransform):
    """Shards (as JSON text) → receipts (as JSON text) of the shards, each worked through once.

    A shard that has its receipt already is not worked through again, so a retry by the engine or a
    second attempt by a person costs only what was unfinished.
    """

    def __init__(self, step: Step, worker: ShardWorker) -> None:
        super().__init__()
        self._do = _ProcessShard(step.run, step.attempt_folder, worker)

    def expand(self, shards: Any) -> Any:
        """Wires the worker behind a reshuffle, which spreads the shards over the workers."""
        self._do.note_attempt()
        return shards | "SpreadShards" >> beam.Reshuffle() | "ProcessShard" >> beam.ParDo(self._do)


class JudgeEach(beam.PTransform):
    """Shards → `Outcome` of (shard, number of records) pairs, kept and rejected, written to files.

    Kept documents go to the dataset `kept`, rejections to `rejected`, and the measures of every
    measured document, kept or not, to `measures` where some judge has any. `documents` is the schema of the kept.
    """

    def __init__(
        self,
        step: Step,
        read: Callable[[Shard], Iterable[Record | Rejection]],
        judges: Sequence[Judge],
        *,
        kept: str,
        rejected: str,
        measures: str = "",
        documents: pa.Schema = DOCUMENTS,
    ) -> None:
        super().__init__()
        worker = JudgeShard(
            read=read, judges=tuple(judges), kept=kept, rejected=rejected, measures=measures, documents=documents
        )
        self._work = ProcessShards(step, worker)

    def expand(self, shards: Any) -> Outcome:
        """Judges the shards and reads the two counts off each receipt."""
        return counted(shards | "JudgeShards" >> self._work)


def counted(receipts: Any) -> Outcome:
    """What the receipts of shards say of records that were kept and rejected."""
    return Outcome(
        kept=receipts | "CountKept" >> beam.Map(_count, "kept"),
        rejected=receipts | "CountRejected" >> beam.Map(_count, "rejected"),
    )


def _count(receipt: str, name: str) -> tuple[str, int]:
    value = json.loads(receipt)
    return value["shard"], value["counts"].get(name, 0)


@dataclass(kw_only=True)
class JudgeShard:
    """The shard worker of `JudgeEach`. `read` may yield rejections of its own (unreadable records)."""

    read: Callable[[Shard], Iterable[Record | Rejection]]
    judges: tuple[Judge, ...]
    kept: str
    rejected: str
    measures: str = ""
    documents: pa.Schema = DOCUMENTS

    def setup(self) -> None:
        """Loads the models of all judges."""
        for judge in self.judges:
            judge.setup()

    def process(self, shard: Shard, outputs: Outputs) -> Mapping[str, int]:
        """Reads, judges and writes one shard, streaming; returns `read`, `kept`, `rejected` and a count for each reason."""
        counts: Counter[str] = Counter(read=0, kept=0, rejected=0, kept_text_bytes=0)
        tables = self._tables(outputs)
        with ExitStack() as stack:
            writers = {name: stack.enter_context(table) for name, table in tables.items()}
            for record in self.read(shard):
                outputs.at(record.url)
                verdict = record if isinstance(record, Rejection) else judge_one(self.judges, record)
                counts.update(_counted(verdict))
                if isinstance(verdict, Rejection):
                    writers[self.rejected].append(rejection_row(verdict))
                else:
                    writers[self.kept].append(document_row(verdict))
                if verdict.measures and self.measures:
                    decision = verdict.reason if isinstance(verdict, Rejection) else "kept"
                    writers[self.measures].append({"id": verdict.id, "decision": decision, **verdict.measures})
        for name, table in tables.items():
            outputs.add(name, table.entry())
        if warnings := [line for judge in self.judges for line in getattr(judge, "warnings", ())]:
            outputs.remark(warnings)
        return counts

    def _tables(self, outputs: Outputs) -> dict[str, TableWriter]:
        schemas = {self.kept: self.documents, self.rejected: REJECTIONS}
        if self.measures:
            schemas[self.measures] = measures_schema(name for judge in self.judges for name in judge.measures)
        return {name: outputs.table(name, schema) for name, schema in schemas.items()}


def _counted(verdict: Document | Rejection) -> Counter[str]:
    """What one verdict adds to the counts of its shard."""
    if isinstance(verdict, Rejection):
        return Counter({"read": 1, "rejected": 1, f"rejected/{verdict.stage}/{verdict.reason}": 1})
    return Counter(read=1, kept=1, kept_text_bytes=len(verdict.text.encode("utf-8", "surrogatepass")))


class _ProcessShard(beam.DoFn):  # type: ignore[misc]  # Beam is untyped here
    """Works through one shard, or replays its receipt."""

    def __init__(self, run: str, attempt_folder: str, worker: ShardWorker) -> None:
        self._run = run
        self._attempt_folder = attempt_folder
        self._worker = worker
        self._attempt = ""
        self._beat_seconds = heartbeat.SECONDS
        self._ready = False

    def note_attempt(self) -> None:
        """Notes for which attempt the workers work."""
        self._attempt = steps.work_of_attempt(self._attempt_folder)

    def process(self, element: str) -> Iterator[str]:
        shard = Shard(**json.loads(element))
        receipt = steps.read_receipt(self._attempt_folder, shard.name)
        if receipt is None:
            receipt = self._work(shard)
        yield json.dumps(asdict(receipt), sort_keys=True)

    def _work(self, shard: Shard) -> Receipt:
        try:
            self._check()
            with (
                only_while(self._check),
                Heartbeat(self._attempt_folder, shard.name, seconds=self._beat_seconds) as heart,
            ):
                if not self._ready:  # here rather than in setup(): a failure must reach the driver as a sentence
                    self._worker.setup()
                    self._ready = True
                remark = partial(write_remark, self._attempt_folder, shard.name)
                outputs = Outputs(self._run, shard.name, at=heart.at, remark=remark)
                receipt = outputs.receipt(self._worker.process(shard, outputs))
                steps.write_receipt(self._attempt_folder, receipt)
        except steps.StaleAttemptError:  # the attempt that is under way now did not fail
            raise
        except Exception as error:
            steps.note_failure(self._attempt_folder, error)
            raise
        return receipt

    def _check(self) -> None:
        if self._attempt:
            steps.check_attempt(self._attempt_folder, self._attempt)


def shard_elements(shards: Iterable[Shard]) -> list[str]:
    """The shards as the elements of a pipeline, in order of name."""
    return [json.dumps(asdict(shard), sort_keys=True) for shard in sorted(shards, key=lambda shard: shard.name)]
