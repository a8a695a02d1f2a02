"""Muon on processors beside torch's own, and beside what its iteration is for."""

import pytest
import torch

from model.muon import ProcessorMuon, orthogonalised

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@pytest.mark.parametrize("shape", [(48, 48), (96, 32), (32, 96)])
def test_steps_are_those_of_torch_but_for_the_rounding(shape: tuple[int, int]) -> None:
    random = torch.Generator().manual_seed(1)
    begin = torch.randn(shape, generator=random)
    moved = []
    for kind in (torch.optim.Muon, ProcessorMuon):
        weights = torch.nn.Parameter(begin.clone())
        optimizer = kind([weights], lr=0.02, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
        gradients = torch.Generator().manual_seed(2)
        for _ in range(5):
            weights.grad = torch.randn(shape, generator=gradients)
            optimizer.step()
        moved.append(weights.detach() - begin)
        assert optimizer.state[weights].keys() == {"momentum_buffer"}
    assert (moved[1] - moved[0]).norm() < 0.02 * moved[0].norm(), "bfloat16 has three digits"
    torch.testing.assert_close(moved[1], moved[0], rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", [(40, 40), (20, 70), (70, 20)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    left, values, right = torch.linalg.svd(
        torch.randn(shape, generator=torch.Generator().manual_seed(3)), full_matrices=False
    )
    matrix = left @ torch.diag(values.clamp(min=0.05 * values.max().item())) @ right
    found = left.T @ orthogonalised(matrix, COEFFICIENTS, 5, 1e-7) @ right.T
    assert found.diagonal().min() > 0.6
    assert found.diagonal().max() < 1.3
    torch.testing.assert_close(found, torch.diag(found.diagonal()), rtol=0, atol=1e-4)


def test_no_gradient_is_no_step() -> None:
    still, moving = torch.nn.Parameter(torch.ones(4, 4)), torch.nn.Parameter(torch.ones(4, 4))
    moving.grad = torch.zeros(4, 4)
    ProcessorMuon([still, moving], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(still, torch.ones(4, 4))
    torch.testing.assert_close(moving.detach(), torch.full((4, 4), 0.95))
