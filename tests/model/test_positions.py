"""Positions: against their definitions and against T5's relative bias."""

import math

import pytest
import torch

from model.positions import RelativeBias, Rotary, rotate, sinusoids


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (16, 40), (8, 20)])
def test_relative_buckets_equal_those_of_t5(causal: bool, buckets: int, farthest: int) -> None:
    pytest.importorskip("transformers")
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-300, 301)
    ours = RelativeBias(4, causal=causal, num_buckets=buckets, max_distance=farthest).buckets(distance)
    theirs = T5Attention._relative_position_bucket(
        distance, bidirectional=not causal, num_buckets=buckets, max_distance=farthest
    )
    assert ours.tolist() == theirs.tolist()


def test_relative_attention_equals_t5() -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.t5.modeling_t5 import T5Attention

    from model.attention import Attention, Context
    from model.config import Architecture

    config = transformers.T5Config(d_model=32, d_kv=8, num_heads=4, is_decoder=False, dropout_rate=0.0)
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).eval()
    shape = {
        "vocab_size": 4,
        "context_length": 16,
        "hidden_size": 32,
        "num_layers": 1,
        "num_heads": 4,
        "num_kv_heads": 4,
        "head_size": 8,
    }
    ours = Attention(Architecture(**shape, ffn_size=8, positions="relative", causal=False)).eval()  # type: ignore[arg-type]
    for mine, other in (
        (ours.q_proj, theirs.q),
        (ours.k_proj, theirs.k),
        (ours.v_proj, theirs.v),
        (ours.o_proj, theirs.o),
    ):
        mine.load_state_dict(other.state_dict())
    ours.q_proj.weight.data *= math.sqrt(8)  # T5 does not divide by the square root of the head size
    bias = RelativeBias(4, causal=False)
    bias.weight.data = theirs.relative_attention_bias.weight.data
    x, places = torch.randn(2, 16, 32), torch.arange(16)
    mine = ours(x, Context(causal=False, mask=bias(places, places)[None]))
    torch.testing.assert_close(mine, theirs(x)[0], rtol=0, atol=1e-5)


def test_rotary_products_depend_on_the_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)
    rotary = Rotary(16, 10_000.0)

    def product(first: int, second: int) -> float:
        turned = [
            rotate(each, *rotary(torch.tensor([place]), torch.float64))
            for each, place in ((query, first), (key, second))
        ]
        return float((turned[0] * turned[1]).sum())

    assert product(3, 8) == pytest.approx(product(103, 108), abs=1e-4)
    assert product(3, 8) != pytest.approx(product(3, 9), abs=1e-4)


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(torch.arange(50), 8)
    for place in (0, 1, 49):
        for i in range(4):
            angle = place / 10_000 ** (2 * i / 8)
            assert table[place, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[place, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)
