"""`corpusmill train` in two processes of its own: the same command, the same curve as one process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jobs import processes
from model.train_config import TrainConfig
from tests.commands import Commands
from tests.runs import Made


def curve(run: Path) -> list[tuple[int, float]]:
    lines = (run / "model/training.jsonl").read_text().splitlines()
    return [(value["step"], value["loss"]) for value in map(json.loads, lines)]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_the_same_command_trains_in_two_processes(parallel: str, commands: Commands, copy: Callable[[], Made]) -> None:
    made = copy()
    manifest = made.run / "model/manifest.json"
    alone, before = curve(made.run), manifest.read_bytes()
    settings = ("--set", "train.processes=2", "--set", f"train.parallel={parallel}")
    ended = commands.run("train", made.settings, *settings, "--force", seconds=300)
    assert ended.code == 0, ended.err
    together = curve(made.run)
    assert together == [(step, pytest.approx(loss, rel=1e-3)) for step, loss in alone]
    assert manifest.read_bytes() != before, "it was not trained again"
    assert ended.err.count("train: in ") == 1
    again = commands.run("train", made.settings, *settings)
    assert "train: up to date" in again.err


def test_a_batch_that_does_not_divide_among_the_processes_is_said_once(
    commands: Commands, copy: Callable[[], Made]
) -> None:
    made = copy()
    ended = commands.run("train", made.settings, "--set", "train.processes=3")
    assert ended.code == 2
    assert len(ended.sentences) == 1
    assert "times the number of processes, 3" in ended.sentences[0]


def test_as_many_processes_as_gpus_as_far_as_the_batch_divides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.wanted(TrainConfig(), 64) == 1
    assert processes.wanted(TrainConfig(processes=5), 64) == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert processes.wanted(TrainConfig(batch_tokens=64 * 16), 64) == 8
    assert processes.wanted(TrainConfig(batch_tokens=64 * 14), 64) == 7
    assert processes.wanted(TrainConfig(batch_tokens=64 * 16, device="cpu"), 64) == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes.wanted(TrainConfig(batch_tokens=64 * 16), 64) == 1
