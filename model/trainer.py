"""The training loop: batches in, checkpoints and a log out, resumed bit for bit after any kill.

The order of everything is fixed by the step: the loader gives batch k from a few integers, and the
random numbers of a step (dropout) are seeded by it. So 20 steps are the same bytes as 10 steps, a
kill, and 10 steps, on the same hardware with the same number of threads and processes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from model.checkpoint import FOLDER, Checkpoint, CheckpointWriter, newest_checkpoint
from model.config import Architecture
from model.distributed import World
from model.guard import SpikeGuard
from model.objectives import NO_LABEL, Example, SummedLoss, attention_path, packed_rows
from model.optimizer import Optimizers
from model.order import key_of
from model.parallel import average_now, gathered, load_weights, spread, whole
from model.precision import autocast, choose_device, choose_precision, prepare, to_device
from model.schedule import rate_at
from model.source import BatchSource, PackedBatch
from model.train_config import PACE_SETTINGS, TrainConfig
from model.transformer import Transformer
from pipeline.errors import DataError, SettingError
from pipeline.places import join


class Report(NamedTuple):
    """How training stands after a step; `loss` is nats a label."""

    step: int
    num_steps: int
    tokens: int
    loss: float
    grad_norm: float
    learning_rate: float
    skipped: bool


class Trainer:
    """Trains one model. The state of the whole is (weights, moments, a few integers); see `Checkpoint`."""

    def __init__(
        self, model: Transformer, source: BatchSource, config: TrainConfig, folder: str, *, world: World | None = None
    ) -> None:
        self.config = config
        self.world = world or World()
        self.folder = join(folder, FOLDER)
        self.device = choose_device(config.device, self.world.local_rank)
        self.precision = choose_precision(config.precision, self.device)
        prepare(self.device, self.precision, threads=config.threads)
        _check_path(config, model.architecture, self.device)
        self._path = config.attention_path
        if self._path == "auto":
            self._path = attention_path(model.architecture, self.device, compiled=config.compile)
        self.model = model.to(self.device)
        self.model.model.recompute = config.recompute_activations
        self.model.model.narrow = config.narrow_residual
        self.source = source
        self._objective = spread(
            SummedLoss(self.model), self.world, config.parallel, self.device, compiled=config.compile
        )
        self.optimizers = Optimizers(self.model, config.optimizer)  # of what `spread` made of the weights
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.guard = SpikeGuard(config.spike_factor)
        self.step = 0
        self.tokens = 0
        self.log: list[dict[str, Any]] = []

    def run(self, report: Callable[[Report], None], *, until: int | None = None) -> None:
        """Trains from the newest checkpoint, or from the start, to the end or to step `until`.

        Calls `report` after each step, in every process.
        """
        self.resume()
        last = self.config.num_steps() if until is None else until
        writer = CheckpointWriter(self.folder, keep=self.config.keep_checkpoints, every=self.config.checkpoint_steps)
        try:
            while self.step < last:
                report(self._one_step())
                if self.step == last or self.step % self.config.checkpoint_steps == 0:
                    self.save(writer)
            writer.wait()
        finally:
            writer.close()
        self.world.wait()

    def resume(self) -> None:
        """Takes up the newest checkpoint, if there is one.

        Raises:
            DataError: it is of another architecture.
        """
        checkpoint = newest_checkpoint(self.folder)
        if checkpoint is None or checkpoint.step <= self.step:
            return
        if checkpoint.architecture != self.model.architecture:
            raise DataError(f"{self.folder} holds a model of another architecture; use another folder or --force")
        load_weights(self.model, checkpoint.weights)
        self.optimizers.load(dict(checkpoint.moments))
        state = checkpoint.state
        self.source.load_state_dict(state["loader"])
        self.guard.load(**state["guard"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.tokens, self.log = checkpoint.step, state["tokens"], list(state["log"])

    def save(self, writer: CheckpointWriter) -> None:
        """Hands a checkpoint of this moment to `writer`, in the first process; the others add their shares."""
        leads = self.world.leads
        weights, moments = whole(self.model.state_dict(), keep=leads), whole(self.optimizers.state(), keep=leads)
        if not leads:
            return
        writer.write(
            Checkpoint(
                step=self.step,
                architecture=self.model.architecture,
                weights=weights,
                moments=moments,
                state={
                    "tokens": self.tokens,
                    "loader": dict(self.source.state_dict()),
                    "guard": self.guard.state(),
                    "scaler": self.scaler.state_dict(),
                    "log": list(self.log),
                },
            )
        )

    def _one_step(self) -> Report:
        torch.manual_seed(key_of("step", self.config.seed, self.step, self.world.rank))
        self.model.train()
        batch = self.source.next_batch()
        if batch is None:
            raise DataError(f"the rows ended at step {self.step} of {self.config.num_steps()}")
        share = self._set_rate()
        mean_loss = self._backward(batch)
        norm = self._clip()
        taken = self.guard.accepts(norm)
        if taken:
            for part in self.optimizers.parts:
                self.scaler.step(part)
        self.scaler.update()  # also behind a refused step: an overflow in fp16 lowers the scale
        self.optimizers.clear()
        self.step += 1
        self.tokens += batch.inputs.numel() * self.world.size
        done = Report(
            self.step,
            self.config.num_steps(),
            self.tokens,
            mean_loss,
            norm,
            self.config.optimizer.learning_rate * share,
            not taken,
        )
        if self.step % self.config.log_steps == 0 or self.step == done.num_steps or not taken:
            self.log.append({key: _rounded(value) for key, value in done._asdict().items() if key != "num_steps"})
        return done

    def _set_rate(self) -> float:
        share = rate_at(self.config, self.step)
        self.optimizers.set_rate(share)
        return share

    def _backward(self, batch: PackedBatch) -> float:
        """Leaves the gradient of the mean loss over the labels of all processes; returns that loss.

        Processes average their gradients, hence the factor of their number.
        """
        (num_labels,) = self.world.summed(int((batch.labels != NO_LABEL).sum()))
        losses = []  # read at the end: reading one waits for the device
        pieces = list(self._pieces(batch))
        for index, example in enumerate(pieces):
            average_now(self._objective, index == len(pieces) - 1)
            with autocast(self.precision, self.device):
                loss: Tensor = self._objective(example)
            self.scaler.scale(loss * (self.world.size / max(1.0, num_labels))).backward()  # type: ignore[no-untyped-call]  # torch
            losses.append(loss.detach())
        (summed,) = self.world.summed(math.fsum(map(float, losses)))
        return summed / max(1.0, num_labels)

    def _pieces(self, batch: PackedBatch) -> Iterator[Example]:
        rows = max(1, self.config.micro_batch_tokens // batch.inputs.shape[1])
        absolute = self.model.architecture.positions in ("sinusoidal", "learned")
        whole = (batch.inputs, batch.labels, batch.segment_ids)
        for inputs, labels, segments in zip(*(torch.split(each, rows) for each in whole), strict=True):
            yield packed_rows(
                *(to_device(each, self.device) for each in (inputs, labels, segments)),
                within_documents=self.config.within_documents,
                absolute=absolute,
                path=self._path,
            )

    def _clip(self) -> float:
        for part in self.optimizers.parts:
            self.scaler.unscale_(part)
        limit = self.config.clip_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        return float(gathered(norm))


def _check_path(config: TrainConfig, architecture: Architecture, device: torch.device) -> None:
    """Flex attention trains on GPUs alone, adds nothing to the logits and drops nothing; documents taken apart add nothing either."""
    reasons = {
        "it trains on GPUs alone": device.type == "cpu",
        "model.positions is 'relative'": architecture.positions == "relative",
        "model.dropout is not 0": architecture.dropout > 0,
    }
    why = next((reason for reason, found in reasons.items() if found), None)
    if why and config.attention_path == "flex" and config.within_documents:
        raise SettingError(f"train.attention_path is 'flex'; allowed here is 'mask', because {why}")
    if config.attention_path == "apart" and config.within_documents and architecture.positions == "relative":
        raise SettingError(
            "train.attention_path is 'apart'; allowed here is 'mask', because model.positions is 'relative'"
        )


def finite(value: float) -> float | None:
    """The value, or None where it is infinite or no number, which JSON does not have."""
    return value if math.isfinite(value) else None


def _rounded(value: float) -> float | None:
    """Six digits are what a log needs."""
    return finite(float(f"{value:.6g}")) if isinstance(value, float) else value


def settings_of(config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """What of the settings decides what a model learns, resolved for this machine."""
    values = {name: value for name, value in asdict(config).items() if name not in PACE_SETTINGS}
    return values | {"precision": choose_precision(config.precision, device), "device": device.type}
