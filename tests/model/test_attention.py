"""Attention and layers against torch's and Hugging Face's own on equal weights."""

import pytest
import torch
from torch import nn

from model.attention import Attention, Context, pool_key_heads
from model.cache import cache_bytes_per_token
from model.config import Architecture, ModelConfig
from model.latent import LatentAttention
from model.masks import causal_mask
from model.positions import Rotary
from model.transformer import Layer, Transformer


def architecture(**parts: object) -> Architecture:
    shape = {
        "vocab_size": 64,
        "context_length": 32,
        "hidden_size": 48,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 4,
        "head_size": 12,
    }
    return Architecture(**{**shape, "ffn_size": 96, "initial_std": 0.1, **parts})  # type: ignore[arg-type]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 10, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("causal", [True, False])
def test_layer_equals_torch(place: str, activation: str, causal: bool, x: torch.Tensor) -> None:
    theirs = nn.TransformerEncoderLayer(
        48, 4, 96, dropout=0.0, activation=activation, batch_first=True, norm_first=place == "pre"
    )
    parts = {
        "norm": "layernorm",
        "norm_place": place,
        "positions": "none",
        "biases": True,
        "ffn": activation,
        "attention": "mha",
    }
    ours = Layer(architecture(**parts, causal=causal))
    attention = theirs.self_attn
    for project, weight, bias in zip(
        (ours.self_attn.q_proj, ours.self_attn.k_proj, ours.self_attn.v_proj),
        attention.in_proj_weight.chunk(3),
        attention.in_proj_bias.chunk(3),
        strict=True,
    ):
        project.weight.data, project.bias.data = weight, bias
    pairs = [
        (ours.self_attn.o_proj, attention.out_proj),
        (ours.mlp.up_proj, theirs.linear1),
        (ours.mlp.down_proj, theirs.linear2),
        (ours.input_layernorm, theirs.norm1),
        (ours.post_attention_layernorm, theirs.norm2),
    ]
    for mine, other in pairs:
        mine.load_state_dict(other.state_dict())
    mask = ~causal_mask(10, 10) if causal else None
    torch.testing.assert_close(
        ours(x, Context(causal=causal)), theirs(x, src_mask=mask, is_causal=causal), rtol=0, atol=1e-6
    )


def test_multi_query_equals_hugging_face(x: torch.Tensor) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.gpt_bigcode.modeling_gpt_bigcode import GPTBigCodeAttention

    config = transformers.GPTBigCodeConfig(
        n_embd=48, n_head=4, multi_query=True, attn_pdrop=0.0, resid_pdrop=0.0, attn_implementation="sdpa"
    )
    theirs = GPTBigCodeAttention(config, layer_idx=0).eval()
    ours = Attention(architecture(attention="mqa", num_kv_heads=1, biases=True, positions="none")).eval()
    weights, biases = theirs.c_attn.weight.split((48, 12, 12)), theirs.c_attn.bias.split((48, 12, 12))
    for project, weight, bias in zip((ours.q_proj, ours.k_proj, ours.v_proj), weights, biases, strict=True):
        project.weight.data, project.bias.data = weight, bias
    ours.o_proj.load_state_dict(theirs.c_proj.state_dict())
    torch.testing.assert_close(ours(x, Context(causal=True)), theirs(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("query_latent", [None, 24])
def test_latent_attention_equals_hugging_face(query_latent: int | None, x: torch.Tensor) -> None:
    transformers = pytest.importorskip("transformers")
    from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Attention, DeepseekV3RotaryEmbedding

    config = transformers.DeepseekV3Config(
        hidden_size=48,
        num_attention_heads=4,
        num_key_value_heads=4,
        q_lora_rank=query_latent,
        kv_lora_rank=20,
        qk_rope_head_dim=8,
        qk_nope_head_dim=12,
        v_head_dim=12,
        rope_interleave=False,
        rms_norm_eps=1e-6,
        attn_implementation="sdpa",
    )
    theirs = DeepseekV3Attention(config, layer_idx=0).eval()
    parts = {
        "attention": "mla",
        "latent_key_size": 20,
        "latent_query_size": query_latent,
        "rotary_size": 8,
        "norm_epsilon": 1e-6,
    }
    ours = LatentAttention(architecture(**parts)).eval()
    ours.load_state_dict(theirs.state_dict())
    positions = torch.arange(10)
    expected = theirs(
        x, position_embeddings=DeepseekV3RotaryEmbedding(config)(x, positions[None]), attention_mask=None
    )[0]
    cos, sin = Rotary(8, 10_000.0)(positions, x.dtype)
    torch.testing.assert_close(ours(x, Context(causal=True, cos=cos, sin=sin)), expected, rtol=0, atol=1e-6)


def test_grouped_attention_is_multi_head_attention_with_repeated_keys(x: torch.Tensor) -> None:
    grouped = Attention(architecture(num_kv_heads=2)).eval()
    whole = Attention(architecture(attention="mha")).eval()
    weights = grouped.state_dict()
    for name in ("k_proj.weight", "v_proj.weight"):
        weights[name] = weights[name].unflatten(0, (2, 12)).repeat_interleave(2, dim=0).flatten(0, 1)
    whole.load_state_dict(weights)
    cos, sin = Rotary(12, 10_000.0)(torch.arange(10), x.dtype)
    context = Context(causal=True, cos=cos, sin=sin)
    torch.testing.assert_close(grouped(x, context), whole(x, context))
    pooled = pool_key_heads(weights["k_proj.weight"], head_size=12, num_kv_heads=2)  # and back, by mean pooling
    torch.testing.assert_close(pooled, grouped.k_proj.weight.data)


def test_pooling_averages_the_heads_of_a_group() -> None:
    weight = torch.arange(8.0)[:, None]  # four heads of size two
    assert pool_key_heads(weight, head_size=2, num_kv_heads=2).flatten().tolist() == [1.0, 2.0, 5.0, 6.0]
    assert pool_key_heads(weight, head_size=2, num_kv_heads=1).flatten().tolist() == [3.0, 4.0]


def test_the_cache_shrinks_from_mha_to_gqa_to_mqa_and_mla() -> None:
    sizes = {
        kind: cache_bytes_per_token(
            ModelConfig(preset="30m", attention=kind).architecture(vocab_size=1, context_length=1)
        )
        for kind in ("mha", "gqa", "mqa", "mla")
    }
    # 10 layers, heads of 64: 2 × heads × 64 numbers of two bytes; mla: 64 + 16 numbers
    assert sizes == {"mha": 20_480, "gqa": 10_240, "mqa": 2_560, "mla": 1_600}


KINDS = [
    (attention, positions)
    for attention in ("mha", "gqa", "mqa")
    for positions in ("rope", "sinusoidal", "learned", "relative", "none")
]


@pytest.mark.parametrize(("attention", "positions"), [*KINDS, ("mla", "rope")])
def test_with_a_cache_the_logits_are_the_same(attention: str, positions: str) -> None:
    torch.manual_seed(0)
    keys = {"mha": 4, "gqa": 2, "mqa": 1, "mla": 4}[attention]
    model = Transformer(architecture(attention=attention, num_kv_heads=keys, positions=positions)).eval()
    tokens = torch.randint(64, (2, 20))
    cache = model.new_cache()
    pieces = [model(tokens[:, :7], cache=cache), model(tokens[:, 7:12], cache=cache)]
    pieces += [model(tokens[:, place : place + 1], cache=cache) for place in range(12, 20)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(tokens), rtol=1e-4, atol=1e-5)
