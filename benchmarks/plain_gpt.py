"""A GPT-2 of the plainest kind with its training step, as a yardstick for `benchmarks.train --speed`.

LayerNorm without bias, learned positions, one product for queries, keys and values, torch's fused attention, GELU,
tied embeddings, one AdamW, gradients clipped at 1: the parts and the loop that minimal trainers have in common.

Shapes: B batch, T length, E hidden size, H heads.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and a feed-forward layer of four times the width."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(size, bias=False) for _ in range(2))
        self.attention = nn.Linear(size, 3 * size, bias=False)
        self.mixed = nn.Linear(size, size, bias=False)
        self.up, self.down = nn.Linear(size, 4 * size, bias=False), nn.Linear(4 * size, size, bias=False)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """(B, T, E)."""
        parts = self.attention(self.norms[0](x_BTE)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x_BTE = x_BTE + self.mixed(mixed.transpose(1, 2).flatten(2))
        out: Tensor = x_BTE + self.down(F.gelu(self.up(self.norms[1](x_BTE))))
        return out


class PlainGPT(nn.Module):
    """Ids in, the mean loss of the next ids out."""

    def __init__(self, *, vocab: int, length: int, size: int, layers: int, heads: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, size), nn.Embedding(length, size)
        self.blocks = nn.Sequential(*(Block(size, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(size, bias=False)
        self.apply(_initialise)

    def forward(self, inputs_BT: Tensor, labels_BT: Tensor) -> Tensor:
        """The loss, a scalar."""
        places = torch.arange(inputs_BT.shape[1], device=inputs_BT.device)
        hidden = self.norm(self.blocks(self.tokens(inputs_BT) + self.positions(places)))
        return F.cross_entropy(F.linear(hidden, self.tokens.weight).flatten(0, 1), labels_BT.flatten())


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)


def plain_step(model: PlainGPT, batch: Tensor, precision: str) -> Callable[[], object]:
    """One step of training on `batch`, again and again."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(batch[:, :-1], batch[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
