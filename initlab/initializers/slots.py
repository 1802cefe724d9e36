"""Slots: the weights of a network that an initializer fills, each seen as the linear maps that it holds."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import is_parametrized

from initlab.base.errors import UserError
from initlab.initializers.fans import Fan
from initlab.initializers.layers import EMBEDDINGS, stored_in
from initlab.initializers.stored import Stored
from initlab.modules.wrappers import bare_name


@dataclass(frozen=True, eq=False)  # a slot equals itself alone: tensors have no single truth
class Slot:
    """One weight, and how to read it.

    Example:
        >>> (slot,) = find_slots(nn.Conv2d(4, 8, 3, groups=2))
        >>> slot.name, slot.fan, slot.maps().shape  # two groups, each a map from 2 to 4 channels
        ('weight', Fan(fan_in=18, fan_out=36), torch.Size([2, 4, 2, 3, 3]))

    Attributes:
        name: The parameter's name in the network, e.g. `"0.weight"`.
        layer_name: Name of the module that holds it; empty if it is the network itself.
        layer: The module that holds it, or the first of them if several share it.
        weight: The parameter itself, in the shape in which torch stores it; where it is computed from others, what was
            computed of them.
        stored: How the layer stores its maps in it.
        bias_name: Name of the bias that belongs to it; None if there is none.
        bias: The bias itself; None if there is none.
        more_biases: Biases, with their names, of further layers that share the weight.
        other_names: Names of the same parameter in further layers that share it.
        computed: Whether it is computed from other parameters, by `torch.nn.utils.parametrize`.
    """

    name: str
    layer_name: str
    layer: nn.Module
    weight: Tensor
    stored: Stored
    bias_name: str | None
    bias: nn.Parameter | None
    more_biases: tuple[tuple[str, nn.Parameter], ...] = ()
    other_names: tuple[str, ...] = ()
    computed: bool = False

    @cached_property
    def fan(self) -> Fan:
        """The fans of one of its maps; see `fan_of_layer`."""
        return self.stored.fan(self.weight)

    @cached_property
    def blocks(self) -> int:
        """How many maps it holds: groups of a convolution, gates, experts, query with key and value."""
        sizes = self.stored.sizes(self.weight)
        return sizes["bank"] * sizes["group"]

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which the network has it."""
        return (self.name, *self.other_names)

    @property
    def is_embedding(self) -> bool:
        """Whether it is a table from which rows are looked up, and nothing else."""
        return self.stored.one_hot

    @property
    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """What the network registers of it, by name: the weight itself, or the parameters that it is computed from."""
        if not self.computed:
            assert isinstance(self.weight, nn.Parameter)
            return [(self.name, self.weight)]
        own = self.name.rpartition(".")[2]
        chain: nn.Module = self.layer.parametrizations[own]  # type: ignore[index, assignment]  # torch has no type
        place = f"{self.layer_name}.parametrizations.{own}".removeprefix(".")
        return [(f"{place}.{name}", parameter) for name, parameter in chain.named_parameters()]

    @property
    def frozen(self) -> bool:
        """Whether nothing of it is trained."""
        return not any(parameter.requires_grad for _, parameter in self.parameters)

    @property
    def biases(self) -> list[tuple[str, nn.Parameter]]:
        """All biases that belong to the weight, as pairs of name and parameter."""
        own = [] if self.bias is None or self.bias_name is None else [(self.bias_name, self.bias)]
        return [*own, *self.more_biases]

    def maps(self, weight: Tensor | None = None) -> Tensor:
        """All maps as (maps, out, in, *kernel), whatever way torch stores the layer; to read, as it may be a copy.

        Args:
            weight: A tensor of the weight's shape, such as its gradient; None: the weight itself, without gradient.
        """
        return self.stored.maps(self.weight.detach() if weight is None else weight)

    def each(self, weight: Tensor | None = None) -> Iterator[Tensor]:
        """Each map as a view (out, in, *kernel), which may be filled in place.

        Args:
            weight: A tensor of the weight's shape; None: the weight itself, without gradient.
        """
        return self.stored.each(self.weight.detach() if weight is None else weight)


def find_slots(model: nn.Module) -> list[Slot]:
    """Every weight of a network that an initializer fills, in the order of definition.

    Linear, convolutions of any kind, embeddings, multi-head attention and recurrent layers have such weights, and so
    has a module that declares its own in a method `initlab_weights()`, or whose kind `register_layer` describes. A
    weight that several layers share is listed once, under the first of them. Where an embedding is tied to a linear
    layer, it is listed under the linear one, whose outputs its scale must suit. A linear layer that gives query, key
    and value side by side, such as `qkv`, holds three maps; see `fused.maps_apart`.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
        >>> [(slot.name, slot.bias_name) for slot in find_slots(model)]
        [('0.weight', '0.bias'), ('3.weight', '3.bias')]

        A module of one's own:

        >>> class Own(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a, self.shift = nn.Parameter(torch.zeros(3, 5)), nn.Parameter(torch.zeros(5))
        ...     def initlab_weights(self):
        ...         return {"a": ("in out", "shift")}
        >>> [(slot.name, slot.bias_name, slot.fan.fan_in) for slot in find_slots(Own())]
        [('a', 'shift', 3)]

    Args:
        model: Any network, on any device but meta.

    Raises:
        UserError: a parameter is lazy, or is on the meta device; or a module describes what is none of its weights.
    """
    for name, parameter in model.named_parameters():
        _check_ready(name, parameter)
    slots: dict[Tensor, Slot] = {}
    modules = dict(model.named_modules())
    for layer_name, layer in modules.items():
        holder = modules[layer_name.rpartition(".")[0]] if layer_name else None
        for slot in _slots_of(layer_name, layer, holder):
            known = slots.get(slot.weight)
            if known is None:
                slots[slot.weight] = slot
            elif isinstance(known.layer, EMBEDDINGS) and not isinstance(layer, EMBEDDINGS):
                del slots[slot.weight]  # it takes its place in the order, too
                slots[slot.weight] = replace(slot, other_names=known.names)
            else:
                apart = slot.bias is not None and slot.bias_name is not None and slot.bias is not known.bias
                more = [(slot.bias_name, slot.bias)] if apart else []
                slots[slot.weight] = replace(
                    known,
                    more_biases=(*known.more_biases, *more),  # type: ignore[arg-type]  # both are there, or none
                    other_names=(*known.other_names, slot.name),
                )
    return list(slots.values())


def fan_of_layer(layer: nn.Module) -> Fan:
    """The fans of a layer with one weight.

    fan_in = C_in/groups · ∏kernel and fan_out = C_out/groups · ∏kernel. torch's own function reads the tensor's shape,
    which swaps the two for transposed convolutions and ignores the groups in fan_out. An embedding has fan_in 1: it
    adds up one row at a time. A layer by itself has no name that would tell that it holds query, key and value.

    Example:
        >>> fan_of_layer(nn.Linear(7, 5)), fan_of_layer(nn.ConvTranspose2d(8, 16, 3))
        (Fan(fan_in=7, fan_out=5), Fan(fan_in=72, fan_out=144))

    Args:
        layer: A single layer such as Linear, a convolution or an embedding, not a network.

    Raises:
        UserError: the layer has no such weight, or several.
    """
    slots = list(_slots_of("", layer))
    if len(slots) != 1:
        raise UserError(f"{type(layer).__name__} has {len(slots) or 'no'} weights with fans: expected exactly one")
    return slots[0].fan


def why_not_filled(weight: Tensor) -> str | None:
    """Why no initializer fills such a weight: what it holds are no real numbers that can be drawn; None where it can.

    Args:
        weight: A parameter with the shape of a weight.
    """
    if weight.is_complex():
        return "its numbers are complex"
    if not weight.is_floating_point() or weight.dtype.itemsize < 2:
        return f"its numbers are {str(weight.dtype).removeprefix('torch.')}"
    if not weight.numel():
        return "it is empty"
    return None


def is_weight_shaped(parameter: Tensor) -> bool:
    """Whether a parameter has two dimensions of more than one entry, as a weight has, and a class token has not."""
    return sum(size > 1 for size in parameter.shape) >= 2


def computed_value(layer: nn.Module, name: str) -> Tensor:
    """The value of a parametrized weight, looked at as in evaluation.

    Args:
        layer: A module with parametrizations.
        name: Name of the weight that is computed.
    """
    with parametrizations_at_rest(layer), torch.no_grad():
        value: Tensor = getattr(layer, name)
        return value


@contextlib.contextmanager
def parametrizations_at_rest(layer: nn.Module) -> Iterator[None]:
    """Look at the weights of a module without moving anything: a spectral norm moves its vectors while training.

    Args:
        layer: Any module; what its own parameters are computed by is in evaluation mode while this context lasts.
    """
    chains = list(layer.get_submodule("parametrizations").modules()) if is_parametrized(layer) else []
    modes = [module.training for module in chains]
    try:
        for module in chains:
            module.training = False
        yield
    finally:
        for module, training in zip(chains, modes, strict=True):
            module.training = training


def _slots_of(layer_name: str, layer: nn.Module, holder: nn.Module | None = None) -> Iterator[Slot]:
    """The slots that a module itself holds, without its children's; what it stands in tells what stands beside it."""
    prefix = f"{layer_name}." if layer_name else ""
    with parametrizations_at_rest(layer):
        described = stored_in(layer, name=bare_name(layer_name).rpartition(".")[2], holder=holder)
    for own, stored in described.items():
        computed = is_parametrized(layer, own)
        weight = computed_value(layer, own) if computed else getattr(layer, own)
        if not (computed or isinstance(weight, nn.Parameter)) or why_not_filled(weight) is not None:
            continue
        bias = None if stored.bias is None else getattr(layer, stored.bias, None)
        if not isinstance(bias, nn.Parameter) or why_not_filled(bias) is not None:
            bias = None
        bias_name = f"{prefix}{stored.bias}" if bias is not None else None
        yield Slot(f"{prefix}{own}", layer_name, layer, weight, stored, bias_name, bias, computed=computed)


def _check_ready(name: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, UninitializedParameter):
        raise UserError(f"{name}: a lazy parameter has no shape yet; send one batch through the model first")
    if parameter.is_meta:
        raise UserError(f"{name}: a parameter on the meta device holds no numbers; call model.to_empty(device=…) first")
    if parameter.is_inference():
        raise UserError(f"{name}: made in inference mode, so that nothing can change it; build the model outside of it")
