"""Trains the model of a run: RUN/shards + RUN/tokenizer → RUN/model.

RUN/model holds `checkpoints/step-NNNNNNNN/`, `hf/` (a folder that `transformers` loads, where it has a
class for the architecture) and `training.jsonl` (loss, gradient norm and learning rate by step). The
same command goes on after a kill, bit for bit. Speeds and times go to RUN/logs/training.jsonl, which is
in no manifest. Under `torchrun` several processes train one model.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import torch

from jobs.engine import Engine
from jobs.progress import Progress
from jobs.settings import plain
from model.accounting import costs, peak_flops
from model.batches import Batches
from model.checkpoint import load_model
from model.config import ModelConfig
from model.distributed import World, join_world
from model.export import export_model, export_obstacle
from model.precision import choose_device
from model.trainer import Report, TrainConfig, Trainer, settings_of
from model.transformer import Transformer
from pipeline import storage
from pipeline.errors import InputError
from pipeline.pack.shards import ShardSet
from pipeline.steps import Receipt, Step, write_receipt
from pipeline.storage import FileEntry, Manifest, is_local, join
from tokenizer.encoding import load_encoder

if TYPE_CHECKING:
    from jobs.config import RunConfig

MODEL = "model"
LOG = "training.jsonl"


def main(config: "RunConfig", engine: Engine | None = None, *, force: bool = False) -> Manifest:
    """The manifest of RUN/model, made now unless it is up to date. Beam has no part in it."""
    return train_run(config.run.folder, config.model, config.train, force=force)


def train_run(
    run: str, model_config: ModelConfig, config: TrainConfig, *, out: str = "", force: bool = False
) -> Manifest:
    """As `main`, for the run in folder `run`; the model goes to `out`/model, if given.

    Raises:
        SettingError: the batch does not divide into rows of the shards.
        DataError: the shards are of another tokenizer than that of the run.
    """
    world = join_world()
    step = _step(run, out or run, model_config, config, world)
    if not force and step.is_current():
        if world.leads:
            Progress.note("train: up to date")
        return storage.read_manifest(step.folder(MODEL))
    if world.leads:
        step.begin(force=force)
    world.wait()
    batches = _batches(run, config, world)
    trainer = Trainer(_new_model(model_config, config, batches), batches, config, step.folder(MODEL), world=world)
    _train(out or run, trainer)
    batches.close()
    if world.leads:
        _commit(step, trainer, join(run, "tokenizer", "tokenizer.json"))
    world.wait()
    return storage.read_manifest(step.folder(MODEL))


def _step(run: str, out: str, model_config: ModelConfig, config: TrainConfig, world: World) -> Step:
    device = choose_device(config.device, world.local_rank)
    settings = {"model": plain(model_config), "train": settings_of(config, device, world)}
    inputs = {name: join(run, name) for name in ("shards", "tokenizer")}
    return Step(
        run=out, name=MODEL, outputs=(MODEL,), settings=settings, inputs=inputs, versions={"torch": torch.__version__}
    )


def _batches(run: str, config: TrainConfig, world: World) -> Batches:
    shards = join(run, "shards")
    with_length = ShardSet.open(shards, "train")
    rows = config.rows(with_length.spec.sequence_length, world.size)
    with_length.close()
    expected = load_encoder(join(run, "tokenizer", "tokenizer.json")).hash
    return Batches(
        shards, "train", batch_rows=rows, seed=config.seed, rank=world.rank, world_size=world.size,
        weights=config.source_weights or None, expect_tokenizer=expected,
    )  # fmt: skip


def _new_model(model_config: ModelConfig, config: TrainConfig, batches: Batches) -> Transformer:
    torch.manual_seed(config.seed)
    return Transformer(model_config.architecture(vocab_size=batches.vocab_size, context_length=batches.sequence_length))


def _train(run: str, trainer: Trainer) -> None:
    trainer.resume()
    flops = costs(trainer.model.architecture, trainer.model).training_flops_per_token
    peak = peak_flops(torch.cuda.get_device_name(trainer.device)) if trainer.device.type == "cuda" else None
    if not trainer.world.leads:
        trainer.run(lambda report: None)
        return
    if trainer.step:
        Progress.note(f"train: going on after step {trainer.step}")
    with (
        Progress("train", total=trainer.config.num_steps(), unit="steps") as progress,
        _speed_log(run) as log,
        _board(run, wanted=trainer.config.tensorboard) as board,
    ):
        trainer.run(_Watch(progress, log, board, flops_per_token=flops, peak=peak and peak * trainer.world.size).saw)


@contextmanager
def _speed_log(run: str) -> Iterator[IO[str] | None]:
    """RUN/logs/training.jsonl to append to, where a file can be appended to."""
    if not is_local(run):
        yield None
        return
    path = join(run, "logs", LOG).removeprefix("file://")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8", buffering=1) as log:
        yield log


@contextmanager
def _board(run: str, *, wanted: bool) -> Iterator[Any]:
    """A writer for TensorBoard, or None.

    Raises:
        InputError: it is wanted and not installed.
    """
    if not wanted:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "train.tensorboard is set, but tensorboard is not installed: pip install tensorboard"
        ) from None
    writer = SummaryWriter(join(run, "logs", "tensorboard"))
    try:
        yield writer
    finally:
        writer.close()


class _Watch:
    """Tells people and the log of speeds how fast training is."""

    def __init__(
        self, progress: Progress, log: IO[str] | None, board: Any, *, flops_per_token: float, peak: float | None
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
        self._progress.set(report.step, text=f"{rate:,.0f} tokens/s · loss {report.loss:.3f}" + self._utilisation(rate))
        if report.step % 10 == 0 or report.step == report.num_steps:
            self._write(report, (report.tokens - self._last_tokens) / max(now - self._last, 1e-9))
            self._last, self._last_tokens = now, report.tokens

    def _utilisation(self, rate: float) -> str:
        return f" · {rate * self._flops / self._peak:.0%} MFU" if self._peak else ""

    def _write(self, report: Report, rate: float) -> None:
        if self._board is not None:
            for name, value in (
                ("loss", report.loss),
                ("grad_norm", report.grad_norm),
                ("learning_rate", report.learning_rate),
                ("tokens_per_second", rate),
            ):
                self._board.add_scalar(name, value, report.step)
        if self._log is None:
            return
        line: dict[str, Any] = report._asdict() | {"tokens_per_second": round(rate, 1), "time": round(time.time(), 3)}
        if self._peak:
            line["mfu"] = round(rate * self._flops / self._peak, 4)
        self._log.write(json.dumps(line, allow_nan=True) + "\n")


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
