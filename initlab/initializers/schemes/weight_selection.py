"""Weights chosen from a larger network."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.context import Context
from initlab.initializers.registry import register
from initlab.initializers.schemes.pretrained import read_checkpoint, shape_text
from initlab.initializers.slots import find_slots


@register(
    "weight_selection",
    level="model",
    needs=("checkpoint",),
    source="Xu et al. 2024, arXiv:2311.18823",
    random=False,
)
def weight_selection(
    model: nn.Module, *, context: Context, path: Path | None = None, prefix: str = "", member: int | None = None
) -> dict[str, str]:
    """Take from each parameter of a larger checkpoint evenly spaced rows and columns, as many as the network has.

    Layers go by their names, so that a network of n blocks takes the first n. Along each dimension every k-th entry is
    taken where the larger size is k times the smaller one, as in the authors' code, else the rounded places of as many
    evenly spaced numbers from the first entry to the last. Gates of a recurrent layer, query with key and value, and
    groups are chosen from one by one. Buffers such as running means are taken alike. An output layer that has a rule
    of its own (`init.output`) is left to that, as it must be where the classes are others.

    Args:
        model: The network to fill, in place; all its names must be in the file, which may have more.
        context: Only the names of an output layer with a rule of its own are used; it needs no batch.
        path: The checkpoint of the larger network, `.safetensors` or what `torch.save` wrote; must be given.
        prefix: What every name in the file begins with, and the network's do not, e.g. `model.` or `module.`.
        member: Which network of a file that initlab wrote; None: the best of them on validation rows.

    Returns:
        A remark for each parameter and buffer, by its name.

    Raises:
        UserError: no path, no such file, a damaged one, a parameter that is not in it, or that is smaller there.
    """
    if path is None:
        raise UserError("init=weight_selection: name the larger network's checkpoint, init.path=FILE")
    path = Path(path)
    held, _ = read_checkpoint(path, member)
    larger = {name.removeprefix(prefix): value for name, value in held.items()}
    parts = _parts(model)
    chosen, notes = {}, {}
    for name, value in model.state_dict().items():
        if name in context.apart:
            continue
        if name not in larger:
            raise UserError(f"init.path={path}: has no {name}, which {type(model).__name__} has; see init.prefix")
        found = larger[name]
        fits = found.dim() == value.dim() and all(
            there >= here for there, here in zip(found.shape, value.shape, strict=True)
        )
        if not fits or (parts.get(name, 1) > 1 and found.shape[0] % parts[name]):
            hint = "; set init.output" if name.startswith(f"{context.output.layer_name}.") else ""
            there, here = shape_text(found), shape_text(value)
            raise UserError(f"init.path={path}: {name} is {there} there, which is not as large as {here}{hint}")
        chosen[name] = evenly_chosen(found, value.shape, parts=parts.get(name, 1))
        notes[name] = f"{shape_text(value)} of {shape_text(found)} from {path.name}"
    model.load_state_dict(chosen, strict=False)
    return notes


def evenly_chosen(larger: Tensor, shape: torch.Size, *, parts: int = 1) -> Tensor:
    """Evenly spaced entries along each dimension of a tensor.

    Example:
        >>> evenly_chosen(torch.arange(6), torch.Size([3])), evenly_chosen(torch.arange(6), torch.Size([4]))
        (tensor([0, 2, 4]), tensor([0, 2, 3, 5]))

    Args:
        larger: At least as large in each dimension.
        shape: The shape to choose.
        parts: Into how many equal parts the first dimension is divided, which are chosen from one by one.
    """
    if parts > 1:
        pieces = larger.unflatten(0, (parts, -1))
        return evenly_chosen(pieces, torch.Size([parts, shape[0] // parts, *shape[1:]])).flatten(0, 1)
    for axis, size in enumerate(shape):
        larger = larger.index_select(axis, places(larger.shape[axis], size).to(larger.device))
    return larger


def places(available: int, wanted: int) -> Tensor:
    """Which of so many entries are taken, shape (wanted,), int64."""
    if wanted and available % wanted == 0:
        return torch.arange(wanted, device="cpu") * (available // wanted)
    return torch.linspace(0, available - 1, wanted, dtype=torch.float64, device="cpu").round().long()


def _parts(model: nn.Module) -> Mapping[str, int]:
    """By the names of weights and biases that hold several maps one after another, how many these are."""
    found = {}
    for slot in find_slots(model):
        if slot.stored.layout.startswith("group out") and slot.blocks > 1 and not slot.computed:
            for name in (*slot.names, *(name for name, _ in slot.biases)):
                found[name] = slot.blocks
    return found
