"""What the parts of a network are for: residual branches, attention, gates, embeddings; found, not named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.norms import fixed_starts, is_norm
from initlab.initializers.slots import Slot, is_weight_shaped
from initlab.initializers.stored import Stored

VALUE: Final = 2  # the place of the value's map in a weight that holds those of query, key and value


@dataclass(frozen=True)
class Piece:
    """A linear map of a network: a whole weight, or one of the maps that it holds.

    Attributes:
        slot: The weight.
        place: The place of the map among those of the weight; None: all of it.
    """

    slot: Slot
    place: int | None = None

    @property
    def name(self) -> str:
        """The weight's name; of one of several maps with its place, as `"attention.in_proj_weight[2]"`."""
        return self.slot.name if self.place is None else f"{self.slot.name}[{self.place}]"

    @property
    def matrix(self) -> Tensor:
        """The map as a view (out, in, *kernel), without gradient, which may be changed in place."""
        if self.place is None and self.slot.blocks > 1:
            return self.slot.weight.detach()
        return list(self.slot.each())[self.place or 0]


@dataclass(frozen=True)
class Branch:
    """A residual branch.

    Attributes:
        pieces: Its maps in the order in which they act; query and key of an attention are in none.
        block: The number of the block that it is a part of, from 0.
        attends: Whether it holds an attention.
    """

    pieces: tuple[Piece, ...]
    block: int
    attends: bool


@dataclass(frozen=True)
class AttentionMaps:
    """The maps of an attention, each (out, in) as nn.Linear stores it.

    Attributes:
        query: From tokens to the queries of all heads.
        key: Likewise.
        value: Likewise.
        out: From the mixed values of all heads to what the attention returns.
        heads: How many heads share the rows of the first three.
    """

    query: Piece
    key: Piece
    value: Piece
    out: Piece
    heads: int


def has_branches(model: nn.Module) -> bool:
    """Whether the residual branches of a network are known, and are some: it lists them, or holds torch's own blocks.

    Args:
        model: Any network.
    """
    return next(_listed(model), None) is not None


def branches_of(model: nn.Module, slots: Sequence[Slot], *, where: str) -> list[Branch]:
    """The residual branches of a network, in order.

    A network lists them in a method `residual_branches()`; else the modules in it do, and those of torch's own
    transformer layers are known.

    Args:
        model: The network.
        slots: Its weights.
        where: Who asks, for the message, e.g. `"init=fixup"`.

    Raises:
        UserError: there is none, or one holds a layer without a weight.
    """
    of_layer: dict[nn.Module, list[Slot]] = {}
    for slot in slots:
        of_layer.setdefault(slot.layer, []).append(slot)
    names = {module: name for name, module in model.named_modules()}
    blocks: dict[str, int] = {}
    found: list[Branch] = []
    for layers in _listed(model):
        pieces = [piece for layer in layers for piece in _acting(of_layer.get(layer, []))]
        if not pieces or any(layer not in of_layer for layer in layers):
            raise UserError(f"{where}: a residual branch of {type(model).__name__} holds layers without a weight")
        attends = _attends(model, pieces)
        name = _block_name(names.get(layers[-1], "")) or f"branch {len(found)}"
        if name not in blocks:  # an MLP behind an attention is in its block, even where it stands in another list
            joins = bool(found) and found[-1].attends and not attends
            blocks[name] = found[-1].block if joins else len(set(blocks.values()))
        found.append(Branch(tuple(pieces), blocks[name], attends))
    if not found:
        raise UserError(f"{where}: {type(model).__name__} has no residual branch; make it deeper")
    return found


def attentions_of(model: nn.Module, slots: Sequence[Slot]) -> list[AttentionMaps]:
    """The attentions of a network: modules with `query`, `key`, `value` and `out`, all Linear, and `heads`; or torch's.

    Those of torch whose queries and keys have other widths than the result are passed over.

    Args:
        model: The network.
        slots: Its weights.
    """
    of_layer = {slot.layer: slot for slot in slots}
    found: list[AttentionMaps] = []
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention) and module in of_layer and module.out_proj in of_layer:
            held = of_layer[module]
            if held.blocks == VALUE + 1:
                query, key, value = (Piece(held, place) for place in range(held.blocks))
                found.append(AttentionMaps(query, key, value, Piece(of_layer[module.out_proj]), module.num_heads))
            continue
        layers = [getattr(module, name, None) for name in ("query", "key", "value", "out")]
        heads = getattr(module, "heads", None)
        if isinstance(heads, int) and all(isinstance(layer, nn.Linear) and layer in of_layer for layer in layers):
            query, key, value, out = (Piece(of_layer[layer]) for layer in layers if layer is not None)
            found.append(AttentionMaps(query, key, value, out, heads))
    return found


def stacked(slot: Slot) -> Slot:
    """A weight that holds the maps of several gates, seen as one map to all of them.

    Args:
        slot: A weight of a recurrent layer.
    """
    return replace(slot, stored=Stored("out in", slot.stored.bias, recurrent=slot.stored.recurrent))


def forget_biases(slots: Sequence[Slot]) -> Iterator[str]:
    """Names of the biases that hold those of forget gates: of torch's two the state's, as their sum counts.

    Args:
        slots: Weights of a network.
    """
    for slot in slots:
        if slot.stored.recurrent and "f" in slot.stored.gates and slot.bias_name is not None:
            yield slot.bias_name


def tables_of_places(model: nn.Module) -> Iterator[str]:
    """Names of learned positions that are parameters of their own, as `pos_embed` of timm's networks is.

    Args:
        model: Any network.
    """
    for name, parameter in model.named_parameters():
        own = name.rpartition(".")[2]
        if own.startswith("pos") and is_weight_shaped(parameter):
            yield name


def class_tokens(model: nn.Module) -> Iterator[str]:
    """Names of class tokens that are parameters of their own, as `cls_token` of timm's networks is.

    Args:
        model: Any network.
    """
    for name, _ in model.named_parameters():
        if name.rpartition(".")[2] in ("cls_token", "class_token", "class_embedding"):
            yield name


def skips_of(model: nn.Module) -> set[float]:
    """What the skips of a network's blocks are multiplied by: the numbers `skip` of its modules.

    Args:
        model: Any network; a module that says nothing multiplies by nothing.
    """
    found = (getattr(module, "skip", None) for module in model.modules())
    return {float(skip) for skip in found if isinstance(skip, int | float) and not isinstance(skip, bool)}


def multipliers_of(model: nn.Module) -> list[nn.Module]:
    """The learned multipliers that end the branches of a network, each once; empty where it lists none.

    Args:
        model: Any network; it lists them in a method `residual_multipliers()`.
    """
    return _in_method(model, "residual_multipliers")


def skip_multipliers_of(model: nn.Module) -> list[nn.Module]:
    """The learned multipliers of a network's skips, one a branch; empty where it lists none.

    Args:
        model: Any network; it lists them in a method `skip_multipliers()`.
    """
    return _in_method(model, "skip_multipliers")


def last_norms_of(model: nn.Module) -> list[nn.Module]:
    """The norms that end the branches of a network, each once; empty where it lists none.

    Args:
        model: Any network; it lists them in a method `residual_norms()`.
    """
    return _in_method(model, "residual_norms")


def never_pass(multipliers: Sequence[nn.Module]) -> bool:
    """Whether a multiplier starts from 0, so that with a second 0 in its branch no gradient would ever pass.

    Args:
        multipliers: Those that end the branches of a network.
    """
    return any(set(fixed_starts(module).values()) == {0.0} for module in multipliers)


def count_norms(model: nn.Module) -> int:
    """How many norm layers a network has."""
    return sum(is_norm(module) for module in model.modules())


def _in_method(model: nn.Module, method: str) -> list[nn.Module]:
    listed: Any = getattr(model, method, None)
    return list(dict.fromkeys(listed())) if callable(listed) else []


def _listed(model: nn.Module) -> Iterator[list[nn.Module]]:
    """The layers of each branch: as the module lists them, or its children do; or those of torch's own blocks."""
    listed: Any = getattr(model, "residual_branches", None)
    if callable(listed):
        yield from listed()
        return
    if isinstance(model, nn.TransformerEncoderLayer):
        yield [model.self_attn, model.self_attn.out_proj]
        yield [model.linear1, model.linear2]
        return
    if isinstance(model, nn.TransformerDecoderLayer):
        yield [model.self_attn, model.self_attn.out_proj]
        yield [model.multihead_attn, model.multihead_attn.out_proj]
        yield [model.linear1, model.linear2]
        return
    for child in model.children():
        yield from _listed(child)


def _acting(slots: Sequence[Slot]) -> Iterator[Piece]:
    """The maps of a layer that a branch's result is scaled by: of an attention's three, that of the value, the last."""
    for slot in slots:
        if slot.stored.attention:
            yield Piece(slot, slot.blocks - 1)
        elif not isinstance(slot.layer, nn.MultiheadAttention) or slot.name.endswith("v_proj_weight"):
            yield Piece(slot)


def _block_name(name: str) -> str:
    """The name of the block that a layer is in: all up to the first number, as blocks stand in lists."""
    parts = name.split(".")
    places = [place for place, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: places[0] + 1]) if places else ""


def _attends(model: nn.Module, pieces: Sequence[Piece]) -> bool:
    """Whether a branch's layers are those of an attention."""
    first = pieces[0].slot
    if isinstance(first.layer, nn.MultiheadAttention) or first.stored.attention:
        return True
    holder = model.get_submodule(first.layer_name.rpartition(".")[0])
    return hasattr(holder, "query") and hasattr(holder, "key")
