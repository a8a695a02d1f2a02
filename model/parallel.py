"""One model in several processes: whole in each of them (DDP), or a share in each (FSDP).

Either way the gradients are averaged over the processes. With shares, the weights of a layer are gathered
when it is their turn and dropped behind it; gradients and moments exist in shares only. What a checkpoint
holds is always whole, so it can be taken up by another number of processes, and by the other way.

torch's modules for shares take about as long to import as torch itself, so nothing here imports them before there
are shares; a tensor or a module that lies in shares is known by its methods.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from model.distributed import World
from model.objectives import SummedLoss
from model.train_config import ParallelKind


def spread(
    objective: SummedLoss, world: World, kind: ParallelKind, device: torch.device, *, compiled: bool
) -> nn.Module:
    """The module to call: `objective`, compiled if wanted, in the processes of `world`."""
    if world.size > 1 and kind == "fsdp":
        return _shared_out(objective, world, device, compiled=compiled)
    module: nn.Module = objective
    if compiled:
        module = cast(nn.Module, torch.compile(module, dynamic=False))
    if world.size > 1:
        module = nn.parallel.DistributedDataParallel(module)
    return module


def _shared_out(objective: SummedLoss, world: World, device: torch.device, *, compiled: bool) -> nn.Module:
    """A share of every layer, and of what is outside the layers, in each process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world.size,))
    for layer in objective.model.model.layers:
        if compiled:  # layer by layer: what gathers and drops weights cannot be compiled with them
            layer.compile(dynamic=False)
        fully_shard(layer, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective


def average_now(module: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass ends in averaged gradients, or only adds to those of this process.

    Shares are averaged in every pass: to put it off, each process would have to hold whole gradients.
    """
    if isinstance(module, nn.parallel.DistributedDataParallel):
        module.require_backward_grad_sync = wanted


def whole(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """The tensors, gathered one after the other where they lie in shares; nothing without `keep`.

    Every process must call it.
    """
    kept = {}
    for name in sorted(tensors):  # in one order everywhere: a file that was read gives its names in any
        tensor = tensors[name]
        full = gathered(tensor)
        if keep:
            kept[name] = full.detach().cpu() if full is not tensor else tensor
    return kept


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor that lies in shares, or the tensor itself."""
    whole: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return whole


def like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy of the whole `value` where `parameter` lies, or the share of it that belongs there."""
    if hasattr(parameter, "full_tensor") and value.dim() > 0:
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(parameter, DTensor)
        return distribute_tensor(
            value.to(parameter.device, copy=True), parameter.device_mesh, parameter.placements, src_data_rank=None
        )
    return value.to(parameter.device, copy=True)


@torch.no_grad()
def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Takes up whole weights into a model that may lie in shares."""
    state = {name: like(parameter, weights[name]) for name, parameter in model.state_dict().items()}
    model.load_state_dict(state)
