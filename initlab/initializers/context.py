"""What a scheme for whole networks may use: the weights, a batch, the loss, and a look at each layer's output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.slots import Slot, find_slots
from initlab.modules.batch import Batch
from initlab.modules.measuring import measuring


@dataclass(frozen=True)
class Context:
    """What a scheme for whole networks may use.

    Attributes:
        slots: The weights it may change: all but the output layer's, where that has a rule of its own.
        output: The weight of the output layer, the last of its weights if it has several.
        apart: Names of the output layer's parameters where it has a rule of its own, else empty; the scheme must leave
            them as they are.
        batch: Rows to look at, on the network's device; None where the scheme does not need them.
        loss: From outputs and targets to a scalar; None where the scheme does not need it.
        activation: The nonlinearity that follows the layers; None where it is not known.
        generator: Randomness for this scheme alone, on the CPU, decided by the seed and the scheme's name.
    """

    slots: Sequence[Slot]
    output: Slot
    apart: frozenset[str]
    batch: Batch | None
    loss: Callable[[Any, Any], Tensor] | None
    activation: Activation | None
    generator: Generator

    def rows(self) -> Batch:
        """The batch, for a scheme that declares that it needs one, and therefore has one."""
        assert self.batch is not None
        return self.batch

    def mean_loss(self, output: Any, batch: Batch) -> Tensor:
        """The loss of an output, for a scheme that declares that it needs a loss, and therefore has one.

        Args:
            output: Whatever the network returned for the batch.
            batch: Its targets are compared with the output.

        Returns:
            A scalar, with its graph if the output has one.
        """
        assert self.loss is not None
        return self.loss(output, batch.targets)


def visit_layers(
    model: nn.Module, batch: Batch, slots: Sequence[Slot], adjust: Callable[[Slot, Callable[[], Tensor]], Tensor]
) -> list[Slot]:
    """Visit layers in the order in which they run, changing each before the next one sees its output.

    Args:
        model: The network; the batch goes through it once, without gradients and dropout.
        batch: Rows to send through, on the network's device.
        slots: Weights of the layers to visit. Those whose layer is not called as a module of its own, such as the
            projections inside multi-head attention, are passed over.
        adjust: Given a slot and a function that computes its layer's output with the weights as they are, changes the
            weights and returns the new output. A layer that runs twice is adjusted the first time.

    Returns:
        The slots visited, in order.

    Raises:
        UserError: no layer of the slots is called as a module.
    """
    single = by_layer(slots)
    visited: list[Slot] = []

    def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        slot = single[layer]
        if slot in visited or not isinstance(output, Tensor):
            return output
        visited.append(slot)
        return adjust(slot, lambda: layer.forward(*args, **kwargs))

    run_hooked(model, batch, [layer.register_forward_hook(hook, with_kwargs=True) for layer in single])
    if not visited:
        raise UserError(
            f"no layer of {type(model).__name__} is called as a module and has one weight that is not computed from "
            "others, so that none can be looked at"
        )
    return visited


Seen = TypeVar("Seen")


def look_at_layers(
    model: nn.Module, batch: Batch, slots: Sequence[Slot], look: Callable[[Slot, Tensor], Seen]
) -> dict[str, Seen]:
    """Look at the output of layers as they are, at the first call of each.

    Args:
        model: The network; the batch goes through it once, without gradients and dropout.
        batch: Rows to send through, on the network's device.
        slots: Weights of the layers to look at, as `visit_layers` returns them.
        look: Given a slot and its layer's output.

    Returns:
        What `look` returned, by the names of the weights.
    """
    single, seen = by_layer(slots), dict[str, Seen]()

    def hook(layer: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        slot = single[layer]
        if slot.name not in seen and isinstance(output, Tensor):
            seen[slot.name] = look(slot, output)

    run_hooked(model, batch, [layer.register_forward_hook(hook) for layer in single])
    return seen


def by_layer(slots: Sequence[Slot]) -> dict[nn.Module, Slot]:
    """The slots of layers that have just one weight, by the layer: its output is then the output of that weight.

    An attention that holds one weight of its own beside layers for queries and keys is no such layer.

    Args:
        slots: Weights of a network, as `find_slots` gives them.
    """
    return {slot.layer: slot for slot in slots if len(find_slots(slot.layer)) == 1}


def run_hooked(model: nn.Module, batch: Batch, hooks: Sequence[RemovableHandle]) -> None:
    """Send a batch through a network without gradients, and remove hooks from it afterwards.

    Args:
        model: The network, with the hooks in it; but for them it stays as it was.
        batch: Rows to send through, on the network's device.
        hooks: Handles of the hooks to remove, whether the pass succeeds or not.
    """
    try:
        with measuring(model), torch.no_grad():
            batch.through(model)
    finally:
        for hook in hooks:
            hook.remove()


def per_channel(slot: Slot, output: Tensor) -> Tensor:
    """A layer's output with one row for each channel, shape (channels, samples).

    Args:
        slot: The layer's only weight; channels are the last dimension, or stand before the places of a convolution.
        output: What the layer returned, of a batch or of a single row.
    """
    return output.movedim(-1 - slot.stored.kernel_dimensions(slot.weight), 0).flatten(1)


def scale_channels(slot: Slot, factor: Tensor) -> None:
    """Multiply the weights of each output channel in place.

    Args:
        slot: The weight, of any kind of layer; its groups or gates count as channels one after another, and its banks
            have the same channels.
        factor: One factor for each output channel, shape (channels,).
    """
    groups = slot.stored.sizes(slot.weight)["group"]
    factors = factor.to(slot.weight).view(groups, -1)
    for number, part in enumerate(slot.each()):
        part.mul_(factors[number % groups].view(-1, *[1] * (part.dim() - 1)))
