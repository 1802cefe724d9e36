"""Writing numbers into a network: in place, into shards, or through a parametrization."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.parametrizations import _WeightNorm

from initlab.base.errors import UserError, first_line
from initlab.initializers.init_report import Treatment
from initlab.initializers.slots import Slot, computed_value
from initlab.modules.snapshot import Snapshot


def write(parameter: Tensor, values: Tensor) -> None:
    """Copy numbers into a parameter in place; into its shards, where it is distributed over processes (FSDP2).

    Args:
        parameter: On any device, of any type of real numbers.
        values: Of the parameter's whole shape, on the CPU.
    """
    sharded: Any = parameter
    if hasattr(sharded, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor  # only where there are such parameters

        values = distribute_tensor(values.to(parameter.device), sharded.device_mesh, sharded.placements)
    parameter.copy_(values)


def write_weight(slot: Slot, drawn: Tensor, treatment: Treatment, keeper: Snapshot) -> dict[str, Treatment]:
    """Put the numbers of a weight into the network; where it is computed from others, through its parametrization.

    Args:
        slot: The weight.
        drawn: Its numbers, on the CPU.
        treatment: What was done, if it can be written.
        keeper: Keeps what is changed.

    Returns:
        The treatment by the name of the weight, or by the names of the parameters that it is computed from.

    Raises:
        UserError: the numbers are not finite, and the weight is computed.
    """
    if not slot.computed:
        keeper.keep(slot.weight)
        write(slot.weight, drawn)
        return {slot.name: treatment}
    if not bool(drawn.isfinite().all()):
        raise UserError(f"init={treatment.rule} makes weights that are not finite: {slot.name}")
    own = slot.name.rpartition(".")[2]
    chain: Any = slot.layer.parametrizations[own]  # type: ignore[index]  # torch has no type for it
    kinds = ", ".join(type(step).__name__.strip("_") for step in chain)
    local = Snapshot()
    for keeping in (keeper, local):
        keeping.keep_buffers(chain)
        for tensor in chain.parameters():
            keeping.keep(tensor)
    names = [name for name, _ in slot.parameters]
    try:
        setattr(slot.layer, own, drawn.to(slot.weight, copy=True))  # it becomes part of the network
        _direct_zeros(chain)
    except Exception as error:  # whatever a parametrization says to what it cannot be
        local.restore()
        reason = f"its parametrization {kinds} cannot be written to: {first_line(error)}"
        return dict.fromkeys(names, Treatment.left_alone(reason, unasked=True))
    become = computed_value(slot.layer, own)
    if not bool(become.isfinite().all()):
        local.restore()
        reason = f"its parametrization {kinds} makes numbers of it that are not finite"
        return dict.fromkeys(names, Treatment.left_alone(reason, unasked=True))
    same = torch.allclose(become.cpu().to(drawn), drawn, rtol=1e-3, atol=1e-6)
    if same:
        return dict.fromkeys(names, replace(treatment, note=f"through {kinds}"))
    changed = f"through {kinds}, which makes its std {float(become.float().std()):.3g}"
    return dict.fromkeys(names, replace(treatment, rule=f"{treatment.rule}, then {kinds}", note=changed))


def _direct_zeros(chain: Any) -> None:
    """Give what is zero in a weight under weight norm a direction, so that its length of 0 counts, and not 0/0.

    Args:
        chain: The parametrizations of a weight, after it was written.
    """
    if len(chain) == 1 and isinstance(chain[0], _WeightNorm):
        length, direction = chain.original0, chain.original1
        direction.masked_fill_(length == 0, 1)
