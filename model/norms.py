"""Normalisation layers: RMSNorm (Zhang and Sennrich 2019) and LayerNorm, by name."""

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
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)


def build_norm(kind: NormKind, size: int, epsilon: float) -> nn.Module:
    """The normalisation layer of this name."""
    return RMSNorm(size, epsilon) if kind == "rmsnorm" else nn.LayerNorm(size, eps=epsilon)
