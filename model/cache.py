"""The cache of keys and values that makes generation linear in its length, and what it costs.

Shapes: B batch, H heads or groups of heads, S length so far, D size.
"""

import torch
from torch import Tensor

from model.config import Architecture


class LayerCache:
    """The tensors of one layer, growing along the second to last dimension."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, ...] = ()

    def extend(self, *new: Tensor) -> tuple[Tensor, ...]:
        """All that was ever added, with `new` behind it."""
        self._kept = tuple(torch.cat(pair, dim=-2) for pair in zip(self._kept, new, strict=True)) if self._kept else new
        return self._kept

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows of the batch, in this order, repeats allowed."""
        self._kept = tuple(tensor.index_select(0, rows) for tensor in self._kept)


class Cache:
    """One `LayerCache` a layer, and the number of positions that they hold."""

    def __init__(self, num_layers: int) -> None:
        self.layers = [LayerCache() for _ in range(num_layers)]
        self.length = 0

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows of the batch (beam search)."""
        for layer in self.layers:
            layer.select(rows)


def cache_bytes_per_token(architecture: Architecture, bytes_per_number: int = 2) -> int:
    """The bytes that the cache of one token takes in all layers together.

    Two heads of keys and values a group, or with latent attention the latent and the rotary key.
    """
    if architecture.attention == "mla":
        numbers = architecture.latent_key_size + architecture.rotary_size
    else:
        numbers = 2 * architecture.num_kv_heads * architecture.head_size
    return numbers * architecture.num_layers * bytes_per_number
