"""Runs a Beam pipeline on an engine, shows its progress, and turns its failures into sentences.

The engine is always named: Beam's bare default tries to download another one. On one machine that
is the FnApiRunner, in this process for one worker, with worker processes for more. Anything that a
person writes behind `--` on the command line goes to Beam (`--runner=FlinkRunner …`).

Importing Beam takes seconds, so it is imported when the first pipeline is built: not by jobs that run none.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from jobs import forking
from jobs.apart import WorkerDiedError, run_apart
from jobs.cluster.maven import MavenSettings
from jobs.progress import Progress
from jobs.watchdog import Watchdog, whereabouts
from pipeline import heartbeat, manifests, steps
from pipeline.errors import CorpusmillError, SettingError
from pipeline.manifests import Manifest
from pipeline.remarks import remarks
from pipeline.steps import Shard, Step

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

_POLL_SECONDS = 0.5
_SIGNS_SECONDS = 5.0
_POLL_PAUSES = 50
# Starting worker processes takes some seconds of every core: less work than this is done sooner without.
_WORTH_PROCESSES_SECONDS = 20.0
# Beam lists all installed packages for its log before each pipeline that goes elsewhere, seconds of a core; RUN/run.toml has those that matter.
_NO_PIP_FREEZE = "--experiments=disable_logging_submission_environment"
# How an engine that does not begin again by itself tells that a worker is gone.
_LOST_WORKER = "SDK worker disconnected"
_DIED_ELSEWHERE = "a worker process ended unexpectedly and the engine gave up, perhaps for want of memory; the same command goes on from here"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where Beam pipelines run: `workers` processes on this machine, or what `beam_args` say.

    Without a number of workers, a pipeline gets the cores of this machine if it has enough to do for them.
    """

    workers: int | None = None
    beam_args: tuple[str, ...] = ()
    # After so many seconds without any sign of life, a job is ended.
    stall_seconds: float = 900.0
    maven: MavenSettings = field(default_factory=MavenSettings)

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SettingError(f"--workers is {self.workers}; allowed is 1 or more")
        if self.is_elsewhere and self.workers is not None:
            raise SettingError(
                f"--workers {self.workers} is for this machine; a cluster takes --parallelism=N behind --"
            )

    def ready(self) -> Self:
        """This engine with its arguments completed: the cluster has answered, its job server is here."""
        if not self.is_elsewhere:
            return self
        from jobs.cluster.options import completed

        return replace(self, beam_args=completed(self.beam_args, self.maven))

    def sized(self, seconds: float, num_shards: int) -> Self:
        """This engine with a number of workers for work of about `seconds` on one core."""
        chosen = any(argument.startswith("--direct_") for argument in self.beam_args)
        if self.workers is not None or chosen or self.is_elsewhere:
            return self
        most = min(cores(), num_shards)
        return replace(self, workers=most if seconds >= _WORTH_PROCESSES_SECONDS and most > 1 else 1)

    @property
    def is_elsewhere(self) -> bool:
        """Whether pipelines run on a cluster, not on the local runner."""
        if not self.beam_args:
            return False
        from jobs.cluster.options import runner_of

        return bool(runner_of(self.beam_args))

    @property
    def starts_processes(self) -> bool:
        """Whether pipelines run in worker processes that this process would have to end."""
        return (self.workers or 1) > 1 and not self.is_elsewhere

    def options(self) -> "PipelineOptions":
        """The options for one pipeline."""
        from jobs.cluster.options import LOCAL_RUNNER
        from jobs.pipeline_options import KeptOptions

        if self.is_elsewhere:
            return KeptOptions([*self.beam_args, _NO_PIP_FREEZE])
        rest = [argument for argument in self.beam_args if not argument.startswith("--runner")]
        local = [f"--runner={LOCAL_RUNNER}"]
        if self.starts_processes:
            local.append(f"--direct_num_workers={self.workers}")
        return KeptOptions([*local, *rest])


def run_pipeline(build: Callable[["beam.Pipeline"], object], engine: Engine, *, step: Step | None = None) -> None:
    """Builds a pipeline with `build` and runs it to its end. With `step`, a watchdog ends a job that hangs.

    Raises:
        CorpusmillError: the pipeline failed for a reason that can be said in one sentence.
    """
    engine = engine.ready()
    if not (engine.starts_processes or engine.is_elsewhere):
        _run_pipeline(build, engine)
        return
    descriptor = forking.source().descriptor if engine.starts_processes else None
    watchdog = Watchdog(attempt_folder=step.attempt_folder, limit_seconds=engine.stall_seconds) if step else None
    try:
        run_apart(
            partial(_run_pipeline, build, engine, descriptor),
            look=watchdog.look if watchdog else None,
            can_be_called_off=engine.is_elsewhere,
        )
    except WorkerDiedError as error:
        places = whereabouts(heartbeat.signs(step.attempt_folder)) if step else ""
        raise CorpusmillError(f"{error}{places}") from None


def _run_pipeline(build: Callable[["beam.Pipeline"], object], engine: Engine, workers_from: int | None = None) -> None:
    """In this process, or in worker processes from the server behind the descriptor `workers_from`."""
    import apache_beam as beam

    runner = None
    if workers_from is not None:
        from jobs.forked_environment import runner_of_forks

        runner = runner_of_forks(workers_from)
    pipeline = beam.Pipeline(runner=runner, options=engine.options())
    build(pipeline)
    result = pipeline.run()
    try:
        state = result.wait_until_finish()
    except KeyboardInterrupt:
        if engine.is_elsewhere:
            result.cancel()  # or it would go on there, beside the next attempt
        raise
    except RuntimeError as error:
        if _LOST_WORKER in str(error):
            raise WorkerDiedError(_DIED_ELSEWHERE) from error
        raise
    if state not in (None, "DONE"):
        raise CorpusmillError(f"the pipeline ended in state {state}; see the log of its engine")


def run_step(
    step: Step,
    shards: Sequence[Shard],
    build: Callable[[Any], object],
    engine: Engine,
    *,
    label: str,
    force: bool = False,
    counts: dict[str, int] | None = None,
    record_seconds: float | None = None,
    lines_of: Callable[[list[Any]], Iterable[str]] | None = None,
) -> Manifest:
    """The manifest of `step`, made now by `build(shards)` unless it is up to date.

    `build` gets the PCollection of shards and wires it to something that leaves a receipt for
    each, as `JudgeEach` and `ProcessShards` do. `record_seconds` is about what a record of the
    inputs takes; work that says nothing may wait for others, runs in one process and is not watched.
    `lines_of` makes lines for the log of what the workers remarked.
    """
    if not force and step.is_current():
        Progress.note(f"{label}: up to date")
        return manifests.read_manifest(step.folder(step.outputs[0]))
    import apache_beam as beam

    from pipeline.stage import shard_elements

    done = step.begin(force=force)
    if len(done) < len(shards):
        num_records = sum(manifests.read_manifest(folder).num_records for folder in step.inputs.values())
        seconds = (record_seconds or 0.0) * num_records
        with watch(step, label, total=len(shards), num_records=num_records if record_seconds else 0), explaining(step):
            run_pipeline(
                lambda pipeline: build(pipeline | "Shards" >> beam.Create(shard_elements(shards))),
                engine.sized(seconds, len(shards)),
                step=None if record_seconds is None else step,
            )
        for line in lines_of(remarks(step.attempt_folder)) if lines_of else ():
            Progress.note(line)
    return step.commit([shard.name for shard in shards], counts=counts)


@contextmanager
def explaining(step: Step) -> Iterator[None]:
    """Replaces whatever an engine makes of a worker's failure by the sentence that the worker left."""
    try:
        yield
    except Exception as error:
        noted = steps.noted_failure(step.attempt_folder)
        if noted is None:
            error = steps.full_disk_behind(error) or error  # which leaves no room for a note
            sentence = steps.explained(error)
            noted = None if sentence is None else steps.error_of(steps.kind_of(error), sentence)
        if noted is None or str(noted) == str(error):
            raise
        raise noted from error


@contextmanager
def watch(step: Step, label: str, *, total: int, num_records: int = 0) -> Iterator[None]:
    """Shows the progress of an attempt while the block runs: of `total` shards, or of `num_records` where that is known."""
    stop = threading.Event()
    total, unit = (num_records, "records") if num_records else (total, "shards")
    with Progress(label, total=total, unit=unit) as progress:
        receipts = _Receipts(step, progress, by_records=bool(num_records))
        thread = threading.Thread(target=_poll, args=(receipts, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            receipts.show()


class _Receipts:
    """What the receipts of an attempt add up to, each read once, and the signs of life of the shards under way."""

    def __init__(self, step: Step, progress: Progress, *, by_records: bool) -> None:
        self._folder = step.attempt_folder
        self._progress = progress
        self._by_records = by_records
        self._seen: set[str] = set()
        self._shards: set[str] = set()
        self._records = 0
        self._under_way: dict[str, int] = {}
        self._next_look = 0.0

    def show(self) -> None:
        """Shows how far the attempt is by now."""
        for receipt in steps.new_receipts(self._folder, self._seen):
            self._records += receipt.counts.get("read", 0)
            self._shards.add(receipt.shard)
        if not self._by_records:
            self._progress.set(len(self._seen), records=self._records)
            return
        if time.monotonic() >= self._next_look:
            self._under_way = {name: sign.num_records for name, sign in heartbeat.signs(self._folder).items()}
            self._next_look = time.monotonic() + _SIGNS_SECONDS
        begun = sum(number for name, number in self._under_way.items() if name not in self._shards)
        self._progress.set(self._records + begun, text=f"{len(self._seen)} shard{'s' * (len(self._seen) != 1)} done")


def _poll(receipts: _Receipts, stop: threading.Event) -> None:
    """Looks often, but for no more than a small share of the time: there may be many receipts, or a slow store."""
    pause = _POLL_SECONDS
    while not stop.wait(pause):
        begin = time.monotonic()
        receipts.show()
        pause = max(_POLL_SECONDS, _POLL_PAUSES * (time.monotonic() - begin))


def cores() -> int:
    """The processor cores that this process may use, by its affinity and by the limit of its container."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return own
    return own if quota == "max" else max(1, min(own, math.ceil(int(quota) / int(period))))
