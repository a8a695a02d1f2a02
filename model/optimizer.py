"""The optimisers: Muon for the matrices inside the layers with AdamW for the rest, or AdamW for all.

Both come from torch, but for the precision of Muon on processors. Its step is scaled to the size of AdamW's (Moonlight, Liu et al. 2025), so
one learning rate serves both.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from model.muon import ProcessorMuon
from model.parallel import like
from model.train_config import OptimizerConfig


class Optimizers:
    """The optimisers of one model as one, with one learning rate and one flat state."""

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        self._names: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
        inside, plain, small = _split(model, muon=config.kind == "muon")
        self.parts: list[torch.optim.Optimizer] = []
        groups = [
            {"params": plain, "weight_decay": config.weight_decay, "peak": config.learning_rate},
            {"params": small, "weight_decay": 0.0, "peak": config.learning_rate},
        ]
        self._fused = any(parameter.device.type == "cuda" for parameter in self._names)  # one kernel for all weights
        self.parts.append(
            torch.optim.AdamW(
                [group for group in groups if group["params"]],
                lr=config.learning_rate,
                betas=(config.beta1, config.beta2),
                eps=config.epsilon,
                **({"fused": True} if self._fused else {"foreach": True}),
            )
        )
        if inside:
            peak = config.learning_rate * config.muon_rate
            on_processor = all(parameter.device.type == "cpu" for parameter in inside)
            muon = (ProcessorMuon if on_processor else torch.optim.Muon)(
                [{"params": inside, "peak": peak}],
                lr=peak,
                weight_decay=config.weight_decay,
                momentum=config.momentum,
                adjust_lr_fn="match_rms_adamw",
            )
            self.parts.append(muon)

    def set_rate(self, share: float) -> None:
        """Sets the learning rate of every group to `share` of its peak."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["peak"] * share

    def step(self) -> None:
        """One step of each."""
        for part in self.parts:
            part.step()

    def clear(self) -> None:
        """Forgets the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """All moments and step counts, as `<parameter>/<moment>`."""
        return {
            f"{self._names[parameter]}/{key}": torch.as_tensor(value)
            for part in self.parts
            for parameter, moments in part.state.items()
            for key, value in moments.items()
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Takes up what `state` gave."""
        parameters = {name: parameter for parameter, name in self._names.items()}
        owners = {
            parameter: part for part in self.parts for group in part.param_groups for parameter in group["params"]
        }
        for name, value in state.items():
            parameter = parameters[name.rpartition("/")[0]]
            moments: Any = owners[parameter].state[parameter]
            on_device = value.dim() > 0 or self._fused  # counts of steps stay on the CPU, but for fused kernels
            moments[name.rpartition("/")[2]] = like(parameter, value) if on_device else value.clone()


def _split(model: nn.Module, *, muon: bool) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Matrices inside the layers (empty without Muon), other matrices, and all that is no matrix."""
    inside, plain, small = [], [], []
    for name, parameter in _trainable(model):
        if parameter.dim() < 2:
            small.append(parameter)
        elif muon and parameter.dim() == 2 and ".layers." in name:
            inside.append(parameter)
        else:
            plain.append(parameter)
    return inside, plain, small


def _trainable(model: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
