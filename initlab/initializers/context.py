"""What a scheme for whole networks may use: the weights, a batch, the loss, and a look at each layer's output."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.hooks import RemovableHandle

from initlab.activations import Activation
from initlab.errors import UserError, first_line
from initlab.initializers.slots import Slot


@dataclass(frozen=True)
class Batch:
    """Rows to send through a network.

    Attributes:
        inputs: What the network is called with: a tensor, a tuple of positional or a dict of keyword arguments;
            rows go first in every tensor.
        targets: What the loss compares its output with; None where there is no loss.
    """

    inputs: Any
    targets: Any = None

    def __len__(self) -> int:
        return len(self._tensors()[0])

    def through(self, model: Callable[..., Any]) -> Any:
        """The network's output; it may change its inputs in place, and gets its own."""
        inputs = self._mapped(torch.clone).inputs
        if isinstance(inputs, Mapping):
            return model(**inputs)
        if isinstance(inputs, tuple):
            return model(*inputs)
        return model(inputs)

    def part(self, rows: Tensor) -> "Batch":
        """Some of the rows, by index."""
        return self._mapped(lambda value: value[rows.to(value.device)])

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return self._mapped(lambda value: value.to(device))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        inputs, targets = (
            tree_map(lambda leaf: change(leaf) if isinstance(leaf, Tensor) else leaf, part)
            for part in (self.inputs, self.targets)
        )
        return Batch(inputs, targets)

    def _tensors(self) -> list[Tensor]:
        return [leaf for leaf in tree_leaves((self.inputs, self.targets)) if isinstance(leaf, Tensor)]

    def check(self, model: nn.Module) -> None:
        """Send the batch through once; the network stays as it was.

        Raises:
            UserError: no tensor, no rows, tensors of unequal length, a number that is not finite, or inputs that the
                network cannot take.
        """
        tensors = self._tensors()
        if not tensors or any(tensor.dim() == 0 for tensor in tensors):
            raise UserError(f"batch: expected tensors with rows first, got {type(self.inputs).__name__}")
        if not all(len(tensor) for tensor in tensors) or len({len(tensor) for tensor in tensors}) > 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise UserError(f"batch: expected tensors of equally many rows, at least one; got {shapes}")
        if not all(bool(tensor.isfinite().all()) for tensor in tensors):
            raise UserError("batch: holds NaN or infinite numbers; clean the data first")
        try:
            with measuring(model), torch.no_grad():
                self.through(model)
        except UserError:
            raise
        except Exception as error:  # whatever the user's network says to inputs that do not fit
            shapes = ", ".join(str(tuple(leaf.shape)) for leaf in tree_leaves(self.inputs) if isinstance(leaf, Tensor))
            reason = first_line(error)
            raise UserError(f"batch of shape {shapes}: {type(model).__name__} cannot take it: {reason}") from error


@dataclass(frozen=True)
class Context:
    """What a scheme for whole networks may use.

    Attributes:
        slots: The weights it may change: all but the output layer's, where that has a rule of its own.
        output: The output layer's weight.
        apart: Names of the output layer's parameters, where it has a rule of its own; they stay as they are.
        batch: Rows to look at; None where the scheme does not need them.
        loss: From outputs and targets to a scalar; None where the scheme does not need it.
        activation: What follows the layers; None where it is not known.
        generator: Randomness for this scheme alone.
    """

    slots: Sequence[Slot]
    output: Slot
    apart: frozenset[str]
    batch: Batch | None
    loss: Callable[[Any, Any], Tensor] | None
    activation: Activation | None
    generator: Generator

    def rows(self) -> Batch:
        """The batch, which a scheme that needs one was given."""
        assert self.batch is not None
        return self.batch

    def mean_loss(self, output: Any, batch: Batch) -> Tensor:
        """The loss of an output, by a scheme that needs one and was given it."""
        assert self.loss is not None
        return self.loss(output, batch.targets)


@contextlib.contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Look at a network as it trains, but without dropout, and put everything back afterwards.

    Modes and buffers are the network's own; a forward pass that draws random numbers draws the same ones each time,
    and leaves torch's random state as it was.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = [(module, dict(module._buffers)) for module in modes]
    values = {id(b): b.clone() for _, kept in buffers for b in kept.values() if b is not None and not b.is_meta}
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(0)
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        torch.backends.mha.set_fastpath_enabled(False)  # it passes by the layers that are to be seen
        model.eval()
        for module in modes:
            if isinstance(module, _NormBase):  # these normalize by the batch while training
                module.training = True
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_attention)
            for module, training in modes.items():
                module.training = training
            for module, kept in buffers:
                module._buffers.clear()
                module._buffers.update(kept)
                for buffer in kept.values():
                    if buffer is not None and id(buffer) in values and not torch.equal(buffer, values[id(buffer)]):
                        with torch.no_grad():
                            buffer.copy_(values[id(buffer)])


@contextlib.contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Let a network that is being measured be differentiated as often as one likes.

    torch's fused attention has no second derivative, and its batch norm no third.
    """
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    handles = [norm.register_forward_hook(_normalize_by_batch) for norm in norms]
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _normalize_by_batch(norm: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    """What a batch or instance norm gives while training, in elementary operations."""
    assert isinstance(norm, _NormBase)
    inputs = args[0]
    axes = [axis for axis in range(inputs.dim()) if axis != 1 and (axis or not isinstance(norm, _InstanceNorm))]
    variance, mean = torch.var_mean(inputs, axes, correction=0, keepdim=True)
    normal = (inputs - mean) / (variance + norm.eps).sqrt()
    if norm.weight is None:
        return normal
    shape = [1, -1, *[1] * (inputs.dim() - 2)]
    return normal * norm.weight.view(shape) + norm.bias.view(shape)


def visit_layers(
    model: nn.Module, batch: Batch, slots: Sequence[Slot], adjust: Callable[[Slot, Callable[[], Tensor]], Tensor]
) -> list[Slot]:
    """Visit layers in the order in which they run, changing each before the next one sees its output.

    Args:
        model: The network.
        batch: What to send through.
        slots: Weights of the layers to visit. Those whose layer is not called as a module of its own, such as the
            projections inside multi-head attention, are passed over.
        adjust: Given a slot and a function that computes its layer's output with the weights as they are, changes
            the weights and returns the new output. A layer that runs twice is adjusted the first time.

    Returns:
        The slots visited, in order.
    """
    alone = by_layer(slots)
    visited: list[Slot] = []

    def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        slot = alone[layer]
        if slot in visited or not isinstance(output, Tensor):
            return output
        visited.append(slot)
        return adjust(slot, lambda: layer.forward(*args, **kwargs))

    run_hooked(model, batch, [layer.register_forward_hook(hook, with_kwargs=True) for layer in alone])
    if not visited:
        raise UserError(f"no layer of {type(model).__name__} is called as a module, so that none can be looked at")
    return visited


def by_layer(slots: Sequence[Slot]) -> dict[nn.Module, Slot]:
    """The slots of layers that have just one, by the layer: its output is that weight's."""
    count = Counter(slot.layer for slot in slots)
    return {slot.layer: slot for slot in slots if count[slot.layer] == 1}


def run_hooked(model: nn.Module, batch: Batch, hooks: Sequence[RemovableHandle]) -> None:
    """Send a batch through a network without gradients, and remove the hooks that were put into it for that."""
    try:
        with measuring(model), torch.no_grad():
            batch.through(model)
    finally:
        for hook in hooks:
            hook.remove()


def per_channel(slot: Slot, output: Tensor) -> Tensor:
    """A layer's output with one row a channel, shape (channels, samples): a convolution's channels go second."""
    axis = 1 if slot.weight.dim() > 2 else -1
    return output.movedim(axis, 0).flatten(1)


def scale_channels(slot: Slot, factor: Tensor) -> None:
    """Multiply the weights of each output channel of a slot in place; `factor` has shape (channels,)."""
    maps = slot.maps()
    maps.mul_(factor.to(maps).view(*maps.shape[:2], *[1] * (maps.dim() - 2)))
