"""What a model costs before anybody trains it: parameters, operations, memory, and the cache of each kind of attention."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from model.accounting import costs, preset_table, readable_bytes
from model.cache import cache_bytes_per_token
from model.config import Architecture, AttentionKind
from model.transformer import Transformer
from pipeline.errors import SettingError

if TYPE_CHECKING:
    from jobs.config import RunConfig


def main(config: "RunConfig | None" = None) -> str:
    """The costs of the model of `config`, or of all presets, as text."""
    if config is None:
        return "\n".join(preset_table())
    architecture = config.model.architecture(
        vocab_size=config.tokenizer.vocab_size, context_length=config.pack.sequence_length
    )
    return "\n".join(lines(architecture))


def lines(architecture: Architecture) -> Iterator[str]:
    """A line for each cost, then a line for each kind of attention."""
    with torch.device("meta"):
        cost = costs(architecture, Transformer(architecture))
    yield f"parameters           {cost.parameters:,} ({cost.embedding_parameters:,} in embeddings)"
    yield f"operations a token   {cost.training_flops_per_token:.3g} (forward and backward)"
    yield f"training memory      {readable_bytes(cost.training_bytes)} (weights, gradients, AdamW's moments; without activations)"
    length = architecture.context_length
    yield f"cache in 16 bits     a token, and a context of {length:,}"
    for name, kind in attention_kinds(architecture):
        size = cache_bytes_per_token(kind)
        chosen = " <- [model]" if cache_of(kind) == cache_of(architecture) else ""
        yield f"  {name:<18} {readable_bytes(size):>10} {readable_bytes(size * length):>10}{chosen}"


def cache_of(architecture: Architecture) -> tuple[bool, int]:
    """What decides the cache: whether it is latent, and the number of key heads."""
    return architecture.attention == "mla", architecture.num_kv_heads


def attention_kinds(architecture: Architecture) -> Iterator[tuple[str, Architecture]]:
    """The same model with every number of key heads, and with latent keys where it can have them."""
    heads = architecture.num_heads
    for number in sorted((n for n in range(1, heads + 1) if heads % n == 0), reverse=True):
        kind: AttentionKind = "mha" if number == heads else "mqa" if number == 1 else "gqa"
        yield f"{kind}, {number} key heads", replace(architecture, attention=kind, num_kv_heads=number)
    try:
        latent = replace(architecture, attention="mla", num_kv_heads=heads)
    except SettingError:  # its positions do not go with it
        return
    yield f"mla, latent of {latent.latent_key_size}", latent
