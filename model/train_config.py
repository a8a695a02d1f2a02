"""The settings of training: the tables [train] and [train.optimizer]. Reading settings imports no torch."""

import math
import os
from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import SettingError
from pipeline.places import is_local, join, on_disk

OptimizerKind = Literal["muon", "adamw"]
ScheduleKind = Literal["cosine", "wsd", "linear", "constant"]
AttentionPath = Literal["auto", "mask", "apart", "flex"]
PrecisionKind = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
ParallelKind = Literal["ddp", "fsdp"]
# Settings that say how a model is trained and not what it learns: in exact arithmetic all their values lead to the same weights
# (where dropout is 0), and what is kept of the way there. Any may change between two attempts at one training, or after it.
PACE_SETTINGS = frozenset(
    (
        "micro_batch_tokens", "processes", "parallel", "threads",
        "attention_path", "compile", "recompute_activations",
        "log_steps", "checkpoint_steps", "keep_checkpoints", "tensorboard",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The table [train.optimizer]."""

    kind: OptimizerKind = "muon"
    """muon: Muon for the matrices of the layers, AdamW for embeddings, norms and biases; adamw: AdamW for all."""
    learning_rate: float = 5e-3
    """The peak, for AdamW; Muon's step is scaled to the same size."""
    muon_rate: float = 2.0
    """What Muon's rate is of `learning_rate`."""
    weight_decay: float = 0.1
    """Of matrices and embeddings; norms and biases have none."""
    beta1: float = 0.9
    """Of AdamW, as the next two: how fast its mean of gradients forgets, and that of their squares."""
    beta2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.95
    """Of Muon."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "muon_rate", "epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise SettingError(f"train.optimizer.{name} is {getattr(self, name)}; allowed is a number above 0")
        for name in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(
                    f"train.optimizer.{name} is {getattr(self, name)}; allowed is 0 up to, not including, 1"
                )
        if not 0 <= self.weight_decay < math.inf:
            raise SettingError(f"train.optimizer.weight_decay is {self.weight_decay}; allowed is a number from 0")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The table [train]."""

    tokens: int = 1_000_000
    """The budget: positions seen in all, padding (under 0.1 %) included."""
    steps: int | None = None
    """The budget in steps instead."""
    batch_tokens: int = 2048
    """Positions in one step, over all processes."""
    micro_batch_tokens: int = 16_384
    """Positions in memory at a time in one process; more are accumulated, weighted by their labels."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleKind = "wsd"
    """wsd: constant, then linear decay; cosine; linear; constant. All after a linear warm-up."""
    warmup_share: float = 0.02
    """Share of the steps in which the learning rate rises."""
    decay_share: float = 0.5
    """wsd: share of the steps in which it falls."""
    final_share: float = 0.0
    """The learning rate at the end, as a share of its peak."""
    clip_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it; 0: never."""
    spike_factor: float | None = 10.0
    """A step whose gradient norm is above this many times the median of the last 64 is skipped; unset: only if it is not finite."""
    source_weights: dict[str, float] = field(default_factory=dict)
    """How often rows of each source are drawn; unset: every row once an epoch."""
    within_documents: bool = True
    """Attention stays inside each document of a row, so packing changes nothing."""
    attention_path: AttentionPath = "auto"
    """How it stays inside: by a mask, by taking the documents apart, or by flex attention (GPUs alone: it skips what no document
    reaches); auto: apart on processors unless `compile` is set, else the mask."""
    precision: PrecisionKind = "auto"
    """fp32, tf32 (GPUs), bf16, fp16; auto: bf16 where the hardware has it (weights stay in 32 bits)."""
    narrow_residual: bool = False
    """Under bf16 and fp16, keep the sums between layers in that type too, not in 32 bits: less memory traffic on GPUs, a little noise."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:1."""
    threads: int = 1
    """Threads of one process on the CPU. The sums of another number may differ in the last bit."""
    processes: int | None = None
    """Processes on this machine; unset: one for each GPU, as far as the batch divides among them, and one without GPUs."""
    parallel: ParallelKind = "ddp"
    """With several processes: ddp, each holds the whole model; fsdp, each holds a share of weights, gradients and moments."""
    compile: bool = False
    """Compile the model with torch.compile: a minute to start, then faster."""
    recompute_activations: bool = False
    """Keep only the inputs of the layers for the backward pass: much less memory, a third more work."""
    start_from: str = ""
    """The folder of an exported model (`hf/` of a run, `convert`) whose weights training starts from; unset: random ones."""
    seed: int = 0
    """Of the initial weights, the order of the rows and dropout."""
    tensorboard: bool = False
    """Also log to RUN/logs/tensorboard (needs the package tensorboard)."""
    log_steps: int = 10
    """A line of the log each so many steps."""
    checkpoint_steps: int = 200
    """A checkpoint each so many steps, and at the end."""
    keep_checkpoints: int = 2
    """So many of the latest stay."""

    def __post_init__(self) -> None:
        for name in (
            "tokens",
            "batch_tokens",
            "micro_batch_tokens",
            "threads",
            "log_steps",
            "checkpoint_steps",
            "keep_checkpoints",
        ):
            self._require(getattr(self, name) >= 1, name, "a whole number from 1")
        for name in ("steps", "processes"):
            value = getattr(self, name)
            self._require(value is None or value >= 1, name, "a whole number from 1")
        for name in ("warmup_share", "decay_share", "final_share"):
            self._require(0 <= getattr(self, name) <= 1, name, "a number from 0 to 1")
        for source, weight in self.source_weights.items():
            if not 0 <= weight < math.inf:
                raise SettingError(f"train.source_weights.{source} is {weight}; allowed is a number from 0")
        if self.source_weights and not any(self.source_weights.values()):
            raise SettingError("train.source_weights are all 0; at least one source needs a weight above 0")
        self._require(-(1 << 63) <= self.seed < 1 << 63, "seed", "a whole number of 64 bits")
        self._require(self.clip_norm >= 0, "clip_norm", "a number from 0")
        self._require(self.spike_factor is None or self.spike_factor > 1, "spike_factor", "a number above 1")

    def _require(self, fine: bool, name: str, allowed: str) -> None:
        if not fine:
            raise SettingError(f"train.{name} is {getattr(self, name)!r}; allowed is {allowed}")

    def check_start(self, run: str) -> None:
        """Raises SettingError if the model to start from is the one that training in the run folder `run` replaces."""
        start, replaced = (_whole(path) for path in (self.start_from, join(run, "model")))
        if self.start_from and f"{start}/".startswith(f"{replaced}/"):
            raise SettingError(
                f"train.start_from is {self.start_from}, of the model that training in {run} replaces; "
                "copy it elsewhere, or train in another run"
            )

    def num_steps(self) -> int:
        """The steps of the whole run."""
        return self.steps or max(1, math.ceil(self.tokens / self.batch_tokens))

    def rows(self, sequence_length: int, world: int = 1) -> int:
        """The rows of one step in each of `world` processes.

        Raises:
            SettingError: the batch does not divide into whole rows.
        """
        rows, rest = divmod(self.batch_tokens, sequence_length * world)
        if rest or rows < 1:
            raise SettingError(
                f"train.batch_tokens is {self.batch_tokens}; allowed is a multiple of the row length {sequence_length} "
                f"(pack.sequence_length) times the number of processes, {world}"
            )
        return rows


def _whole(path: str) -> str:
    """A folder in the one form in which two can be compared."""
    return os.path.realpath(on_disk(path)) if is_local(path) else path.rstrip("/")
