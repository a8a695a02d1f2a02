"""Training in several processes of this machine: the same command once more in each, as `torchrun` would start it.

So `corpusmill train` and `corpusmill run` take all GPUs of a machine. For several machines, `torchrun` itself
starts `-m jobs train SETTINGS` on each.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import torch

from jobs.lock import OPENED
from model.train_config import TrainConfig
from pipeline.errors import CorpusmillError

"""Set where the run is opened already, by the process that started this one."""


def wanted(config: TrainConfig, sequence_length: int) -> int:
    """How many processes to start: as many as are set, else the most GPUs among which a batch divides; 1 inside `torchrun`."""
    if "WORLD_SIZE" in os.environ:
        return 1
    if config.processes is not None:
        return config.processes
    gpus = torch.cuda.device_count() if config.device in ("auto", "cuda") and torch.cuda.is_available() else 1
    return max((n for n in range(1, gpus + 1) if config.batch_tokens % (sequence_length * n) == 0), default=1)


def train_together(run: str, number: int, *, force: bool) -> None:
    """Trains the model of the run in folder `run`, by the settings that lie there, in so many processes.

    Raises:
        CorpusmillError: one of them failed; what it said is the reason.
    """
    arguments = [sys.executable, "-m", "jobs", "train", run, *(["--force"] if force else [])]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = str(Path(__file__).parents[1])  # the code that runs now, wherever it lies
    shared = {
        "WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), OPENED: "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH")))),
    }  # fmt: skip
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(number - 1)]
        started = []
        for rank in range(number):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            errors = said[rank - 1] if rank else None  # the first one speaks to people
            started.append(subprocess.Popen(arguments, env=os.environ | shared | place, stderr=errors))
            stack.callback(_end, started[-1])
        _wait(started, said)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _wait(started: Sequence["subprocess.Popen[bytes]"], said: Sequence[IO[str]]) -> None:
    """Returns when all have ended well, and at once when one has not."""
    running = dict(enumerate(started))
    while running:
        for rank, process in list(running.items()):
            try:
                code = process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            if code:
                raise CorpusmillError(f"process {rank} of {len(started)} failed{_reason(rank, said)}")
            del running[rank]


def _reason(rank: int, said: Sequence[IO[str]]) -> str:
    if rank == 0:
        return "; what it said stands above"
    said[rank - 1].seek(0)
    lines = [line for line in said[rank - 1].read().splitlines() if line.strip()]
    return ": " + lines[-1].removeprefix("corpusmill: ") if lines else ""
