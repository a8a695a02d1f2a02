"""Muon on processors: torch's own works in bfloat16, which most of them have to imitate, sixty times slower than 32 bits.

M: a matrix of the gradient's shape, rows × columns; what is made of it keeps that shape.
"""

from typing import Any

import torch
from torch import Tensor


class ProcessorMuon(torch.optim.Muon):
    """`torch.optim.Muon` whose Newton-Schulz iterations are in the precision of the weights.

    Settings, state and the scale of a step (Moonlight's, `match_rms_adamw`) are those of torch's.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; what `closure` says, if there is one, for which gradients are made first."""
        said = None
        if closure is not None:
            with torch.enable_grad():
                said = closure()
        for group in self.param_groups:
            for weights in group["params"]:
                if weights.grad is not None:
                    self._move(weights, weights.grad, group)
        return said

    def _move(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        ahead = torch.lerp(gradient, mean, group["momentum"])  # Nesterov's look ahead
        update = orthogonalised(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
        weights.mul_(1 - group["lr"] * group["weight_decay"])
        weights.add_(update, alpha=-group["lr"] * 0.2 * max(weights.shape) ** 0.5)


def orthogonalised(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, epsilon: float) -> Tensor:
    """M with singular values of about 1 (.7 to 1.2), by the quintic Newton-Schulz iteration (Jordan et al. 2024)."""
    a, b, c = coefficients
    is_tall = matrix.size(0) > matrix.size(1)
    wide = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp(min=epsilon)  # no singular value is above 1
    for _ in range(steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if is_tall else wide
