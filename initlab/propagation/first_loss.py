"""Where the loss starts: a network that begins far above a guess first has to unlearn what its initializer made up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from initlab.base.chance import is_far, start_words
from initlab.initializers.context import by_layer
from initlab.initializers.slots import find_slots
from initlab.modules.batch import Batch
from initlab.modules.measuring import first_tensor, measuring
from initlab.modules.stack import Stack
from initlab.propagation.layers import Layout
from initlab.propagation.measure import Loss

MOST_MEMBERS: Final = 4  # that are looked at
NOTABLE: Final = 2.0  # a growth from which on a layer can be blamed; less adds up over many layers, or many steps


@dataclass(frozen=True)
class FirstLoss:
    """The loss before any training, beside that of outputs of zero: ln C for the cross entropy of C classes.

    Attributes:
        measured: The mean loss of a row, its mean over members.
        chance: What outputs of zero cost.
        layer: Name of the layer that magnifies its inputs most; empty where no single layer can be named.
        growth: How many times the mean square of that layer's inputs its outputs have.
    """

    measured: float
    chance: float
    layer: str = ""
    growth: float = math.nan

    @property
    def far(self) -> bool:
        """Whether it is far above the chance value."""
        return is_far(self.measured, self.chance)

    def __str__(self) -> str:
        """A sentence without a full stop; for one that is far."""
        return f"{start_words(self.measured, self.chance)}{self.blame}"

    @property
    def blame(self) -> str:
        """Which layer does it, as words that follow those of the start; empty where none can be named."""
        if not self.layer:
            return ""
        return f"; most of it is made by {self.layer}, whose outputs have {self.growth:.3g} × its inputs' mean square"


def first_loss(networks: Stack, layout: Layout, batch: Batch, loss: Loss, sums: Tensor) -> FirstLoss | None:
    """The loss of a few untrained networks; where it is far from chance, the layer that does it is looked for.

    Args:
        networks: Members with their initial weights.
        layout: The layers of their template, for this batch.
        batch: Rows with their targets.
        loss: From outputs and targets to the sum over the rows of their losses.
        sums: What it is of each member, shape (members,), as `measure` returns it.

    Returns:
        None where the outputs are not one tensor of numbers.
    """
    if layout.output is None or not layout.alone:
        return None
    rows = len(batch)
    measured = [value / rows for value in sums[:MOST_MEMBERS].tolist()]
    with torch.no_grad():
        answer, device = layout.output, next(iter(networks.parameters.values())).device
        nothing = torch.zeros(answer.shape, dtype=answer.dtype, device=device)
        chance = float(loss(nothing, batch.targets)) / rows
    found = FirstLoss(sum(measured) / len(measured), chance)
    if not found.far:
        return found
    layer, growth = _most_magnifying(networks, batch)
    return FirstLoss(found.measured, chance, layer, growth)


def _through(networks: Stack, member: int, batch: Batch) -> Any:
    state = {name: value[member] for name, value in {**networks.parameters, **networks.buffers}.items()}
    return batch.through(lambda *args, **kwargs: functional_call(networks.template, state, args, kwargs))


def _most_magnifying(networks: Stack, batch: Batch) -> tuple[str, float]:
    """The layer whose outputs have the largest mean square beside that of its inputs, and how many times that is.

    What is looked up, as in an embedding, counts as inputs of mean square 1.
    """
    found: dict[str, float] = {}

    def look(name: str) -> Any:
        def hook(_: nn.Module, args: Sequence[Any], output: Any) -> None:
            numbers, entering = first_tensor(output), first_tensor(args)
            if numbers is not None and name not in found:
                before = 1.0 if entering is None else float(entering.square().mean())
                found[name] = float(numbers.square().mean()) / before if before else 0.0

        return hook

    hooks: list[RemovableHandle] = [
        layer.register_forward_hook(look(slot.layer_name))
        for layer, slot in by_layer(find_slots(networks.template)).items()
    ]
    try:
        with measuring(networks.template), torch.no_grad():
            _through(networks, 0, batch)
    finally:
        for handle in hooks:
            handle.remove()
    if not found:
        return "", math.nan
    name = max(found, key=lambda layer: found[layer])
    return (name, found[name]) if found[name] >= NOTABLE else ("", math.nan)
