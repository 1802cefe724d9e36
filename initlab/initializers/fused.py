"""Linear layers whose one weight holds the maps into query, key and value, told by their names and their shapes."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from torch import Tensor, nn

from initlab.initializers.stored import Stored

# By the name of a layer, how many maps of an attention stand one after another in what it gives.
FUSED: Final[Mapping[str, int]] = MappingProxyType(
    {"qkv": 3, "to_qkv": 3, "Wqkv": 3, "qkv_proj": 3, "c_attn": 3, "in_proj": 3, "kv": 2, "to_kv": 2}
)
# Names that others have, too, as the first layer of an MLP, or of a state space model.
SHARED: Final = frozenset({"in_proj"})


def maps_apart(stored: Stored, weight: Tensor, layer: nn.Module, *, name: str, holder: nn.Module) -> Stored:
    """How a layer stores its weight, with query, key and value as maps of their own where it holds them.

    That they are of one width is seen by the layer's own, or by a layer beside it that takes as much: where keys are
    fewer than queries, or the name stands for something else, the weight stays one map.

    Args:
        stored: How it is stored by its kind.
        weight: The weight.
        layer: The layer that holds it.
        name: The layer's own name in its network.
        holder: The module that has the layer under that name.
    """
    maps = FUSED.get(name)
    if maps is None or stored.one_hot or stored.layout not in ("out in", "in out") or weight.dim() != 2:
        return stored
    sizes = stored.sizes(weight)
    width, rest = divmod(sizes["out"], maps)
    square = width == sizes["in"] and name not in SHARED
    if rest or not width or not (square or _takes(holder, layer, width)):
        return stored
    if stored.layout == "out in":
        return replace(stored, layout="group out in", shape=(maps, width, sizes["in"]), attention=True)
    return replace(stored, layout="in group out", shape=(sizes["in"], maps, width), attention=True)


def _takes(holder: nn.Module, layer: nn.Module, width: int) -> bool:
    """Whether a layer beside another takes so many numbers, as what projects the mixed values does."""
    return any(
        module is not layer and getattr(module, "in_features", None) == width
        for module in holder.modules()
        if isinstance(module, nn.Linear)
    )
