"""Trains the model of a run: RUN/shards + RUN/tokenizer → RUN/model.

RUN/model holds `checkpoints/step-NNNNNNNN/`, `hf/` (a folder that `transformers` loads, where it has a
class for the architecture) and `training.jsonl` (loss, gradient norm and learning rate by step). The
same command goes on after a kill, bit for bit. Speeds and times go to RUN/logs/training.jsonl, which is
in no manifest. Several processes train one model: one for each GPU, or as many as `torchrun` starts.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import torch

from jobs import longer_training, processes, replaced
from jobs.engine import Engine
from jobs.progress import Progress
from jobs.settings import plain
from model.accounting import costs, peak_flops
from model.batches import Batches
from model.checkpoint import checkpoint_steps, load_model
from model.config import ModelConfig
from model.distributed import World, join_world
from model.export import export_model, import_as
from model.hf_config import export_obstacle, weight_files
from model.precision import choose_device
from model.train_config import TrainConfig
from model.trainer import Report, Trainer, finite, settings_of
from model.transformer import Transformer
from pipeline import manifests, storage
from pipeline.atomic import FileEntry
from pipeline.errors import DataError, InputError
from pipeline.manifests import Manifest
from pipeline.pack.shards import ShardSet
from pipeline.places import is_local, join, on_disk
from pipeline.steps import Receipt, Step, write_receipt
from tokenizer.encoding import load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

MODEL = "model"
LOG = "training.jsonl"


def main(config: "RunConfig", engine: Engine | None = None, *, force: bool = False) -> Manifest:
    """The manifest of RUN/model, made now unless it is up to date. Beam has no part in it."""
    run = config.run.folder
    number = processes.wanted(config.train, _row_length(run))
    if number > 1:
        config.train.rows(_row_length(run), number)  # what does not divide is said once, by this process
        step = _step(run, run, config.model, config.train)
        if force or not step.is_current():
            processes.train_together(run, number, force=force)
            return manifests.read_manifest(step.folder(MODEL))
        return _up_to_date(step)
    return train_run(run, config.model, config.train, force=force)


def train_run(
    run: str, model_config: ModelConfig, config: TrainConfig, *, out: str = "", force: bool = False
) -> Manifest:
    """As `main`, for the run in folder `run`; the model goes to `out`/model, if given.

    Raises:
        SettingError: the batch does not divide into rows of the shards, or the model cannot be trained.
        DataError: the shards, or the model to start from, are of another tokenizer than that of the run.
    """
    model_config.check_trainable()
    config.check_start(out or run)
    world = join_world()
    step = _step(run, out or run, model_config, config, world.local_rank)
    if not force and step.is_current():
        return _up_to_date(step) if world.leads else manifests.read_manifest(step.folder(MODEL))
    board = _board_writer() if config.tensorboard else None
    batches = _batches(run, config, world)
    trainer = Trainer(_new_model(model_config, config, batches), batches, config, step.folder(MODEL), world=world)
    if world.leads:  # nothing that settings and inputs can get wrong comes after this
        _begin(step, config, force=force)
    world.wait()
    _train(out or run, trainer, board)
    batches.close()
    if world.leads:
        _commit(step, trainer, join(run, "tokenizer", "tokenizer.json"))
    world.wait()
    return manifests.read_manifest(step.folder(MODEL))


def _begin(step: Step, config: TrainConfig, *, force: bool) -> None:
    """Prepares an attempt; what lies there and is of another training is set aside, and begun with as far as it is the same."""
    if step.goes_on() and not force:
        step.begin()
        return
    earlier = None if force else longer_training.shorter(step, config)
    aside = replaced.set_aside(step, "train", replaced.differences(step))
    step.begin(force=force)
    if earlier and aside:
        longer_training.begin_with(join(aside, MODEL), step.folder(MODEL), earlier, config)


def _up_to_date(step: Step) -> Manifest:
    Progress.note("train: up to date")
    return manifests.read_manifest(step.folder(MODEL))


def _step(run: str, out: str, model_config: ModelConfig, config: TrainConfig, local_rank: int = 0) -> Step:
    device = choose_device(config.device, local_rank)
    settings = {"model": plain(model_config), "train": settings_of(config, device)}
    inputs = {name: join(run, name) for name in ("shards", "tokenizer")}
    external = _checked_start(run, config.start_from) if config.start_from else None
    return Step(
        run=out, name=MODEL, outputs=(MODEL,), settings=settings, inputs=inputs, external=external,
        versions={"torch": torch.__version__},
    )  # fmt: skip


def _checked_start(run: str, folder: str) -> list[Any]:
    """What identifies the model to start from.

    Raises:
        DataError: it has another tokenizer than the run.
    """
    theirs, ours = join(folder, "tokenizer.json"), join(run, "tokenizer", "tokenizer.json")
    if storage.exists(theirs) and load_encoder(theirs).hash != load_encoder(ours).hash:
        raise DataError(f"train.start_from is {folder}, whose tokenizer is not that of {run}")
    return [list(storage.checksum(path)) for path in (join(folder, "config.json"), *weight_files(folder))]


def _batches(run: str, config: TrainConfig, world: World) -> Batches:
    rows = config.rows(_row_length(run), world.size)
    expected = load_encoder(join(run, "tokenizer", "tokenizer.json")).hash
    return Batches(
        join(run, "shards"), "train", batch_rows=rows, seed=config.seed, rank=world.rank, world_size=world.size,
        weights=config.source_weights or None, expect_tokenizer=expected,
    )  # fmt: skip


def _row_length(run: str) -> int:
    shards = ShardSet.open(join(run, "shards"), "train")
    length = shards.spec.sequence_length
    shards.close()
    return length


def _new_model(model_config: ModelConfig, config: TrainConfig, batches: Batches) -> Transformer:
    torch.manual_seed(config.seed)
    shape = model_config.architecture(vocab_size=batches.vocab_size, context_length=batches.sequence_length)
    return import_as(config.start_from, shape) if config.start_from else Transformer(shape)


def _train(run: str, trainer: Trainer, board_writer: Any) -> None:
    trainer.resume()
    if not trainer.world.leads:
        trainer.run(lambda report: None)
        return
    flops = costs(trainer.model.architecture, trainer.model).training_flops_per_token
    peak = peak_flops(trainer.device, trainer.precision) * trainer.world.size
    for damaged in (step for step in checkpoint_steps(trainer.folder) if step > trainer.step):
        Progress.note(f"train: the checkpoint of step {damaged} is damaged and passed over")
    if trainer.step:
        Progress.note(f"train: going on after step {trainer.step}")
    with (
        Progress("train", total=trainer.config.num_steps(), unit="steps") as progress,
        _speed_log(run) as log,
        _board(run, board_writer) as board,
    ):
        trainer.run(_Watch(progress, log, board, flops_per_token=flops, peak=peak).saw)


@contextmanager
def _speed_log(run: str) -> Iterator[IO[str] | None]:
    """RUN/logs/training.jsonl to append to, where a file can be appended to."""
    if not is_local(run):
        yield None
        return
    path = on_disk(join(run, "logs", LOG))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8", buffering=1) as log:
        yield log


def _board_writer() -> Any:
    """The class that writes for TensorBoard.

    Raises:
        InputError: it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "train.tensorboard is set, but tensorboard is not installed: pip install tensorboard"
        ) from None
    return SummaryWriter


@contextmanager
def _board(run: str, board_writer: Any) -> Iterator[Any]:
    """A writer for TensorBoard, or None where no class of one is given."""
    if board_writer is None:
        yield None
        return
    writer = board_writer(join(run, "logs", "tensorboard"))
    try:
        yield writer
    finally:
        writer.close()


class _Watch:
    """Tells people and the log of speeds how fast training is."""

    def __init__(
        self, progress: Progress, log: IO[str] | None, board: Any, *, flops_per_token: float, peak: float
    ) -> None:
        self._progress, self._log, self._board = progress, log, board
        self._flops, self._peak = flops_per_token, peak
        self._started = self._last = time.monotonic()
        self._tokens: int | None = None
        self._last_tokens = 0

    def saw(self, report: Report) -> None:
        """Takes note of a step."""
        now = time.monotonic()
        if self._tokens is None:  # the first step of this process pays for warming up
            self._tokens, self._started, self._last, self._last_tokens = report.tokens, now, now, report.tokens
            return
        rate = (report.tokens - self._tokens) / max(now - self._started, 1e-9)
        self._progress.set(
            report.step,
            text=f"{rate:,.0f} tokens/s · {rate * self._flops / self._peak:.0%} MFU · loss {report.loss:.3f}",
        )
        if report.step % 10 == 0 or report.step == report.num_steps:
            self._write(report, (report.tokens - self._last_tokens) / max(now - self._last, 1e-9))
            self._last, self._last_tokens = now, report.tokens

    def _write(self, report: Report, rate: float) -> None:
        if self._board is not None:
            for name, value in (
                ("loss", report.loss),
                ("grad_norm", report.grad_norm),
                ("learning_rate", report.learning_rate),
                ("tokens_per_second", rate),
                ("mfu", rate * self._flops / self._peak),
            ):
                self._board.add_scalar(name, value, report.step)
        if self._log is None:
            return
        line: dict[str, Any] = {key: finite(value) for key, value in report._asdict().items()} | {
            "tokens_per_second": round(rate, 1),
            "mfu": round(rate * self._flops / self._peak, 4),
            "time": round(time.time(), 3),
        }
        self._log.write(json.dumps(line, allow_nan=False) + "\n")


def _commit(step: Step, trainer: Trainer, tokenizer: str) -> None:
    folder = step.folder(MODEL)
    model = load_model(folder)  # what was written, not what is in memory
    entries = _checkpoint_entries(trainer.folder)
    entries.append(_write_log(join(folder, LOG), trainer.log))
    obstacle = export_obstacle(model.architecture)
    if obstacle:
        Progress.note(f"train: no hf/ folder, because transformers has no class for this model: {obstacle}")
    else:
        end = load_encoder(tokenizer).end_of_text_id
        entries += export_model(
            model, join(folder, "hf"), end_of_text_id=end, tokenizer_json=storage.read_bytes(tokenizer)
        )
    counts = {"steps": trainer.step, "tokens": trainer.tokens, "parameters": sum(p.numel() for p in model.parameters())}
    write_receipt(step.attempt_folder, Receipt(shard=MODEL, files={MODEL: tuple(entries)}, counts=counts))
    step.commit([MODEL])


def _checkpoint_entries(folder: str) -> list[FileEntry]:
    entries = []
    for path in storage.list_files(folder):
        sha256, num_bytes = storage.checksum(path)
        entries.append(FileEntry(path=path, sha256=sha256, num_bytes=num_bytes, num_records=0))
    return entries


def _write_log(path: str, lines: list[dict[str, Any]]) -> FileEntry:
    return storage.write_bytes(path, "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode())
