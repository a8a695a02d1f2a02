"""RMSNorm and rotary positions, whose gradients are written out, against what torch derives."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.norms import RMSNorm
from model.positions import Rotary, rotate

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def plain_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """The textbook's, recorded by autograd, in 32 bits or more."""
    wide = x if x.dtype == torch.float64 else x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)).to(x.dtype)


@pytest.mark.parametrize("weight_dtype", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rmsnorm_and_its_gradients(dtype: torch.dtype, weight_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm = RMSNorm(48, 1e-5).to(weight_dtype)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 48).to(dtype).requires_grad_()
    out, expected = norm(x), plain_norm(x, norm.weight, 1e-5)
    assert out.dtype == expected.dtype == torch.promote_types(dtype, weight_dtype)
    assert torch.equal(out, expected)
    gradient = torch.randn_like(out)
    found = torch.autograd.grad(out, (x, norm.weight), gradient)
    wanted = torch.autograd.grad(expected, (x, norm.weight), gradient)
    coarse = torch.bfloat16 in (dtype, weight_dtype)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=2e-2 if coarse else 1e-5, atol=5e-2 if coarse else 1e-5)


def test_rmsnorm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    x, norm = torch.randn(4, 32), RMSNorm(32, 1e-6)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (32,), norm.weight, 1e-6), rtol=0, atol=1e-6)


def test_gradients_by_finite_differences() -> None:
    torch.manual_seed(0)
    x, weight = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 6), (6,)))
    norm = RMSNorm(6, 1e-5).double()

    def normed(x: Tensor, weight: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(norm, {"weight": weight}, (x,))
        return out

    assert torch.autograd.gradcheck(normed, (x, weight))
    cos, sin = Rotary(6, 100.0)(torch.arange(3), torch.float64)
    turned = torch.randn(2, 2, 3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: rotate(each, cos, sin), (turned,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_turn_in_more_digits_than_the_queries_have(dtype: torch.dtype) -> None:
    """As under autocast, where positions have 32 bits: the sums are those of 32 bits, the gradient has the type of the queries."""
    torch.manual_seed(0)
    cos, sin = Rotary(8, 100.0)(torch.arange(5), torch.float32)
    x = torch.randn(2, 5, 3, 8).transpose(1, 2).to(dtype).requires_grad_()
    turned = rotate(x, cos, sin)
    first, second = x.float().chunk(2, dim=-1)
    assert turned.dtype == torch.float32
    assert torch.equal(turned, torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1))
    (gradient,) = torch.autograd.grad(turned, x, torch.randn_like(turned))
    assert gradient.dtype == dtype
