"""Where a token stands: rotary, sinusoidal, learned and relative positions.

Shapes: B batch, T query length, S key length, H heads, D head size, E hidden size.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """RoPE (Su et al. 2021) in the layout of Hugging Face: dimension i pairs with i + D/2. Tables in 32 bits."""

    def __init__(self, head_size: int, theta: float) -> None:
        super().__init__()
        exponents = torch.arange(0, head_size, 2, dtype=torch.int64).float() / head_size
        self.frequencies = 1.0 / theta**exponents  # no buffer: a cast of the model must not round it

    def forward(self, positions_T: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each (..., T, D/2), for positions (..., T)."""
        self.frequencies = self.frequencies.to(positions_T.device)
        angles = positions_T[..., None].float() * self.frequencies
        return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x_BHTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`x` turned by its positions; `cos` and `sin` are (T, D/2) or (B, 1, T, D/2), and get no gradient."""
    out: Tensor = _Rotation.apply(x_BHTD, cos, sin)
    return out


class _Rotation(torch.autograd.Function):
    """The gradient of a rotation is the rotation back."""

    @staticmethod
    def forward(ctx: Any, x_BHTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.dtype = x_BHTD.dtype
        return _turned(x_BHTD, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, -sin).to(ctx.dtype), None, None


def _turned(x_BHTD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x_BHTD.chunk(2, dim=-1)
    out = torch.empty_like(x_BHTD, dtype=torch.promote_types(x_BHTD.dtype, cos.dtype))
    out_first, out_second = out.chunk(2, dim=-1)
    torch.mul(first, cos, out=out_first).sub_(second * sin)
    torch.mul(second, cos, out=out_second).add_(first * sin)
    return out


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """The positions of Vaswani et al. 2017, sines in the even and cosines in the odd places: (..., T, size)."""
    half = torch.arange(0, size, 2, device=positions.device).float()
    angles = positions[..., None].float() * torch.exp(half * (-math.log(10_000.0) / size))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :size]


class RelativeBias(nn.Module):
    """A learned number for each head and distance, added to the attention logits (T5, Raffel et al. 2020).

    Small distances have a bucket each, larger ones share buckets that grow with the logarithm, up to
    `max_distance`. One table serves all layers.
    """

    def __init__(self, num_heads: int, *, causal: bool, num_buckets: int = 32, max_distance: int = 128) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))
        self.causal = causal
        self.num_buckets = num_buckets
        self.max_distance = max_distance

    def forward(self, queries_T: Tensor, keys_S: Tensor) -> Tensor:
        """The biases (H, T, S) for these positions of queries and keys."""
        buckets_TS = self.buckets(keys_S[None, :] - queries_T[:, None])
        return self.weight[buckets_TS].permute(2, 0, 1)

    def buckets(self, distance: Tensor) -> Tensor:
        """The bucket of each distance, key position minus query position."""
        count, base = self.num_buckets, torch.zeros_like(distance)
        if self.causal:
            distance = (-distance).clamp(min=0)
        else:
            count //= 2
            base = (distance > 0).long() * count
            distance = distance.abs()
        exact = count // 2
        scale = (count - exact) / math.log(self.max_distance / exact)
        far = exact + (torch.log(distance.float().clamp(min=1) / exact) * scale).long()
        return base + torch.where(distance < exact, distance, far.clamp(max=count - 1))
