"""Multi-head latent attention (DeepSeek-V2, 2024): keys and values are read from one small latent a token.

The cache holds that latent and one rotary key for all heads. Names are those of DeepSeek-V3 in Hugging Face.

Shapes: B batch, T query length, S key length, H heads, D size of a head without its position,
R rotary size, L latent size, E hidden size.
"""

import torch
from torch import Tensor, nn

from model.attention import Context, attend
from model.cache import LayerCache
from model.config import Architecture
from model.norms import RMSNorm
from model.positions import rotate

_EPSILON = 1e-6  # of the norms of latents, as in DeepSeek-V3, whatever model.norm_epsilon is


class LatentAttention(nn.Module):
    """Self-attention over keys and values that are decompressed from a latent."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        hidden, heads, biases = architecture.hidden_size, architecture.num_heads, architecture.biases
        self.num_heads = heads
        self.head_size = architecture.head_size
        self.rotary_size = architecture.rotary_size
        self.latent_size = architecture.latent_key_size
        self.dropout = architecture.dropout
        query_size = heads * (self.head_size + self.rotary_size)
        if architecture.latent_query_size is None:
            self.q_proj = nn.Linear(hidden, query_size, bias=False)
        else:
            self.q_a_proj = nn.Linear(hidden, architecture.latent_query_size, bias=biases)
            self.q_a_layernorm = RMSNorm(architecture.latent_query_size, _EPSILON)
            self.q_b_proj = nn.Linear(architecture.latent_query_size, query_size, bias=False)
        self.latent_query = architecture.latent_query_size is not None
        self.kv_a_proj_with_mqa = nn.Linear(hidden, self.latent_size + self.rotary_size, bias=biases)
        self.kv_a_layernorm = RMSNorm(self.latent_size, _EPSILON)
        self.kv_b_proj = nn.Linear(self.latent_size, heads * 2 * self.head_size, bias=False)
        self.o_proj = nn.Linear(heads * self.head_size, hidden, bias=biases)

    def forward(self, x_BTE: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        """(B, T, E); with a `cache`, latents of earlier tokens come from there."""
        assert context.cos is not None
        assert context.sin is not None
        query_BHTQ = self._heads(self._queries(x_BTE))
        plain, turned = torch.split(query_BHTQ, [self.head_size, self.rotary_size], dim=-1)
        query = torch.cat((plain, rotate(turned, context.cos, context.sin)), dim=-1)
        latent_BTL, rotary_BTR = torch.split(
            self.kv_a_proj_with_mqa(x_BTE), [self.latent_size, self.rotary_size], dim=-1
        )
        rotary_B1TR = rotate(rotary_BTR[:, None], context.cos, context.sin)
        latent_B1TL = self.kv_a_layernorm(latent_BTL)[:, None]
        if cache is not None:
            latent_B1TL, rotary_B1TR = cache.extend(latent_B1TL, rotary_B1TR)
        key, value = self._keys_and_values(latent_B1TL[:, 0], rotary_B1TR)
        mixed_BHTD = attend(query, key, value, context, self.dropout if self.training else 0.0)
        out: Tensor = self.o_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        return out

    def _queries(self, x_BTE: Tensor) -> Tensor:
        out: Tensor = (
            self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_BTE))) if self.latent_query else self.q_proj(x_BTE)
        )
        return out

    def _heads(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.view(*x_BTE.shape[:2], self.num_heads, -1).transpose(1, 2)

    def _keys_and_values(self, latent_BSL: Tensor, rotary_B1SR: Tensor) -> tuple[Tensor, Tensor]:
        plain, value = torch.split(self._heads(self.kv_b_proj(latent_BSL)), self.head_size, dim=-1)
        return torch.cat((plain, rotary_B1SR.expand(-1, self.num_heads, -1, -1)), dim=-1), value
