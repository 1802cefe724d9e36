"""Which kinds of modules hold weights, and how each stores the linear maps in them."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from initlab.base.errors import UserError
from initlab.initializers.fused import maps_apart
from initlab.initializers.library_layers import of_libraries
from initlab.initializers.stored import AXES, Stored
from initlab.models.recurrent import GateLinear

# The gates that a recurrent layer stacks in one weight, in their order; a plain one has a single map, and none.
GATES: Final = {
    nn.RNN: "", nn.LSTM: "ifgo", nn.GRU: "rzn", nn.RNNCell: "", nn.LSTMCell: "ifgo", nn.GRUCell: "rzn",
}  # fmt: skip
RECURRENT: Final = tuple(GATES)
EMBEDDINGS: Final = (nn.Embedding, nn.EmbeddingBag)


Description = Mapping[str, str | tuple[str, str | None] | Stored]
"""What a module holds: by the name of each weight its layout, a pair of that and its bias' name, or a `Stored`."""

_DESCRIBED: dict[type[nn.Module], Callable[[Any], Description]] = {}


def register_layer(kind: type[nn.Module], describe: Callable[[Any], Description]) -> None:
    """Say which linear maps a kind of module holds, so that initializers fill them.

    A module of one's own may as well have a method `initlab_weights()` that returns the same.

    Example:
        >>> import torch, initlab
        >>> class Mixed(torch.nn.Module):  # y = x @ weight + shift
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = torch.nn.Parameter(torch.zeros(300, 100))
        ...         self.shift = torch.nn.Parameter(torch.zeros(100))
        >>> initlab.register_layer(Mixed, lambda layer: {"weight": ("in out", "shift")})
        >>> initlab.initialize(Mixed(), "he", seed=0)["weight"].fan_in
        300

    Args:
        kind: The class; its subclasses are of the kind, too, unless they are registered themselves.
        describe: Given a module of the kind, returns by the name of each weight how it is stored: a layout such as
            `"out in"` or `"in out"`, with a word for each dimension (`Stored` says which there are); a pair of that and
            the name of the bias; or a `Stored`.

    Raises:
        UserError: `kind` is no class of modules.
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise UserError(f"register_layer: expected a class of modules, got {kind}")
    _DESCRIBED[kind] = describe


def stored_in(layer: nn.Module, *, name: str = "", holder: nn.Module | None = None) -> dict[str, Stored]:
    """The weights that a module itself holds, without its children's: by their names how each is stored.

    What the module or its registered kind says of itself comes first; then torch's own kinds, and what the classes of
    other libraries have in common is known. A layer of a known kind may hold query, key and value of an attention side
    by side (`maps_apart`).

    Args:
        layer: Any module; a weight that it says it holds may be computed, as by a parametrization.
        name: Its own name in the network, without those of the modules around it; empty where it is not known.
        holder: The module that has it under that name.

    Raises:
        UserError: a module describes what is none of its weights, or not as `register_layer` says.
    """
    declare = getattr(layer, "initlab_weights", None)
    if declare is not None:
        where = f"{type(layer).__name__}.initlab_weights()"
        known = _apart(_of_torch(layer), layer, name, holder)
        return {**known, **_checked(layer, declare() if callable(declare) else None, where)}
    for kind in type(layer).__mro__:
        if kind in _DESCRIBED:
            return _checked(layer, _DESCRIBED[kind](layer), f"register_layer({kind.__name__}, …)")
    found = _of_torch(layer) or {
        own: stored
        for own, stored in of_libraries(layer).items()
        if isinstance(getattr(layer, own, None), nn.Parameter)
    }
    return _apart(found, layer, name, holder)


def _apart(found: Mapping[str, Stored], layer: nn.Module, name: str, holder: nn.Module | None) -> dict[str, Stored]:
    """A description in which query, key and value are maps of their own."""
    if holder is None:
        return dict(found)
    return {
        own: maps_apart(stored, getattr(layer, own), layer, name=name, holder=holder) for own, stored in found.items()
    }


def _checked(layer: nn.Module, described: Any, where: str) -> dict[str, Stored]:
    """A description with every entry as a `Stored`.

    Raises:
        UserError: what is described is no weight of the module, or is not said as `register_layer` says.
    """
    if not isinstance(described, Mapping):
        raise UserError(f'{where}: expected a mapping from parameter names, such as {{"a": "in out"}}')
    own = dict(layer.named_parameters(recurse=False))
    found = {}
    for name, value in described.items():
        layout, bias = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
        stored = value if isinstance(value, Stored) else Stored(str(layout), bias)
        if name not in own or (own[name].dim() < 2 and stored.shape is None):
            raise UserError(f"{where}: {name} is no parameter of it with two dimensions or more")
        words = stored.layout.split()
        dimensions = own[name].dim() if stored.shape is None else len(stored.shape)
        if not {"out", "in"} <= set(words) <= set(AXES) or len(words) > dimensions:
            raise UserError(
                f"{where}: {name} is stored as {stored.layout}; expected a word for each of {dimensions} dimensions, "
                f'"out in", "in out" or with {", ".join(AXES)}'
            )
        if stored.shape is not None and prod(stored.shape) != own[name].numel():
            raise UserError(f"{where}: {name} has {own[name].numel()} numbers, not {prod(stored.shape)}")
        if stored.bias is not None and stored.bias not in own:
            raise UserError(f"{where}: {name} has no bias {stored.bias}")
        groups = stored.sizes(own[name])["group"]
        if stored.gates and len(stored.gates) != groups:
            raise UserError(f"{where}: {name} holds {groups} groups, and gates={stored.gates} names another number")
        found[name] = stored
    return found


def _of_torch(layer: nn.Module) -> dict[str, Stored]:
    """The weights of torch's own kinds of layers."""
    if isinstance(layer, GateLinear):
        return {"weight": _of_gates(layer.weight, "bias", layer.gates, recurrent=layer.recurrent)}
    if isinstance(layer, nn.Linear):
        return {"weight": Stored("out in", "bias")}
    if isinstance(layer, _ConvNd):
        layout = "group in out" if isinstance(layer, _ConvTransposeNd) else "group out in"
        return {"weight": Stored(layout, "bias", _split(layer.weight, layer.groups))}
    if isinstance(layer, EMBEDDINGS):
        return {"weight": Stored("in out", one_hot=True)}
    if isinstance(layer, nn.Bilinear):  # each pair of inputs is one input
        return {"weight": Stored("out in in", "bias")}
    if isinstance(layer, nn.MultiheadAttention):
        if layer.in_proj_weight is not None:
            shape = _split(layer.in_proj_weight, 3)
            return {"in_proj_weight": Stored("group out in", "in_proj_bias", shape, attention=True)}
        # Query, key and value of different widths share one bias, which goes with the first.
        return {
            "q_proj_weight": Stored("out in", "in_proj_bias"),
            "k_proj_weight": Stored("out in"),
            "v_proj_weight": Stored("out in"),
        }
    if isinstance(layer, RECURRENT):
        return dict(_of_recurrent(layer))
    return {}


def _of_recurrent(layer: nn.Module) -> Iterator[tuple[str, Stored]]:
    gates = next(letters for kind, letters in GATES.items() if isinstance(layer, kind))
    names = layer._flat_weights_names if isinstance(layer, nn.RNNBase) else ["weight_ih", "weight_hh"]
    for name in names:
        if name.startswith("weight_hr"):  # an LSTM's projection
            yield name, Stored("out in")
        elif name.startswith("weight_"):
            bias = name.replace("weight_", "bias_")
            yield name, _of_gates(getattr(layer, name), bias, gates, recurrent=name.startswith("weight_hh"))


def _of_gates(weight: Tensor, bias: str, gates: str, *, recurrent: bool) -> Stored:
    """A weight in which the maps of several gates stand one below the other."""
    shape = _split(weight, max(1, len(gates)))
    return Stored("group out in", bias, shape, recurrent=recurrent, gates=gates)


def _split(weight: Tensor, groups: int) -> tuple[int, ...]:
    """The shape of a weight with its first dimension split into groups."""
    first, *others = weight.shape
    return (groups, first // groups, *others)
