"""The fused output layer: the loss and the gradients of torch's own, piece by piece."""

import pytest
import torch
import torch.nn.functional as F

from model import cross_entropy
from model.cross_entropy import linear_cross_entropy


@pytest.mark.parametrize("pieces", [1, 3, 100])
def test_equals_linear_then_cross_entropy(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_PIECE_LOGITS", {"cpu": max(64, 300 // pieces) * 77})
    torch.manual_seed(0)
    hidden = torch.randn(300, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(77, 16, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(77, (300,))
    labels[::5] = -100
    loss = linear_cross_entropy(hidden, weight, labels) * 0.37
    expected = F.cross_entropy(hidden @ weight.T, labels, ignore_index=-100, reduction="sum") * 0.37
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(loss, (hidden, weight)), torch.autograd.grad(expected, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_no_label_no_loss() -> None:
    hidden = torch.randn(3, 4, requires_grad=True)
    loss = linear_cross_entropy(hidden, torch.randn(5, 4), torch.full((3,), -100))
    loss.backward()
    assert loss.item() == 0
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_as_near_as_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    hidden, weight, labels = (
        torch.randn(64, 32, requires_grad=True),
        torch.randn(40, 32, requires_grad=True),
        torch.randint(40, (64,)),
    )
    exact = F.cross_entropy(hidden @ weight.T, labels, reduction="sum")
    gradients = torch.autograd.grad(exact, (hidden, weight))
    with torch.autocast("cpu", dtype=dtype):
        loss = linear_cross_entropy(hidden, weight, labels)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-2)
    for ours, theirs in zip(torch.autograd.grad(loss, (hidden, weight)), gradients, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()
