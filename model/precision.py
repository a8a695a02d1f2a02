"""In which numbers to compute, on what device, with how many threads."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch

from model.train_config import PrecisionKind
from pipeline.errors import SettingError

TYPES: Mapping[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str, local_rank: int = 0, *, table: str = "train") -> torch.device:
    """The device of this name, a setting of `table`; `auto` is a GPU where there is one.

    Raises:
        SettingError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        known = device.type in ("cpu", "cuda") or (device.type == "mps" and torch.backends.mps.is_available())
    except RuntimeError:
        known = False
    if not known:
        raise SettingError(f"{table}.device is {name!r}; allowed are 'auto', 'cpu', 'cuda' and 'cuda:N'")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingError(f"{table}.device is {name!r}, but torch sees no GPU here")
    return torch.device("cuda", local_rank) if name == "cuda" else device


def choose_precision(kind: PrecisionKind, device: torch.device, *, table: str = "train") -> str:
    """`fp32`, `tf32`, `bf16` or `fp16`; `auto` is bf16 where the hardware multiplies it natively.

    Raises:
        SettingError: the device has no such numbers.
    """
    if kind == "tf32" and device.type != "cuda":
        raise SettingError(
            f"{table}.precision is 'tf32', which GPUs have; allowed here are 'auto', 'fp32', 'bf16' and 'fp16'"
        )
    if kind != "auto":
        return kind
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def prepare(device: torch.device, precision: str, *, threads: int) -> None:
    """Sets what torch keeps for the whole process: threads on a CPU; on a GPU, whether fp32 products may be rounded to TF32.

    They are under `tf32`, and under `bf16` and `fp16`, where what is left in 32 bits needs no more; not under `fp32`.
    """
    if device.type == "cpu":
        torch.set_num_threads(threads)
    else:
        torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`; to a GPU by page-locked memory, so that the copy runs beside the work before it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A block in which matrix products are computed in `precision`; weights stay in 32 bits."""
    return torch.autocast(device.type, dtype=TYPES[precision]) if precision in TYPES else nullcontext()
