"""Learning rates, gradient spikes, precision and optimiser groups."""

import math

import pytest
import torch

from model.config import ModelConfig
from model.guard import SpikeGuard
from model.optimizer import Optimizers
from model.precision import choose_device, choose_precision
from model.schedule import rate_share
from model.train_config import OptimizerConfig
from model.transformer import Transformer
from pipeline.errors import CorpusmillError, SettingError


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # 10 steps, 2 of warm-up: 1/3, 2/3, then
        ("constant", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]),
        ("wsd", [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),  # falls over the last 4
    ],
)
def test_schedules_by_hand(kind: str, expected: list[float]) -> None:
    shares = [rate_share(kind, step, num_steps=10, warmup_steps=2, decay_share=0.4) for step in range(10)]  # type: ignore[arg-type]
    assert shares == pytest.approx([1 / 3, 2 / 3, *expected])


def test_a_schedule_ends_at_its_final_share() -> None:
    for kind in ("linear", "cosine", "wsd"):
        assert rate_share(kind, 100, num_steps=100, warmup_steps=5, final_share=0.1) == pytest.approx(0.1)  # type: ignore[arg-type]


def test_the_guard_refuses_spikes_and_what_is_not_finite() -> None:
    guard = SpikeGuard(3.0)
    assert all(guard.accepts(norm) for norm in (1.0, 50.0, *[1.0] * 20))  # no judgement before 16 norms are known
    assert not guard.accepts(3.5)
    assert not guard.accepts(math.nan)
    assert guard.accepts(2.5)
    again = SpikeGuard(3.0)
    again.load(**guard.state())  # type: ignore[arg-type]
    assert not again.accepts(3.5)
    while guard.refused < 49:
        assert not guard.accepts(math.inf)
    with pytest.raises(CorpusmillError, match="diverged"):
        guard.accepts(math.inf)


def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest() -> None:
    model = Transformer(ModelConfig(preset="1m", tie_embeddings=False).architecture(vocab_size=64, context_length=8))
    adamw, muon = Optimizers(model, OptimizerConfig()).parts
    inside = {parameter for group in muon.param_groups for parameter in group["params"]}
    decayed, plain = ({*group["params"]} for group in adamw.param_groups)
    for name, parameter in model.named_parameters():
        place = inside if name.endswith("proj.weight") else decayed if parameter.dim() == 2 else plain
        assert parameter in place, name
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.1, 0.0]
    assert len(Optimizers(model, OptimizerConfig(kind="adamw")).parts) == 1


def test_precision_and_device_are_chosen_or_refused() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp16", cpu) == "fp16"
    assert choose_precision("auto", cpu) in ("bf16", "fp32")
    with pytest.raises(SettingError, match=r"train\.device"):
        choose_device("tpu0")
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="no GPU"):
            choose_device("cuda")


@pytest.mark.parametrize("setting", [{"learning_rate": 0.0}, {"beta1": 1.0}, {"weight_decay": -1.0}])
def test_an_optimiser_setting_out_of_range_is_named(setting: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"train.optimizer.{next(iter(setting))}"):
        OptimizerConfig(**setting)  # type: ignore[arg-type]
