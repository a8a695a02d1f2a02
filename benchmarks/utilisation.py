"""How much of a machine training uses: tokens a second and MFU of our trainer, step by step as `corpusmill train` runs it.

    python -m benchmarks.utilisation                                       one GPU: 124 M parameters, T=1024, bf16, compiled
    torchrun --nproc-per-node=8 -m benchmarks.utilisation --parallel fsdp  several
    python -m benchmarks.utilisation --device cpu --preset 1m --vocab 4096 --length 256 --rows 8 --steps 4 --no-compile

Rows are packed with documents of web-like lengths. Three ways of attention: over whole rows (`causal`), inside
documents by a mask, inside documents by flex attention (GPUs alone). Operations are PaLM's count (attention over
whole rows, the embedding once, as the output layer); the peak is the maker's for bf16, on a CPU a measured product.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.accounting import costs, peak_flops
from model.config import ModelConfig
from model.distributed import World, join_world, leave_world
from model.train_config import OptimizerConfig, TrainConfig
from model.trainer import Trainer
from model.transformer import Transformer
from pipeline.errors import CorpusmillError


class Rows(NamedTuple):
    """A batch of packed rows."""

    inputs: Tensor
    labels: Tensor
    segment_ids: Tensor
    sources: tuple[str, ...] = ()


@dataclass
class PackedNoise:
    """The same few batches for ever: random ids in documents of lognormal lengths (median 600)."""

    vocab: int
    rows: int
    length: int
    seed: int

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        self._batches = [self._made(generator) for _ in range(2)]
        self._place = 0

    def _made(self, generator: torch.Generator) -> Rows:
        tokens = torch.randint(self.vocab, (self.rows, self.length + 1), generator=generator)
        lengths = torch.randn(self.rows, self.length // 4 + 1, generator=generator).mul(1.1).exp().mul(600).clamp(min=8)
        ends = lengths.cumsum(dim=1).long()
        segments = torch.searchsorted(ends, torch.arange(self.length).expand(self.rows, -1).contiguous(), right=True)
        return Rows(tokens[:, :-1], tokens[:, 1:], segments)

    def next_batch(self) -> Rows:
        """The next rows."""
        self._place += 1
        return self._batches[self._place % 2]

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Any) -> None:
        """Nothing."""


def measure(options: argparse.Namespace, path: str, world: World) -> None:
    """Prints tokens a second, MFU and memory of one way of attention."""
    config = TrainConfig(
        steps=10**6,
        batch_tokens=options.rows * options.length * options.pieces * world.size,
        micro_batch_tokens=options.rows * options.length,
        optimizer=OptimizerConfig(kind=options.optimizer),
        within_documents=path != "causal",
        attention_path="flex" if path == "flex" else "mask",
        precision=options.precision, device=options.device, compile=options.compile, parallel=options.parallel,
        narrow_residual=options.narrow, threads=options.threads,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(preset=options.preset).architecture(vocab_size=options.vocab, context_length=options.length)
    )
    source = PackedNoise(options.vocab, options.rows * options.pieces, options.length, seed=world.rank)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(model, source, config, folder, world=world)
        cost = costs(model.architecture, model)
        seconds = _seconds_a_step(trainer, options.steps)
    rate = config.batch_tokens / seconds
    used = rate * cost.training_flops_per_token / (peak_flops(trainer.device, trainer.precision) * world.size)
    if world.leads:
        print(
            f"{options.preset}, {cost.parameters / 1e6:.1f} M parameters, T={options.length}, {path:<6} "
            f"{trainer.precision}: {1000 * seconds:,.0f} ms a step of {config.batch_tokens:,} tokens, "
            f"{rate:,.0f} tokens/s, {used:.1%} MFU{_memory(trainer.device)}",
            flush=True,
        )


def _seconds_a_step(trainer: Trainer, steps: int) -> float:
    """The median over `steps`, after three that compile and warm up; each ends with the device idle."""
    times = []
    for _ in range(3 + steps):
        start = time.perf_counter()
        trainer._one_step()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        times.append(time.perf_counter() - start)
    return sorted(times[3:])[steps // 2]


def _memory(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    text = (
        f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at most on {torch.cuda.get_device_name(device)}"
    )
    torch.cuda.reset_peak_memory_stats(device)
    return text


def main() -> None:
    """Measures each way of attention that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", default="85m", help="85m has 124 M parameters with a vocabulary of 50,304")
    parser.add_argument("--vocab", type=int, default=50_304)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=32, help="rows in memory at a time in each process")
    parser.add_argument("--pieces", type=int, default=4, help="times that many rows a step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw")
    parser.add_argument("--parallel", choices=("ddp", "fsdp"), default="ddp")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--narrow", action="store_true", help="the residual stream in bf16 too")
    parser.add_argument("--paths", nargs="+", choices=("causal", "mask", "flex"))
    options = parser.parse_args()
    try:
        _measure_all(options)
    except CorpusmillError as error:
        parser.exit(1, f"benchmarks: {error}\n")


def _measure_all(options: argparse.Namespace) -> None:
    world = join_world()
    for path in options.paths or (
        ("causal", "mask", "flex") if options.device.startswith("cuda") else ("causal", "mask")
    ):
        measure(options, path, world)
    leave_world()


if __name__ == "__main__":
    main()
