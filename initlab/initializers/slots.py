"""Slots: the weights of a network that an initializer fills, each seen as the linear maps that it holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils.parametrize import is_parametrized

from initlab.base.errors import UserError
from initlab.initializers.fans import Fan

# How many gates a recurrent layer stacks in one weight.
GATES: Final = {
    nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3, nn.RNNCell: 1, nn.LSTMCell: 4, nn.GRUCell: 3,
}  # fmt: skip
RECURRENT: Final = tuple(GATES)
EMBEDDINGS: Final = (nn.Embedding, nn.EmbeddingBag)
LAYOUTS: Final = ("out in", "in out")  # in which a declared weight may be stored, with a kernel behind


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
        weight: The parameter itself, in the shape in which torch stores it.
        bias_name: Name of the bias that belongs to it; None if there is none.
        bias: The bias itself; None if there is none.
        blocks: How many independent maps lie one below another in the weight: groups of a convolution, gates of a
            recurrent layer, query, key and value of attention.
        transposed: Whether a block is stored as (in, out, *kernel), as in transposed convolutions and embeddings.
        fan: The fans of one block; see `fan_of_layer`.
        more_biases: Biases, with their names, of further layers that share the weight.
    """

    name: str
    layer_name: str
    layer: nn.Module
    weight: nn.Parameter
    bias_name: str | None
    bias: nn.Parameter | None
    blocks: int
    transposed: bool
    fan: Fan
    more_biases: tuple[tuple[str, nn.Parameter], ...] = ()

    @property
    def biases(self) -> list[tuple[str, nn.Parameter]]:
        """All biases that belong to the weight, as pairs of name and parameter."""
        own = [] if self.bias is None or self.bias_name is None else [(self.bias_name, self.bias)]
        return [*own, *self.more_biases]

    def maps(self, weight: Tensor | None = None) -> Tensor:
        """A view as (blocks, out, in, *kernel), whatever way torch stores the layer.

        Args:
            weight: A tensor of the weight's shape, such as its gradient; None: the weight itself, without gradient.
        """
        stored = self.weight.detach() if weight is None else weight
        blocks: Tensor = stored.unflatten(0, (self.blocks, -1))
        return blocks.transpose(1, 2) if self.transposed else blocks


def find_slots(model: nn.Module) -> list[Slot]:
    """Every weight of a network that an initializer fills, in the order of definition.

    Linear, convolutions of any kind, embeddings, multi-head attention and recurrent layers have such weights, and so
    has a module that declares its own: a method `initlab_weights()` returns, by the name of each parameter that is a
    linear map, how it is stored, `"out in"` as in `nn.Linear` or `"in out"` for `x @ weight`; or a pair of that and the
    name of the bias that goes with it. Further dimensions are a kernel. A weight
    that several layers share is listed once, under the first of them. Where an embedding is tied to a linear layer, it
    is listed under the linear one, whose outputs its scale must suit.

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
        UserError: a parameter is lazy, is on the meta device, or is computed from others, as by `weight_norm`; or a
            module declares what is none of its weights.
    """
    for name, parameter in model.named_parameters():
        _check_ready(name, parameter)
    slots: dict[nn.Parameter, Slot] = {}
    for layer_name, layer in model.named_modules():
        for slot in _slots_of(layer_name, layer):
            known = slots.get(slot.weight)
            if known is None:
                slots[slot.weight] = slot
            elif isinstance(known.layer, EMBEDDINGS) and not isinstance(layer, EMBEDDINGS):
                del slots[slot.weight]  # it takes its place in the order, too
                slots[slot.weight] = slot
            elif slot.bias is not None and slot.bias_name is not None and slot.bias is not known.bias:
                more = (*known.more_biases, (slot.bias_name, slot.bias))
                slots[slot.weight] = replace(known, more_biases=more)
    return list(slots.values())


def fan_of_layer(layer: nn.Module) -> Fan:
    """The fans of a layer with one weight.

    fan_in = C_in/groups · ∏kernel and fan_out = C_out/groups · ∏kernel. torch's own function reads the tensor's shape,
    which swaps the two for transposed convolutions and ignores the groups in fan_out. An embedding has fan_in 1: it
    adds up one row at a time.

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


def _slots_of(layer_name: str, layer: nn.Module) -> Iterator[Slot]:
    """The slots that a module itself holds, without its children's."""
    prefix = f"{layer_name}." if layer_name else ""

    def slot(
        weight: str, bias: str | None, *, blocks: int = 1, transposed: bool = False, one_hot: bool = False
    ) -> Slot:
        parameter = getattr(layer, weight)
        name = f"{prefix}{weight}"
        if is_parametrized(layer, weight) or not isinstance(parameter, nn.Parameter):
            raise UserError(f"{name}: computed from other parameters; initialize the model before parametrizing it")
        given = getattr(layer, bias, None) if bias is not None else None
        out, entering, *kernel = parameter.shape
        out, entering = (entering, out // blocks) if transposed else (out // blocks, entering)
        fan = Fan(1 if one_hot else entering * prod(kernel), out * prod(kernel))
        bias_name = f"{prefix}{bias}" if given is not None else None
        return Slot(name, layer_name, layer, parameter, bias_name, given, blocks, transposed, fan)

    if isinstance(layer, nn.Linear):
        yield slot("weight", "bias")
    elif isinstance(layer, _ConvNd):
        yield slot("weight", "bias", blocks=layer.groups, transposed=isinstance(layer, _ConvTransposeNd))
    elif isinstance(layer, EMBEDDINGS):
        yield slot("weight", None, transposed=True, one_hot=True)
    elif isinstance(layer, nn.MultiheadAttention):
        if layer.in_proj_weight is not None:
            yield slot("in_proj_weight", "in_proj_bias", blocks=3)
        else:  # query, key and value of different widths share one bias, which goes with the first
            yield slot("q_proj_weight", "in_proj_bias")
            yield slot("k_proj_weight", None)
            yield slot("v_proj_weight", None)
    elif isinstance(layer, RECURRENT):
        gates = next(count for kind, count in GATES.items() if isinstance(layer, kind))
        names = layer._flat_weights_names if isinstance(layer, nn.RNNBase) else ["weight_ih", "weight_hh"]
        for name in names:
            if name.startswith("weight_hr"):  # an LSTM's projection
                yield slot(name, None)
            elif name.startswith("weight_"):
                yield slot(name, name.replace("weight_", "bias_"), blocks=gates)
    for name, stored, bias in _declared(layer):
        yield slot(name, bias, transposed=stored == "in out")


def _declared(layer: nn.Module) -> Iterator[tuple[str, str, str | None]]:
    """The weights that a module declares: names, how they are stored, and the names of their biases.

    Raises:
        UserError: what it declares is no weight of its own, or is not said as `find_slots` describes it.
    """
    declare = getattr(layer, "initlab_weights", None)
    if declare is None:
        return
    where = f"{type(layer).__name__}.initlab_weights()"
    own = dict(layer.named_parameters(recurse=False))
    declared = declare() if callable(declare) else None
    if not isinstance(declared, Mapping):
        raise UserError(f'{where}: expected a mapping from parameter names, such as {{"a": "in out"}}')
    for name, value in declared.items():
        stored, bias = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
        if name not in own or own[name].dim() < 2:
            raise UserError(f"{where}: {name} is no parameter of it with two dimensions or more")
        if stored not in LAYOUTS:
            raise UserError(f"{where}: {name} is stored as {stored}; expected {' or '.join(LAYOUTS)}")
        if bias is not None and bias not in own:
            raise UserError(f"{where}: {name} has no bias {bias}")
        yield name, stored, bias


def _check_ready(name: str, parameter: nn.Parameter) -> None:
    if isinstance(parameter, UninitializedParameter):
        raise UserError(f"{name}: a lazy parameter has no shape yet; send one batch through the model first")
    if parameter.is_meta:
        raise UserError(f"{name}: a parameter on the meta device holds no numbers; call model.to_empty(device=…) first")
