"""Training, measured: speed beside `transformers`, quality on tiny-shakespeare, and what the presets cost.

    python -m benchmarks.train --speed        tokens a second, ours, LlamaForCausalLM and a plain GPT-2, same run
    python -m benchmarks.train --packed       tokens a second over packed rows, documents taken apart beside the mask
    python -m benchmarks.train --shakespeare  full-validation loss at nanoGPT's CPU budget, beside n-gram models
    python -m benchmarks.train --device cuda  tokens a second and MFU of a GPU, see benchmarks/utilisation.py
    python -m benchmarks.train --presets      parameters, operations and memory of each preset, as a table

One CPU thread; speeds are by CPU seconds, so a busy machine disturbs them less.
"""

import argparse
import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import utilisation
from benchmarks.plain_gpt import PlainGPT, plain_step
from model.accounting import preset_table
from model.config import ModelConfig
from model.evaluate_config import Smoothing
from model.evaluator import ngram_scores
from model.export import export_model
from model.ngram import count_ngrams
from model.train_config import AttentionPath, OptimizerConfig, OptimizerKind, TrainConfig
from model.trainer import Report, Trainer
from model.transformer import Transformer

TEXT = Path(__file__).parents[1].parent / "shared/data/corpora/tinyshakespeare/input.txt"


@dataclass
class Windows:
    """A batch of plain windows of text: one document a row, unless `numbers` says which place is whose."""

    inputs: Tensor
    labels: Tensor
    numbers: Tensor | None = None

    @property
    def segment_ids(self) -> Tensor:
        """All zero where nothing is packed."""
        return torch.zeros_like(self.inputs) if self.numbers is None else self.numbers

    @property
    def sources(self) -> tuple[str, ...]:
        """None."""
        return ()


class TextWindows:
    """Windows of a text: in each epoch all that begin at multiples of their length behind a random offset, shuffled."""

    def __init__(self, tokens: Tensor, *, rows: int, length: int, seed: int) -> None:
        self.tokens, self.rows, self.length, self.seed = tokens, rows, length, seed
        self.per_epoch = (len(tokens) - 1) // length - 1
        self.place = 0

    def next_batch(self) -> Windows:
        """The next rows."""
        numbers = range(self.place * self.rows, (self.place + 1) * self.rows)
        starts = [self._start(number) for number in numbers]
        self.place += 1
        rows = torch.stack([self.tokens[start : start + self.length + 1] for start in starts])
        return Windows(rows[:, :-1], rows[:, 1:])

    def _start(self, number: int) -> int:
        epoch, index = divmod(number, self.per_epoch)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        offset = int(torch.randint(self.length, (), generator=generator))
        return int(torch.randperm(self.per_epoch, generator=generator)[index]) * self.length + offset

    def state_dict(self) -> Mapping[str, Any]:
        """The place."""
        return {"place": self.place}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes there."""
        self.place = state["place"]


def speed(steps: int) -> None:
    """Prints tokens a CPU second of three loops on equal batches with AdamW, in turns, and of ours with Muon, its default.

    Ours and `LlamaForCausalLM` have equal weights; a plain GPT-2 (see `benchmarks.plain_gpt`) has about as many.
    """
    from transformers import AutoModelForCausalLM

    for name, vocab, rows, length in (("1m", 4096, 8, 256), ("3m", 8192, 8, 256)):
        shape = ModelConfig(preset=name).architecture(vocab_size=vocab, context_length=length)
        ours = Transformer(shape)
        plain = PlainGPT(
            vocab=vocab, length=length, size=shape.hidden_size, layers=shape.num_layers, heads=shape.num_heads
        )
        batch = torch.randint(vocab, (rows, length + 1))
        sizes = [sum(each.numel() for each in model.parameters()) for model in (ours, plain)]
        print(f"{name}, vocabulary {vocab}, T={length}: {sizes[0]:,} parameters, the plain GPT-2 {sizes[1]:,}")
        with tempfile.TemporaryDirectory() as folder:
            export_model(ours, folder, end_of_text_id=0)
            theirs = AutoModelForCausalLM.from_pretrained(folder)
            for precision in ("fp32", "bf16"):
                loops = {
                    "ours": _our_step(ours, batch, folder, precision),
                    "ours with Muon": _our_step(ours, batch, folder, precision, "muon"),
                    "transformers": _their_step(theirs, batch, precision),
                    "plain GPT-2": plain_step(plain, batch, precision),
                }
                rates = {loop: rows * length / seconds for loop, seconds in _least_seconds(loops, steps).items()}
                print(
                    f"  {precision}: "
                    + ", ".join(
                        f"{loop} {rate:,.0f} tokens/s (x{rates['ours'] / rate:.2f})" for loop, rate in rates.items()
                    ),
                    flush=True,
                )


def packed(steps: int) -> None:
    """Prints tokens a CPU second of our loop over rows of documents of exponential length, by how attention stays inside them."""
    paths: tuple[AttentionPath, ...] = ("apart", "mask")
    for length, mean in ((256, 100), (512, 250), (1024, 250), (1024, 1000), (2048, 500)):
        rows = 4096 // length
        model = Transformer(ModelConfig(preset="1m").architecture(vocab_size=4096, context_length=length))
        torch.manual_seed(0)
        batch, numbers = torch.randint(4096, (rows, length + 1)), (torch.rand(rows, length) < 1 / mean).cumsum(dim=1)
        for precision in ("fp32", "bf16"):
            with tempfile.TemporaryDirectory() as folder:
                loops = {path: _our_step(model, batch, folder, precision, numbers=numbers, path=path) for path in paths}
                rates = {path: rows * length / seconds for path, seconds in _least_seconds(loops, steps).items()}
            print(
                f"1m, T={length}, documents of {mean} on average, {precision}: apart {rates['apart']:,.0f} tokens/s, mask "
                f"{rates['mask']:,.0f} (x{rates['apart'] / rates['mask']:.2f})",
                flush=True,
            )


def _our_step(
    model: Transformer,
    batch: Tensor,
    folder: str,
    precision: str,
    kind: OptimizerKind = "adamw",
    numbers: Tensor | None = None,
    path: AttentionPath = "auto",
) -> Callable[[], object]:
    windows = Windows(batch[:, :-1], batch[:, 1:], numbers)
    source = TextWindows(batch.flatten(), rows=1, length=8, seed=0)
    source.next_batch = lambda: windows  # type: ignore[method-assign]
    config = TrainConfig(
        batch_tokens=windows.inputs.numel(), steps=10**6, precision=precision,  # type: ignore[arg-type]
        optimizer=OptimizerConfig(kind=kind), device="cpu", attention_path=path,
    )  # fmt: skip
    return Trainer(model, source, config, folder)._one_step


def _their_step(model: Any, batch: Tensor, precision: str) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, foreach=True)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def _least_seconds(loops: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The least CPU time of a step of each loop; they take turns, so that what disturbs one disturbs all."""
    least = dict.fromkeys(loops, math.inf)
    for turn in range(1 + repeats):
        for loop, step in loops.items():
            start = time.process_time()
            step()
            if turn:  # the first makes what later ones find
                least[loop] = min(least[loop], time.process_time() - start)
    return least


# nanoGPT's recipe for a CPU: 2,000 steps of 12 rows of 64 characters, 804,096 parameters; its loss over all of
# the validation tenth is 1.90.
SHAKESPEARE = TrainConfig(
    steps=2000,
    batch_tokens=12 * 64,
    precision="fp32",
    device="cpu",
    log_steps=2000,
    checkpoint_steps=2000,
    within_documents=False,
    decay_share=0.8,
)
SHAKESPEARE_MODEL = ModelConfig(
    hidden_size=128, num_layers=4, num_heads=4, num_kv_heads=4, ffn_size=344, query_key_norm=True
)


def shakespeare(seeds: list[int]) -> None:
    """Prints the loss over all of the validation text, in windows of 64 characters, for each seed."""
    text = TEXT.read_text()
    names = {character: number for number, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([names[character] for character in text])
    train, heldout = tokens[: int(0.9 * len(tokens))], tokens[int(0.9 * len(tokens)) :]
    for seed in seeds:
        torch.manual_seed(seed)
        model = Transformer(SHAKESPEARE_MODEL.architecture(vocab_size=len(names), context_length=64))
        start = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            Trainer(
                model, TextWindows(train, rows=12, length=64, seed=seed), replace(SHAKESPEARE, seed=seed), folder
            ).run(_say)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"seed {seed}: {parameters:,} parameters, {2000 * 12 * 64:,} characters seen, "
            f"validation loss {validation_loss(model, heldout):.4f}, {time.process_time() - start:.0f} CPU s", flush=True,
        )  # fmt: skip
    _print_ngrams(train, heldout, len(names))


def _say(report: Report) -> None:
    if report.step % 500 == 0:
        print(f"  step {report.step}: loss {report.loss:.3f}", flush=True)


@torch.inference_mode()
def validation_loss(model: Transformer, tokens: Tensor, length: int = 64) -> float:
    """Nats a character over the whole text, in windows that begin where the one before ends."""
    model.eval()
    count = (len(tokens) - 1) // length
    inputs, labels = tokens[: count * length].view(-1, length), tokens[1 : count * length + 1].view(-1, length)
    total = 0.0
    for part, wanted in zip(torch.split(inputs, 256), torch.split(labels, 256), strict=True):
        total += torch.nn.functional.cross_entropy(model(part).flatten(0, 1), wanted.flatten(), reduction="sum").item()
    return total / (count * length)


def _print_ngrams(train: Tensor, heldout: Tensor, vocab: int) -> None:
    parts = [(part.numpy().astype(np.int64), np.zeros(len(part), dtype=np.int64)) for part in (train, heldout)]
    orders = count_ngrams(*parts[0], order=8, vocab_size=vocab)
    smoothings: tuple[Smoothing, ...] = ("kneser_ney", "witten_bell")
    for smoothing in smoothings:
        scores = ngram_scores(orders, parts[1], np.ones(vocab, dtype=np.int64), smoothing)
        print(f"{smoothing} 1 to 8:", " ".join(f"{each['loss']:.3f}" for each in scores.values()))


def main() -> None:
    """Runs what is asked for, or the speed comparison."""
    if any(argument.startswith("--device") for argument in sys.argv[1:]):
        utilisation.main()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--shakespeare", action="store_true")
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1337])
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.presets:
        print("\n".join(preset_table()))
    if arguments.shakespeare:
        shakespeare(arguments.seeds)
    if arguments.packed:
        packed(arguments.steps)
    if arguments.speed or not (arguments.presets or arguments.shakespeare or arguments.packed):
        speed(arguments.steps)
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB, {math.ceil(time.process_time())} CPU s in all"
    )


if __name__ == "__main__":
    main()
