"""In which numbers to compute, on what device, with how many threads."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from pipeline.errors import SettingError

PrecisionKind = Literal["auto", "fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of this name; `auto` is a GPU where there is one.

    Raises:
        SettingError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingError(f"train.device is {name!r}; allowed are 'auto', 'cpu', 'cuda' and 'cuda:N'") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingError(f"train.device is {name!r}, but torch sees no GPU here")
    return torch.device("cuda", local_rank) if name == "cuda" else device


def choose_precision(kind: PrecisionKind, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`; `auto` is bf16 where the hardware multiplies it natively."""
    if kind != "auto":
        return kind
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """A block in which matrix products are computed in `precision`; weights stay in 32 bits."""
    return torch.autocast(device.type, dtype=_TYPES[precision]) if precision in _TYPES else nullcontext()
