"""A finished training with more steps asked for comes to the bytes of one with that many from the start, or begins anew and says why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.longer_training import first_difference
from jobs.train import train_run
from model.config import ModelConfig
from model.train_config import TrainConfig
from model.trainer import Report, Trainer
from pipeline.manifests import damaged_files
from tests.model.conftest import make_run

MODEL = ModelConfig(hidden_size=32, num_layers=1, num_heads=2, num_kv_heads=1, ffn_size=32, dropout=0.1)
# The checkpoints lie at other steps than the lines of the log.
TRAIN = TrainConfig(
    steps=6, batch_tokens=128, schedule="constant", warmup_share=0.0, checkpoint_steps=4, log_steps=5, precision="fp32", device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    texts = [f"The number {number} is followed by {number + 1}, and that by {number + 2}." for number in range(120)]
    return make_run(str(tmp_path_factory.mktemp("run")), texts, vocab_size=300, sequence_length=32)


def model_in(out: Path) -> dict[str, bytes]:
    folder = out / "model"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def changed(config: TrainConfig, change: dict[str, Any]) -> TrainConfig:
    return replace(config, **change)


# What differs from `TRAIN` at first, what more does then, and the checkpoint that training goes on from.
LONGER: list[tuple[dict[str, Any], dict[str, Any], int | None]] = [
    ({}, {"steps": 15}, 6),
    ({}, {"steps": 7}, 6),  # the next checkpoint is the end, too
    ({"steps": 8}, {"steps": 9}, 8),
    ({"steps": 10}, {"steps": 12}, 10),  # the end of the shorter one is in the log of both, and a checkpoint of one
    ({"keep_checkpoints": 1}, {"steps": 15}, 6),
    ({"keep_checkpoints": 4, "steps": 9}, {"steps": 11}, 9),
    ({"steps": None, "tokens": 6 * 128}, {"tokens": 10 * 128}, 6),
    ({"steps": 10, "warmup_share": 0.2}, {"steps": 20, "warmup_share": 0.1}, 10),  # two steps either way
    ({"steps": 10, "warmup_share": 0.2}, {"steps": 20}, None),
    ({"steps": 10, "schedule": "wsd", "keep_checkpoints": 5}, {"steps": 20}, 4),  # the rate fell from step 7 on
    ({"steps": 10, "schedule": "wsd", "keep_checkpoints": 2}, {"steps": 20}, None),  # the kept ones are of 8 and 10
    ({"steps": 6}, {"steps": 20, "schedule": "wsd"}, 6),  # a constant one may be the beginning of one that falls later
    ({"schedule": "cosine", "keep_checkpoints": 5}, {"steps": 15}, None),
]


@pytest.mark.parametrize(("first", "more", "goes_on_from"), LONGER)
def test_more_steps_are_those_from_the_start(
    run: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    first: dict[str, Any],
    more: dict[str, Any],
    goes_on_from: int | None,
) -> None:
    shorter = changed(TRAIN, first)
    longer = changed(shorter, more)
    train_run(run, MODEL, longer, out=str(tmp_path / "whole"))
    train_run(run, MODEL, shorter, out=str(tmp_path / "grown"))
    earlier = model_in(tmp_path / "grown")
    capsys.readouterr()
    train_run(run, MODEL, longer, out=str(tmp_path / "grown"))
    said = capsys.readouterr().err
    assert model_in(tmp_path / "grown") == model_in(tmp_path / "whole")
    assert not list(damaged_files(str(tmp_path / "grown/model")))
    assert model_in(tmp_path / "grown/replaced/model-1") == earlier
    if goes_on_from is None:
        assert "train: begins anew: the learning rate differs from step " in said
        assert "going on" not in said
        by_warmup = first.get("warmup_share", 0) > 0
        assert ("; with train.warmup_share=0.1 it would go on" in said) == by_warmup
    else:
        assert f"train: goes on from the earlier model's checkpoint of step {goes_on_from};" in said
        assert f"train: going on after step {goes_on_from}\n" in said


def test_a_kill_in_the_middle_changes_nothing(run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = replace(TRAIN, steps=15)
    train_run(run, MODEL, longer, out=str(tmp_path / "whole"))
    train_run(run, MODEL, TRAIN, out=str(tmp_path / "grown"))
    for last in (6, 7, 13):  # before, and behind, the first checkpoint of the longer one
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_one_step", ending_at(last))
            with pytest.raises(KeyError):
                train_run(run, MODEL, longer, out=str(tmp_path / "grown"))
    train_run(run, MODEL, longer, out=str(tmp_path / "grown"))
    assert model_in(tmp_path / "grown") == model_in(tmp_path / "whole")


def ending_at(last: int) -> Callable[[Trainer], Report]:
    one_step = Trainer._one_step

    def step(self: Trainer) -> Report:
        if self.step == last:
            raise KeyError(last)
        return one_step(self)

    return step


OTHER: list[dict[str, Any]] = [{"seed": 1, "steps": 15}, {"steps": 5}, {"steps": 15, "clip_norm": 0.5}]


@pytest.mark.parametrize("change", OTHER)
def test_another_training_takes_nothing_up(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    train_run(run, MODEL, TRAIN, out=str(tmp_path))
    train_run(run, MODEL, changed(TRAIN, change), out=str(tmp_path))
    said = capsys.readouterr().err
    assert "set aside" in said
    assert "goes on" not in said
    assert "begins anew" not in said


DAMAGED = [
    ((6,), "train: goes on from the earlier model's checkpoint of step 4;"),
    ((4, 6), "train: begins anew: the checkpoints that are kept from before anything differs are damaged"),
]


@pytest.mark.parametrize(("damaged", "expected"), DAMAGED)
def test_damaged_checkpoints_are_not_begun_with(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: tuple[int, ...], expected: str
) -> None:
    longer = replace(TRAIN, steps=15)
    train_run(run, MODEL, longer, out=str(tmp_path / "whole"))
    train_run(run, MODEL, TRAIN, out=str(tmp_path / "grown"))
    for number in damaged:
        (tmp_path / f"grown/model/checkpoints/step-{number:08d}/model.safetensors").write_bytes(b"")
    train_run(run, MODEL, longer, out=str(tmp_path / "grown"))
    assert expected in capsys.readouterr().err
    assert model_in(tmp_path / "grown") == model_in(tmp_path / "whole")


# The schedules of two trainings, and the first step, counted from 0, at which they part.
PARTING: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({"steps": 100}, {"steps": 101}, 100),
    ({"steps": 100, "warmup_share": 0.02}, {"steps": 1000}, 0),
    ({"steps": 100, "warmup_share": 0.02}, {"steps": 1000, "warmup_share": 0.002}, 100),
    ({"steps": 100, "schedule": "wsd", "decay_share": 0.2}, {"steps": 1000}, 81),  # the fall is 0 at its first step
    ({"steps": 100, "schedule": "linear"}, {"steps": 1000}, 1),
]


@pytest.mark.parametrize(("first", "more", "step"), PARTING)
def test_where_two_schedules_part(first: dict[str, Any], more: dict[str, Any], step: int) -> None:
    shorter = changed(TRAIN, first)
    assert first_difference(shorter, changed(shorter, more)) == step
