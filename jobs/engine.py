"""Runs a Beam pipeline on an engine, shows its progress, and turns its failures into sentences.

The engine is always named: Beam's bare default tries to download another one. On one machine that
is the FnApiRunner, in this process for one worker, with worker processes for more. Anything that a
person writes behind `--` on the command line goes to Beam (`--runner=FlinkRunner …`).
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from jobs.apart import run_apart
from jobs.progress import Progress
from pipeline import steps, storage
from pipeline.errors import CorpusmillError, SettingError
from pipeline.stage import shard_elements
from pipeline.steps import Shard, Step
from pipeline.storage import Manifest

LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where Beam pipelines run: `workers` processes on this machine, or what `beam_args` say."""

    workers: int = 1
    beam_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise SettingError(f"--workers is {self.workers}; allowed is 1 or more")
        unknown = _unknown_flags(self.beam_args)
        if unknown:
            raise SettingError(
                f"unknown Beam option {unknown[0]!r} behind --; see the options of your runner in Beam's documentation"
            )

    @property
    def starts_processes(self) -> bool:
        """Whether pipelines run in worker processes that this process would have to end."""
        return self.workers > 1 and not any(argument.startswith("--runner") for argument in self.beam_args)

    def options(self) -> PipelineOptions:
        """The options for one pipeline."""
        if any(argument.startswith("--runner") for argument in self.beam_args):
            return PipelineOptions(list(self.beam_args))
        local = [f"--runner={LOCAL_RUNNER}"]
        if self.starts_processes:
            local += ["--direct_running_mode=multi_processing", f"--direct_num_workers={self.workers}"]
        return PipelineOptions([*local, *self.beam_args])


def run_pipeline(build: Callable[[beam.Pipeline], object], engine: Engine) -> None:
    """Builds a pipeline with `build` and runs it to its end.

    Raises:
        CorpusmillError: the pipeline failed for a reason that can be said in one sentence.
    """
    if engine.starts_processes and hasattr(os, "fork"):
        run_apart(partial(_run_pipeline, build, engine))
    else:
        _run_pipeline(build, engine)


def _run_pipeline(build: Callable[[beam.Pipeline], object], engine: Engine) -> None:
    pipeline = beam.Pipeline(options=engine.options())
    build(pipeline)
    result = pipeline.run()
    state = result.wait_until_finish()
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
) -> Manifest:
    """The manifest of `step`, made now by `build(shards)` unless it is up to date.

    `build` gets the PCollection of shards and wires it to something that leaves a receipt for
    each, as `JudgeEach` and `ProcessShards` do.
    """
    if not force and step.is_current():
        Progress.note(f"{label}: up to date")
        return storage.read_manifest(step.folder(step.outputs[0]))
    done = step.begin(force=force)
    if len(done) < len(shards):
        with watch(step, label, total=len(shards)), explaining(step):
            run_pipeline(lambda pipeline: build(pipeline | "Shards" >> beam.Create(shard_elements(shards))), engine)
    return step.commit([shard.name for shard in shards], counts=counts)


@contextmanager
def explaining(step: Step) -> Iterator[None]:
    """Replaces whatever an engine makes of a worker's failure by the sentence that the worker left."""
    try:
        yield
    except Exception as error:
        sentence = steps.noted_failure(step.attempt_folder) or steps.explained(error)
        if sentence is None or sentence == str(error):
            raise
        raise CorpusmillError(sentence) from error


@contextmanager
def watch(step: Step, label: str, *, total: int) -> Iterator[None]:
    """Shows the progress of an attempt from the receipts that appear, while the block runs."""
    stop = threading.Event()
    with Progress(label, total=total, unit="shards") as progress:
        receipts = _Receipts(step, progress)
        thread = threading.Thread(target=_poll, args=(receipts, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            receipts.show()


class _Receipts:
    """What the receipts of an attempt add up to, each read once."""

    def __init__(self, step: Step, progress: Progress) -> None:
        self._folder = step.attempt_folder
        self._progress = progress
        self._seen: set[str] = set()
        self._records = 0

    def show(self) -> None:
        """Shows how many there are by now."""
        for receipt in steps.new_receipts(self._folder, self._seen):
            self._records += receipt.counts.get("read", 0)
        self._progress.set(len(self._seen), records=self._records)


def _poll(receipts: _Receipts, stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        receipts.show()


def _unknown_flags(arguments: Sequence[str]) -> list[str]:
    """The flags that no Beam option declares: Beam itself would drop them with a mere warning."""
    parser = _BeamArgumentParser(add_help=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    return list(parser.parse_known_args(list(arguments))[1])


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
