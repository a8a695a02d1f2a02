"""What a model costs: parameters, floating-point operations a token, memory, and the share of the peak reached."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from model.cache import cache_bytes_per_token
from model.config import PRESETS, Architecture, ModelConfig
from model.precision import TYPES
from model.transformer import Transformer

# Dense peak of the matrix units in bf16, operations a second, as their makers state them.
PEAK_FLOPS: dict[str, float] = {
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "4090": 165e12,
    "3090": 71e12,
    "V100": 125e12,
    "T4": 65e12,
}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The costs of an architecture. Memory is that of training in 32 bits with AdamW, without activations."""

    parameters: int
    embedding_parameters: int
    training_flops_per_token: float
    training_bytes: int
    cache_bytes_per_token: int


def costs(architecture: Architecture, model: nn.Module) -> Costs:
    """The costs of `model` (it may lie on the meta device)."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    embedding = sum(parameter.numel() for name, parameter in model.named_parameters() if "embed" in name)
    return Costs(
        parameters=parameters,
        embedding_parameters=embedding,
        training_flops_per_token=training_flops(architecture, parameters, embedding),
        training_bytes=16 * parameters,
        cache_bytes_per_token=cache_bytes_per_token(architecture),
    )


def training_flops(architecture: Architecture, parameters: int, embedding: int) -> float:
    """Operations for one token forward and backward, by the count of PaLM (Chowdhery et al. 2022, appendix B).

    6 for each weight of a matrix product (the embedding counts where it is the output layer too), and
    12 × layers × heads × head size × context for attention over whole rows.
    """
    multiplied = parameters if architecture.tie_embeddings else parameters - embedding
    width = architecture.num_heads * architecture.head_size
    return 6.0 * multiplied + 12.0 * architecture.num_layers * width * architecture.context_length


def peak_flops(device: torch.device, precision: str) -> float:
    """Operations a second that `device` can do: what the maker of a GPU states (in bf16), else what we measure.

    What is measured is a large matrix product in `precision`, on as many threads as torch uses.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None) or _measured_flops(device, precision)


def _measured_flops(device: torch.device, precision: str, size: int = 768) -> float:
    one = torch.ones(size, size, device=device, dtype=TYPES.get(precision, torch.float32))
    best = float("inf")
    for _ in range(4):  # the first one warms up
        start = time.perf_counter()
        float((one @ one)[0, 0])
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def preset_table(*, vocab_size: int = 32_768, context_length: int = 1024) -> Iterator[str]:
    """The presets as a Markdown table, a line at a time."""
    yield (
        "| preset | layers | width | heads (keys) | feed-forward | parameters | of these embeddings "
        "| TFLOP / 1 M tokens | training memory | cache / token |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name in PRESETS:
        shape = ModelConfig(preset=name).architecture(vocab_size=vocab_size, context_length=context_length)
        with torch.device("meta"):
            cost = costs(shape, Transformer(shape))
        yield (
            f"| {name} | {shape.num_layers} | {shape.hidden_size} | {shape.num_heads} ({shape.num_kv_heads}) "
            f"| {shape.ffn_size} | {cost.parameters / 1e6:,.1f} M | {cost.embedding_parameters / 1e6:,.1f} M "
            f"| {cost.training_flops_per_token / 1e6:,.0f} | {readable_bytes(cost.training_bytes)} "
            f"| {readable_bytes(cost.cache_bytes_per_token)} |"
        )


def readable_bytes(count: float) -> str:
    """`count` bytes with a unit that keeps the number short."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
