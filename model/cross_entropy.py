"""The output layer and its cross-entropy in one, a few hundred positions at a time.

The logits of a batch are by far its largest tensor. Here they are made piece by piece, and the gradient
of each piece at once, so that memory holds one piece and no pass over the whole is repeated.

Shapes: N positions, E hidden size, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

_PIECE_LOGITS = {"cpu": 1 << 21, "cuda": 1 << 27}
"""How many logits are made at a time: on a CPU they stay in its cache, a GPU needs thousands of rows to be busy."""


class _LinearCrossEntropy(torch.autograd.Function):
    """The summed loss, with the gradients already made in the forward pass and scaled in the backward pass."""

    @staticmethod
    def forward(ctx: Any, hidden_NE: Tensor, weight_VE: Tensor, labels_N: Tensor, piece: int) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden_NE.device)
        wanted = any(ctx.needs_input_grad)
        grad_hidden = torch.empty_like(hidden_NE) if wanted else None
        grad_weight = torch.zeros_like(weight_VE, dtype=torch.float32) if wanted else None
        # Room for one piece, used again by each: fresh memory of this size costs a system a page fault every 4 KiB.
        products = hidden_NE.new_empty(min(piece, len(labels_N)), len(weight_VE))
        room = products if products.dtype == torch.float32 else torch.empty_like(products, dtype=torch.float32)
        for start in range(0, len(labels_N), piece):
            part, labels = hidden_NE[start : start + piece], labels_N[start : start + piece]
            logits = torch.mm(part, weight_VE.T, out=products[: len(labels)])
            powers = logits if room is products else room[: len(labels)].copy_(logits)
            known = (labels >= 0)[:, None]
            index = labels.clamp(min=0)[:, None]
            highest = powers.amax(dim=-1, keepdim=True)
            chosen = powers.gather(1, index) - highest
            powers.sub_(highest).exp_()
            sums = powers.sum(dim=-1, keepdim=True)
            total += torch.where(known, sums.log() - chosen, 0.0).sum()
            if grad_hidden is None or grad_weight is None:
                continue
            powers.scatter_add_(1, index, -sums)
            slope = powers.mul_(known / sums).to(weight_VE.dtype)
            torch.mm(slope, weight_VE, out=grad_hidden[start : start + piece])
            if slope.dtype == torch.float32:
                grad_weight.addmm_(slope.T, part)
            else:
                grad_weight += slope.T @ part
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grads[0]
        return grad_hidden * scale.to(grad_hidden.dtype), grad_weight * scale, None, None


def linear_cross_entropy(hidden_NE: Tensor, weight_VE: Tensor, labels_N: Tensor) -> Tensor:
    """The sum of the cross-entropies, in nats, of `hidden @ weight.T` against labels; negative labels count nothing.

    Under autocast the products are computed in its type, the softmax in 32 bits.
    """
    if torch.is_autocast_enabled(hidden_NE.device.type):
        dtype = torch.get_autocast_dtype(hidden_NE.device.type)
        hidden_NE, weight_VE = hidden_NE.to(dtype), weight_VE.to(dtype)
    piece = max(64, _PIECE_LOGITS.get(hidden_NE.device.type, 1 << 21) // weight_VE.shape[0])
    out: Tensor = _LinearCrossEntropy.apply(hidden_NE, weight_VE, labels_N, piece)
    return out
