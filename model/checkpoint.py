"""Checkpoints: `step-00000200/` with the weights, the moments of the optimisers, and `state.json`, written last.

A checkpoint is whole when its state is there; the state names the checksums of the two other files.
Equal training gives equal bytes. Files are written in a background thread from a copy of the tensors.
"""

import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from model.config import Architecture
from model.transformer import Transformer
from pipeline import storage
from pipeline.errors import DataError, InputError, SettingError
from pipeline.places import join

FOLDER = "checkpoints"
_NAME = re.compile(r"/step-(\d+)/state\.json$")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that training needs to go on: `state` is JSON."""

    step: int
    architecture: Architecture
    weights: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    state: Mapping[str, Any]


class CheckpointWriter:
    """Writes checkpoints below `folder` one after the other, behind the back of training; keeps the last `keep`.

    One that is neither the newest nor of a multiple of `every` steps is the end of a shorter training, and is not kept.
    """

    def __init__(self, folder: str, *, keep: int, every: int = 1) -> None:
        self._folder = folder
        self._keep = keep
        self._every = every
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Copies the tensors now and writes them soon; waits for the one before.

        Raises:
            OSError: the one before could not be written.
        """
        self.wait()
        copy = Checkpoint(
            step=checkpoint.step,
            architecture=checkpoint.architecture,
            weights=_copied(checkpoint.weights),
            moments=_copied(checkpoint.moments),
            state=checkpoint.state,
        )
        self._pending = self._thread.submit(self._write, copy)

    def wait(self) -> None:
        """Returns when all is written."""
        if self._pending is not None:
            self._pending.result()
            self._pending = None

    def close(self) -> None:
        """Ends the thread after the write under way."""
        self._thread.shutdown(wait=True)

    def _write(self, checkpoint: Checkpoint) -> None:
        write_checkpoint(self._folder, checkpoint)
        steps = checkpoint_steps(self._folder)
        lasting = [step for step in steps if step % self._every == 0 or step == steps[-1]]
        for step in sorted({*steps} - {*lasting[-self._keep :]}):
            state = join(step_folder(self._folder, step), "state.json")
            storage.remove_tree(state)  # first, so that what is left of it is no checkpoint
            storage.remove_tree(step_folder(self._folder, step))


def write_checkpoint(folder: str, checkpoint: Checkpoint) -> None:
    """Writes one checkpoint below `folder`."""
    target = step_folder(folder, checkpoint.step)
    storage.remove_tree(target)  # half a checkpoint of a killed attempt: its debris must not reach a manifest
    files = {"model.safetensors": checkpoint.weights, "optimizer.safetensors": checkpoint.moments}
    sums = {
        name: storage.write_bytes(join(target, name), safetensors.torch.save(dict(tensors))).sha256
        for name, tensors in files.items()
    }
    state = {
        "step": checkpoint.step,
        "architecture": checkpoint.architecture.to_json(),
        "sha256": sums,
        "state": checkpoint.state,
    }
    storage.write_json(join(target, "state.json"), state)


def checkpoint_steps(folder: str) -> list[int]:
    """The steps of the whole checkpoints below `folder`, ascending."""
    found = (_NAME.search(path) for path in storage.list_files(folder))
    return sorted(int(match[1]) for match in found if match)


def step_folder(folder: str, step: int) -> str:
    """Where the checkpoint of this step lies."""
    return join(folder, f"step-{step:08d}")


def read_checkpoint(folder: str, step: int) -> Checkpoint:
    """The checkpoint of this step.

    Raises:
        DataError: a file of it is damaged.
    """
    target = step_folder(folder, step)
    value = storage.read_json(join(target, "state.json"))
    try:
        tensors = {name: _read_tensors(join(target, name), sha256) for name, sha256 in value["sha256"].items()}
        return Checkpoint(
            step=value["step"],
            architecture=Architecture.from_json(value["architecture"]),
            weights=tensors["model.safetensors"],
            moments=tensors["optimizer.safetensors"],
            state=value["state"],
        )
    except (KeyError, TypeError, AttributeError, SettingError):
        raise DataError(f"{join(target, 'state.json')} is not the state of a checkpoint of ours") from None


def newest_checkpoint(folder: str) -> Checkpoint | None:
    """The last checkpoint below `folder` that is whole and undamaged, if any."""
    for step in reversed(checkpoint_steps(folder)):
        try:
            return read_checkpoint(folder, step)
        except (DataError, InputError):
            continue
    return None


def load_model(folder: str) -> Transformer:
    """The model of the last checkpoint in a dataset `model/`, ready to evaluate.

    Raises:
        InputError: there is no checkpoint.
        DataError: it is damaged. An earlier one would be another model.
    """
    steps = checkpoint_steps(join(folder, FOLDER))
    if not steps:
        raise InputError(f"{folder} holds no checkpoint of a model; train one first")
    checkpoint = read_checkpoint(join(folder, FOLDER), steps[-1])
    model = Transformer(checkpoint.architecture)
    model.load_state_dict(dict(checkpoint.weights))
    return model.eval()


def _read_tensors(path: str, sha256: str) -> dict[str, Tensor]:
    if storage.checksum(path)[0] != sha256:
        raise DataError(f"{path} is damaged: its SHA-256 is not the one in its state.json")
    try:
        return safetensors.torch.load(storage.read_bytes(path))
    except safetensors.SafetensorError as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
