"""Settings of the model: presets resolve, contradictions are refused by name."""

import pytest
import torch

from jobs import sizes
from jobs.config import RunConfig
from model.accounting import costs
from model.config import PRESETS, Architecture, ModelConfig, matched_ffn_size
from model.transformer import Transformer
from pipeline.errors import DataError, SettingError
from tokenizer.config import TokenizerConfig

MILLIONS = {"1m": 1, "3m": 3, "10m": 10, "30m": 30, "85m": 85, "300m": 300, "1b": 1000}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_has_about_the_parameters_that_its_name_says(preset: str) -> None:
    architecture = ModelConfig(preset=preset).architecture(vocab_size=100, context_length=8)
    with torch.device("meta"):
        cost = costs(architecture, Transformer(architecture))
    assert cost.parameters - cost.embedding_parameters == pytest.approx(MILLIONS[preset] * 1e6, rel=0.3)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"preset": "2m"}, "model.preset"),
        ({"hidden_size": 100, "num_heads": 8, "head_size": 13}, "model.head_size"),  # rope turns pairs
        ({"num_heads": 8, "num_kv_heads": 3}, "model.num_kv_heads"),
        ({"attention": "mqa", "num_kv_heads": 2}, "model.num_kv_heads"),
        ({"attention": "mha", "num_kv_heads": 1}, "model.num_kv_heads"),
        ({"attention": "mla", "positions": "learned"}, "model.positions"),
        ({"attention": "mla", "rotary_size": 7}, "model.rotary_size"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"num_layers": -1}, "model.num_layers"),
        ({"num_layers": 0}, "model.num_layers"),
        ({"num_heads": 0}, "model.num_heads"),
        ({"attention": "mla", "latent_query_size": 0}, "model.latent_query_size"),
        ({"norm_epsilon": 0.0}, "model.norm_epsilon"),
    ],
)
def test_a_contradiction_names_the_setting(settings: dict[str, object], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        ModelConfig(**settings)  # type: ignore[arg-type]


def test_every_kind_of_feed_forward_has_about_as_many_weights() -> None:
    assert 2 * 512 * matched_ffn_size(512, "gelu") == pytest.approx(3 * 512 * matched_ffn_size(512, "swiglu"), rel=0.01)


def test_an_architecture_survives_json() -> None:
    architecture = ModelConfig(preset="1m", ffn="geglu").architecture(vocab_size=100, context_length=8)
    assert Architecture.from_json(architecture.to_json()) == architecture
    with pytest.raises(DataError, match="wheels"):
        Architecture.from_json(architecture.to_json() | {"wheels": 4})


def test_counted_operations_match_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    architecture = ModelConfig(preset="1m", attention="mha").architecture(vocab_size=512, context_length=64)
    model = Transformer(architecture)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 64, dtype=torch.long)).sum().backward()
    cost = costs(architecture, model)
    assert counter.get_total_flops() / 64 == pytest.approx(cost.training_flops_per_token, rel=0.1)


def test_sizes_shows_the_cache_of_every_kind_of_attention() -> None:
    config = RunConfig(model=ModelConfig(preset="3m"), tokenizer=TokenizerConfig(vocab_size=1000))
    lines = sizes.main(config).splitlines()
    cache = {line.split("  ")[1].strip(): line for line in lines if "key heads" in line or "latent" in line}
    assert list(cache) == [
        "mha, 8 key heads",
        "gqa, 4 key heads",
        "gqa, 2 key heads",
        "mqa, 1 key heads",
        "mla, latent of 64",
    ]
    # two of 32 numbers a head, 4 layers, 2 bytes; latent: 64 + 16 numbers
    assert [line.split()[-4:-2] for line in cache.values() if "<-" not in line] == [
        ["4.0", "KiB"], ["1.0", "KiB"], ["512", "B"], ["640", "B"],
    ]  # fmt: skip
    assert cache["gqa, 4 key heads"].endswith("<- [model]")
    table = sizes.main().splitlines()
    assert [line.split()[1] for line in table[2:]] == list(PRESETS)
