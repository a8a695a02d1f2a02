"""The feed-forward layer in its variants, plain and gated (Shazeer 2020, "GLU Variants Improve Transformer")."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Architecture


def _identity(x: Tensor) -> Tensor:
    return x


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


# What is applied to the up-projection, or with a gate, to the gate; `swish` has a weight, see below.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu2": _squared_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "bilinear": _identity,
    "glu": F.sigmoid,
    "reglu": F.relu,
    "geglu": F.gelu,
    "swiglu": F.silu,
}


class Swish(nn.Module):
    """x · sigmoid(βx) with one learned β, 1 at first, where it is SiLU (Ramachandran et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape and type as `x`."""
        return x * F.sigmoid(self.beta.to(x.dtype) * x)


class FeedForward(nn.Module):
    """down(f(up(x))), or with a gate down(f(gate(x)) * up(x))."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        hidden, inner, biases = architecture.hidden_size, architecture.ffn_size, architecture.biases
        self.activation = Swish() if architecture.ffn == "swish" else ACTIVATIONS[architecture.ffn]
        self.gate_proj = nn.Linear(hidden, inner, bias=biases) if architecture.gated else None
        self.up_proj = nn.Linear(hidden, inner, bias=biases)
        self.down_proj = nn.Linear(inner, hidden, bias=biases)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        if self.gate_proj is None:
            inner: Tensor = self.activation(self.up_proj(x))
        else:
            inner = self.activation(self.gate_proj(x)) * self.up_proj(x)
        out: Tensor = self.down_proj(inner)
        return out
