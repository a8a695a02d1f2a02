"""The Transformer: a stack of attention and feed-forward layers over token embeddings, LLaMA-shaped by default.

Modules are named as in Hugging Face, so that an export renames nothing.

Shapes: B batch, T length, S length with what the cache holds, H heads, E hidden size, V vocabulary.
"""

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.attention import Attention, Context
from model.cache import Cache, LayerCache
from model.config import Architecture
from model.feedforward import FeedForward
from model.latent import LatentAttention
from model.masks import causal_mask
from model.norms import build_norm
from model.positions import RelativeBias, Rotary, sinusoids

if TYPE_CHECKING:
    from model.attention import Mask


class Layer(nn.Module):
    """Attention, then feed-forward, each added to the residual stream, normalised before or after."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size, epsilon = architecture.hidden_size, architecture.norm_epsilon
        self.pre = architecture.norm_place == "pre"
        self.input_layernorm = build_norm(architecture.norm, size, epsilon)
        self.self_attn = LatentAttention(architecture) if architecture.attention == "mla" else Attention(architecture)
        self.post_attention_layernorm = build_norm(architecture.norm, size, epsilon)
        self.mlp = FeedForward(architecture)
        self.dropout = nn.Dropout(architecture.dropout)

    def forward(self, x_BTE: Tensor, context: Context, cache: LayerCache | None = None) -> Tensor:
        """(B, T, E)."""
        if self.pre:
            x_BTE = x_BTE + self.dropout(self.self_attn(self.input_layernorm(x_BTE), context, cache))
            after: Tensor = x_BTE + self.dropout(self.mlp(self.post_attention_layernorm(x_BTE)))
            return after
        x_BTE = self.input_layernorm(x_BTE + self.dropout(self.self_attn(x_BTE, context, cache)))
        out: Tensor = self.post_attention_layernorm(x_BTE + self.dropout(self.mlp(x_BTE)))
        return out


class Stack(nn.Module):
    """Embeddings, layers and, with norms before the layers, a last norm."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embed_tokens = nn.Embedding(architecture.vocab_size, architecture.hidden_size)
        self.embed_positions = (
            nn.Embedding(architecture.context_length, architecture.hidden_size)
            if architecture.positions == "learned"
            else None
        )
        self.relative_bias = (
            RelativeBias(architecture.num_heads, causal=architecture.causal)
            if architecture.positions == "relative"
            else None
        )
        turned = architecture.rotary_size if architecture.attention == "mla" else architecture.head_size
        self.rotary = Rotary(turned, architecture.rope_theta) if architecture.positions == "rope" else None
        self.layers = nn.ModuleList(Layer(architecture) for _ in range(architecture.num_layers))
        pre = architecture.norm_place == "pre"
        self.norm = (
            build_norm(architecture.norm, architecture.hidden_size, architecture.norm_epsilon) if pre else nn.Identity()
        )
        self.dropout = nn.Dropout(architecture.dropout)
        self.recompute = False  # activation checkpointing: less memory, a third more work
        self.narrow = False  # under autocast the residual stream in its type too, not in 32 bits

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        mask: "Mask | None" = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The hidden states (B, T, E). See `Transformer.forward`."""
        past = cache.length if cache is not None else 0
        if positions is None:
            positions = torch.arange(past, past + tokens_BT.shape[1], device=tokens_BT.device)
        x_BTE = self._embed(tokens_BT, positions)
        context = self._context(tokens_BT.shape[1], past, positions, mask, x_BTE)
        for index, layer in enumerate(self.layers):
            if self.recompute and self.training:
                x_BTE = checkpoint(layer, x_BTE, context, use_reentrant=False)
            else:
                x_BTE = layer(x_BTE, context, None if cache is None else cache.layers[index])
        if cache is not None:
            cache.length += tokens_BT.shape[1]
        out: Tensor = self.norm(x_BTE)
        return out

    def _embed(self, tokens_BT: Tensor, positions: Tensor) -> Tensor:
        x_BTE = self.embed_tokens(tokens_BT)
        if self.embed_positions is not None:
            x_BTE = x_BTE + self.embed_positions(positions)
        elif self.architecture.positions == "sinusoidal":
            x_BTE = x_BTE + sinusoids(positions, self.architecture.hidden_size).to(x_BTE.dtype)
        if self.narrow and torch.is_autocast_enabled(x_BTE.device.type):
            x_BTE = x_BTE.to(torch.get_autocast_dtype(x_BTE.device.type))
        out: Tensor = self.dropout(x_BTE)
        return out

    def _context(self, length: int, past: int, positions: Tensor, mask: "Mask | None", x_BTE: Tensor) -> Context:
        cos = sin = None
        if self.rotary is not None:
            cos, sin = self.rotary(positions, x_BTE.dtype)
            if positions.dim() == 2:
                cos, sin = cos[:, None], sin[:, None]
        causal = self.architecture.causal
        if mask is None and causal and past > 0 and length > 1:
            mask = causal_mask(length, past + length, x_BTE.device)
        if self.relative_bias is not None:
            assert mask is None or isinstance(mask, Tensor)  # `objectives.attention_path` gives nothing else here
            mask = self._biased(length, past, mask, x_BTE)
        return Context(causal=causal, cos=cos, sin=sin, mask=mask)

    def _biased(self, length: int, past: int, mask: Tensor | None, x_BTE: Tensor) -> Tensor:
        assert self.relative_bias is not None
        keys = torch.arange(past + length, device=x_BTE.device)
        bias_HTS: Tensor = self.relative_bias(keys[past:], keys).to(x_BTE.dtype)
        if mask is None and self.architecture.causal:
            mask = causal_mask(length, past + length, x_BTE.device)
        return bias_HTS[None] if mask is None else torch.where(mask, bias_HTS[None], float("-inf"))


class Transformer(nn.Module):
    """A language model: token ids in, a distribution over the vocabulary for each position out."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.model = Stack(architecture)
        self.lm_head: nn.Linear | None = None
        if not architecture.tie_embeddings:
            self.lm_head = nn.Linear(architecture.hidden_size, architecture.vocab_size, bias=False)
        self._initialise()

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        mask: "Mask | None" = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The logits (B, T, V).

        Args:
            tokens_BT: ids; with a `cache`, those behind what the cache holds.
            mask: true where a query may look at a key, broadcastable to (B, H, T, S), or blocks, see `model.flex`, or
                documents taken apart, see `model.apart`; default: all earlier ones.
            positions: (T) or (B, T); default: counted from the start of the row, or from the end of the cache.
            cache: keys and values of earlier tokens, extended in place.
        """
        return self.logits(self.model(tokens_BT, mask=mask, positions=positions, cache=cache))

    def logits(self, hidden_BTE: Tensor) -> Tensor:
        """The logits of hidden states."""
        return F.linear(hidden_BTE, self.output_weight)

    @property
    def output_weight(self) -> Tensor:
        """The output layer (V, E): the token embeddings, or a matrix of its own."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def new_cache(self) -> Cache:
        """An empty cache for this model."""
        return Cache(self.architecture.num_layers)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.embed_tokens.weight.device

    def _initialise(self) -> None:
        std = self.architecture.initial_std
        into_residual = std / math.sqrt(2 * self.architecture.num_layers)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                writes = name.endswith(("o_proj", "down_proj"))
                nn.init.normal_(module.weight, std=into_residual if writes else std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=std)
