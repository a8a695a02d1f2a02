"""What a model costs: parameters, floating-point operations a token, memory, and the share of the peak reached."""

from dataclasses import dataclass

from torch import nn

from model.cache import cache_bytes_per_token
from model.config import Architecture

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


def peak_flops(device_name: str) -> float | None:
    """The peak of a GPU by its name, if we know it."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in device_name), None)
