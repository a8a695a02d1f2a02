"""Attention with a key for every head, for groups of heads, or for all (MHA, GQA, MQA).

Shapes: B batch, T query length, S key length, H heads, K groups that share keys, D head size, E hidden size.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from model.apart import Documents, attend_apart
from model.cache import LayerCache
from model.config import Architecture
from model.norms import RMSNorm
from model.positions import rotate

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

    Mask = Tensor | BlockMask | Documents


class Context(NamedTuple):
    """What every layer of one forward pass shares.

    `cos` and `sin` turn queries and keys, where positions are rotary. `mask` is true where a query may
    look, or a number to add to the logit: (B or 1, 1 or H, T, S); or blocks, see `model.flex`; or documents that are
    taken apart, see `model.apart`; None means plain causal or, without `causal`, everything.
    """

    causal: bool
    cos: Tensor | None = None
    sin: Tensor | None = None
    mask: "Mask | None" = None


def attend(query_BHTD: Tensor, key_BKSD: Tensor, value_BKSD: Tensor, context: Context, dropout: float = 0.0) -> Tensor:
    """Scaled dot-product attention: (B, H, T, D of the values)."""
    if isinstance(context.mask, Documents):
        return attend_apart(query_BHTD, key_BKSD, value_BKSD, context.mask, causal=context.causal, dropout=dropout)
    if context.mask is not None and not isinstance(context.mask, Tensor):
        from model.flex import attend_blocks

        return attend_blocks(query_BHTD, key_BKSD, value_BKSD, context.mask)
    groups = query_BHTD.shape[1] // key_BKSD.shape[1]
    if groups > 1:
        key_BKSD = key_BKSD.repeat_interleave(groups, dim=1)
        value_BKSD = value_BKSD.repeat_interleave(groups, dim=1)
    causal = context.mask is None and context.causal and query_BHTD.shape[2] > 1
    return F.scaled_dot_product_attention(
        query_BHTD, key_BKSD, value_BKSD, attn_mask=context.mask, is_causal=causal, dropout_p=dropout
    )


class Attention(nn.Module):
    """Self-attention with `num_kv_heads` keys and values for `num_heads` queries."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        hidden, biases = architecture.hidden_size, architecture.biases
        self.head_size = architecture.head_size
        self.dropout = architecture.dropout
        self.q_proj = nn.Linear(hidden, architecture.num_heads * self.head_size, bias=biases)
        self.k_proj = nn.Linear(hidden, architecture.num_kv_heads * self.head_size, bias=biases)
        self.v_proj = nn.Linear(hidden, architecture.num_kv_heads * self.head_size, bias=biases)
        self.o_proj = nn.Linear(architecture.num_heads * self.head_size, hidden, bias=biases)
        self.q_norm: RMSNorm | None = None
        self.k_norm: RMSNorm | None = None
        if architecture.query_key_norm:
            self.q_norm = RMSNorm(self.head_size, architecture.norm_epsilon)
            self.k_norm = RMSNorm(self.head_size, architecture.norm_epsilon)

    def forward(self, x_BTE: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        """(B, T, E); with a `cache`, keys and values of earlier tokens come from there."""
        query, key, value = (self._heads(project(x_BTE)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if self.q_norm is not None and self.k_norm is not None:
            query, key = self.q_norm(query), self.k_norm(key)
        if context.cos is not None and context.sin is not None:
            query, key = rotate(query, context.cos, context.sin), rotate(key, context.cos, context.sin)
        if cache is not None:
            key, value = cache.extend(key, value)
        mixed_BHTD = attend(query, key, value, context, self.dropout if self.training else 0.0)
        out: Tensor = self.o_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        return out

    def _heads(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.view(*x_BTE.shape[:2], -1, self.head_size).transpose(1, 2)


def pool_key_heads(weight: Tensor, *, head_size: int, num_kv_heads: int) -> Tensor:
    """The key or value weights (or biases) of multi-head attention, averaged over groups (Ainslie et al. 2023).

    `weight` is (H * head_size, …); what comes back is (num_kv_heads * head_size, …): where a model
    with grouped queries starts from when it is made from one without.
    """
    grouped = weight.reshape(num_kv_heads, -1, head_size, *weight.shape[1:])
    return grouped.mean(dim=1).flatten(0, 1)
