"""Normalisation layers: RMSNorm (Zhang and Sennrich 2019) and LayerNorm, by name."""

from typing import Any

import torch
from torch import Tensor, nn

from model.config import NormKind


class RMSNorm(nn.Module):
    """Divides by the root mean square of the last dimension, then scales; statistics in 32 bits."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type as `x`."""
        out: Tensor = _RMSNorm.apply(x, self.weight, self.epsilon)
        return out


class _RMSNorm(torch.autograd.Function):
    """With the gradient written out, in 32 bits: fewer passes over memory than the recorded one makes, and less to keep for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        unit = (wide * scale).to(x.dtype)
        ctx.save_for_backward(unit, scale, weight)
        return weight * unit

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, scale, weight = ctx.saved_tensors
        grad = grads[0].to(scale.dtype)
        along = grad * unit
        share = (along * weight).mean(-1, keepdim=True)
        slope = torch.addcmul(grad * weight, unit, share, value=-1) * scale
        return slope.to(unit.dtype), along.flatten(0, -2).sum(0).to(weight.dtype), None


def build_norm(kind: NormKind, size: int, epsilon: float) -> nn.Module:
    """The normalisation layer of this name."""
    return RMSNorm(size, epsilon) if kind == "rmsnorm" else nn.LayerNorm(size, eps=epsilon)
