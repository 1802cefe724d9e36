"""A learning rate for each parameter, which follows from how the network grows with its width.

What is trained is `parameter ← parameter − lr · factor · update`. In a network whose width is m times that of a base,
a parameter's `entering` says how many times as many inputs a unit of it has, and `leaving` how many times as many units
it has. Hidden weights have both, those that read the data (and biases, norms, embeddings) only the second, the readout
only the first.

**mup** is Table 3 of Yang & Hu 2021 (Tensor Programs V, arXiv:2203.03466): no multipliers in the network, only rates
and, by `init=mup`, the readout's standard deviation.

| | entering, leaving | Adam | SGD | std of `init=mup` |
|---|---|---|---|---|
| reads the data, bias | 1, m | 1 | m | as the base |
| hidden | m, m | 1/m | 1 | base · m^(−1/2) |
| readout | m, 1 | 1/m | 1/m | base / m |

In short: 1/entering for optimizers that divide by the gradient's size, leaving/entering for SGD. Why: a unit of the
next layer adds up `fan_in` products of a weight's step and a signal that it is correlated with, so that they add up
like fan_in, not like its root. Adam's steps have size lr, so that lr must fall as 1/fan_in. SGD's step is the gradient:
of a hidden weight 1/width small, as what comes back through a readout of size 1/width is; times fan_in signals that
is 1.
At the input it is as small, but there are no more signals: the rate grows with width. At the readout the gradient is
the signal itself, of size 1, and width signals add up.

Microsoft's `mup` writes the readout as W/m with a W of the base's standard deviation. That is the same training
(Table 8 there, the abc-symmetry): with W' = W/m, gradients by W are 1/m of those by W', so that SGD's step of W' is
lr/m², and Adam's lr/m. Its SGD rate for the readout is lr · m, and so lr/m here; Adam's is lr, and so lr/m here.

**spectral** (Yang, Simon & Bernstein 2023, arXiv:2310.17813) asks that a step changes a layer's map by a spectral norm
of √(fan_out/fan_in), so that it moves each unit of a typical signal by about lr. A step of Adam is close to ±lr of rank
one, of norm lr · √(fan_out · fan_in): the factor is 1/fan_in. The gradient that SGD takes has the norm
√(fan_in/fan_out): the factor is fan_out/fan_in. So it needs no base, its rates are absolute, and they grow with width
as those of mup do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.layers import EMBEDDINGS
from initlab.initializers.slots import Slot, find_slots

GRADIENT_SIZED: Final = frozenset({"torch.optim.SGD"})  # steps of the gradient's size; all others divide by it


@dataclass(frozen=True)
class Extent:
    """How many inputs and outputs a parameter has, as far as learning rates go.

    Attributes:
        entering: Inputs that a unit adds up: 1 for what is added or multiplied, such as a bias or an embedding's row.
        leaving: Units; of a convolution channels.
    """

    entering: float
    leaving: float


def mup_factors(model: nn.Module, base: nn.Module, *, optimizer: str) -> dict[str, float]:
    """The factor on the learning rate of each parameter by muP, relative to a narrower network.

    Example:
        >>> def mlp(width):
        ...     return nn.Sequential(nn.Linear(5, width), nn.Linear(width, width), nn.Linear(width, 3))
        >>> factors = mup_factors(mlp(256), mlp(64), optimizer="torch.optim.Adam")
        >>> factors["0.weight"], factors["1.weight"], factors["2.weight"]
        (1.0, 0.25, 0.25)

    Args:
        model: The network that trains.
        base: The same network at the base width, in which each factor is 1.
        optimizer: Dotted name of its class.

    Raises:
        UserError: the two have other parameters than each other.
    """
    wide, narrow = extents(model), extents(base)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    former = {name: tuple(parameter.shape) for name, parameter in base.named_parameters()}
    if [*map(len, shapes.values())] != [*map(len, former.values())] or shapes.keys() != former.keys():
        raise UserError("at the base width the network has other parameters, so that they have no growth")
    grown = {
        name: Extent(extent.entering / narrow[name].entering, extent.leaving / narrow[name].leaving)
        if name in _held(model)
        else _growth(shapes[name], former[name])
        for name, extent in wide.items()
    }
    return _factors(grown, optimizer)


def spectral_factors(model: nn.Module, *, optimizer: str) -> dict[str, float]:
    """The factor on the learning rate of each parameter by the spectral condition: fan_out/fan_in, or 1/fan_in.

    Args:
        model: The network that trains.
        optimizer: Dotted name of its class.
    """
    return _factors(extents(model), optimizer)


def _factors(found: Mapping[str, Extent], optimizer: str) -> dict[str, float]:
    by_gradient = optimizer in GRADIENT_SIZED
    return {name: (one.leaving if by_gradient else 1.0) / one.entering for name, one in found.items()}


def extents(model: nn.Module) -> dict[str, Extent]:
    """How many inputs and outputs each parameter of a network has, by its name.

    Args:
        model: Any network, on any device but meta.

    Raises:
        UserError: an embedding is the readout, too: it would need two rates.
    """
    held = _held(model)
    found = {}
    for name, parameter in model.named_parameters():
        slot = held.get(name)
        found[name] = Extent(1, parameter.shape[-1] if parameter.dim() else 1) if slot is None else _of_slot(slot)
    return found


def _held(model: nn.Module) -> dict[str, Slot]:
    """The slots of a network, by the name of each parameter that has the shape of the slot's weight."""
    held = {}
    for slot in find_slots(model):
        tied = [name for name in slot.other_names if _is_embedding(model, name)]
        if tied and not slot.is_embedding:
            raise UserError(
                f"{slot.name} is {tied[0]}, too, and reads and writes at two rates; train an untied network"
            )
        registered = {name: parameter for name, parameter in slot.parameters if parameter.shape == slot.weight.shape}
        held.update(dict.fromkeys(registered, slot))
        held.update({name: slot for name in slot.other_names if not slot.computed})
    return held


def _is_embedding(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name.rpartition(".")[0]), EMBEDDINGS)


def _of_slot(slot: Slot) -> Extent:
    sizes = slot.stored.sizes(slot.weight)
    # A depthwise convolution that grows has more maps, not larger ones: each is like a bias. Gates and experts are as
    # many at any width.
    return Extent(slot.fan.fan_in, sizes["out"] * sizes["group"])


def _growth(shape: Sequence[int], base: Sequence[int]) -> Extent:
    """How a parameter that is no layer's map grows: the last of several dimensions that do is what enters."""
    grown = [size / former for size, former in zip(shape, base, strict=True) if size != former]
    return Extent(grown[-1], prod(grown[:-1])) if len(grown) > 1 else Extent(1, prod(grown))


def wider_heads(model: nn.Module, base: nn.Module) -> tuple[int, int] | None:
    """The size of attention heads in a network and at its base width, where it grows; None where it does not.

    Scores that are divided by √d then grow with the heads as training goes on; muP divides them by d.

    Args:
        model: The network that trains.
        base: The same network at the base width.
    """
    for module, former in zip(model.modules(), base.modules(), strict=False):
        sizes = [_head_size(module), _head_size(former)]
        if sizes[0] is not None and sizes[1] is not None and sizes[0] > sizes[1]:
            return sizes[0], sizes[1]
    return None


def _head_size(module: nn.Module) -> int | None:
    if isinstance(module, nn.MultiheadAttention):
        return int(module.head_dim)
    heads, query = getattr(module, "heads", None), getattr(module, "query", None)
    return query.out_features // heads if isinstance(heads, int) and isinstance(query, nn.Linear) else None
