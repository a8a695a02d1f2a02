"""Two processes of torchrun on gloo train as one does: replicated (DDP) and in shares (FSDP), resumed across."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from model.checkpoint import newest_checkpoint
from model.distributed import join_world, leave_world
from model.train_config import OptimizerConfig
from model.trainer import Report, Trainer
from tests.model.sources import RandomRows
from tests.model.test_trainer import CONFIG, tiny

STEPS = 8


class Phase(NamedTuple):
    """A part of a training run: where, how, and up to which step."""

    folder: str
    parallel: str
    until: int = STEPS
    optimizer: str = "adamw"
    precision: str = "fp32"
    recompute: bool = False


# Rows have between 1 and 16 labels, so the processes have unequal numbers of them; pieces of one row accumulate.
PHASES = (
    Phase("ddp", "ddp"),
    Phase("fsdp", "fsdp", recompute=True),
    Phase("muon", "fsdp", optimizer="muon"),
    Phase("fp16", "fsdp", precision="fp16"),
    Phase("across", "ddp", 3),
    Phase("across", "fsdp", 6),  # takes up the checkpoint of ddp
    Phase("across", "ddp"),  # and the other way
)


def train(phase: Phase, folder: str) -> list[tuple[float, float]]:
    """The loss and gradient norm of each step of a phase, in whatever world this process is in."""
    world = join_world()
    config = replace(
        CONFIG, steps=STEPS, micro_batch_tokens=16, parallel=phase.parallel, checkpoint_steps=3,
        optimizer=OptimizerConfig(kind=phase.optimizer), precision=phase.precision,  # type: ignore[arg-type]
        recompute_activations=phase.recompute,
    )  # fmt: skip
    rows = RandomRows(rows=4 // world.size, length=16, rank=world.rank, world=world.size)
    reports: list[Report] = []
    trainer = Trainer(tiny(), rows, config, f"{folder}/{phase.folder}", world=world)
    trainer.run(reports.append, until=phase.until)
    if world.size > 1 and phase.parallel == "fsdp":
        shares = sum(parameter.to_local().numel() for parameter in trainer.model.parameters())  # type: ignore[attr-defined]
        assert shares < 0.7 * sum(parameter.numel() for parameter in tiny().parameters())
    return [(report.loss, report.grad_norm) for report in reports]


@pytest.mark.slow
def test_two_processes_train_as_one_replicated_or_in_shares(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    done = subprocess.run(
        [*command, "-m", "tests.model.test_parallel", str(tmp_path / "two")],
        env=environment, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    together: dict[str, list[tuple[float, float]]] = json.loads((tmp_path / "two/results.json").read_text())
    for phase in dict.fromkeys(each._replace(until=STEPS, parallel="ddp") for each in PHASES):
        alone = train(phase, str(tmp_path / "one"))
        assert len(together[phase.folder]) == STEPS
        # fp16 rounds to ten bits and Muon lifts small singular values: both blow up the order of additions.
        near = 1e-5 if (phase.optimizer, phase.precision) == ("adamw", "fp32") else 1e-2
        for one, two in zip(alone, together[phase.folder], strict=True):
            assert two == pytest.approx(one, rel=near), phase
        weights = [
            newest_checkpoint(f"{tmp_path}/{size}/{phase.folder}/checkpoints").weights for size in ("one", "two")
        ]  # type: ignore[union-attr]
        for name, weight in weights[0].items():
            torch.testing.assert_close(weights[1][name], weight, rtol=1e-2, atol=1e-4 if near < 1e-4 else 5e-2)


def main(folder: str) -> None:
    """What each of the processes does."""
    results: dict[str, list[tuple[float, float]]] = {}
    for phase in PHASES:
        results.setdefault(phase.folder, []).extend(train(phase, folder))
    if join_world().leads:
        (Path(folder) / "results.json").write_text(json.dumps(results))
    leave_world()


if __name__ == "__main__":
    main(sys.argv[1])
