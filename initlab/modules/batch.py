"""Rows to send through any network, whatever arguments it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from initlab.base.errors import UserError, first_line
from initlab.modules.measuring import measuring


@dataclass(frozen=True)
class Batch:
    """Rows to send through a network.

    Example:
        >>> batch = Batch(torch.zeros(6, 3), targets=torch.zeros(6, 1))
        >>> len(batch), batch.through(nn.Linear(3, 1)).shape
        (6, torch.Size([6, 1]))
        >>> len(batch.part(torch.tensor([0, 2]))), batch.part(torch.tensor([0, 2])).targets.shape
        (2, torch.Size([2, 1]))

    Attributes:
        inputs: What the network is called with: a tensor, a tuple of positional or a mapping of keyword arguments, or
            a list, which is one argument, as detectors take their images. Rows are the first dimension of every
            tensor, or the entries of a list; a tensor whose first dimension is 1 is the same for all rows.
        targets: What the loss compares the network's output with, rows first; None where there is no loss.
    """

    inputs: Any
    targets: Any = None

    def __post_init__(self) -> None:
        """Take any mapping, such as a tokenizer's output, as a dict."""
        if isinstance(self.inputs, Mapping) and type(self.inputs) is not dict:
            object.__setattr__(self, "inputs", dict(self.inputs))

    def __len__(self) -> int:
        if isinstance(self.inputs, list):
            return len(self.inputs)
        sizes = [len(tensor) for tensor in self._tensors()]
        return next((size for size in sizes if size > 1), sizes[0])

    @property
    def divisible(self) -> bool:
        """Whether rows can be taken out of it: not where tensors have something else first, as a sequence's steps."""
        if isinstance(self.inputs, list):
            return True
        return {len(tensor) for tensor in self._tensors()} <= {1, len(self)}

    def through(self, model: Callable[..., Any]) -> Any:
        """Send the rows through a network. It gets a copy of the inputs, as it may change them in place.

        Args:
            model: The network, or any function that is called like it.

        Returns:
            Whatever the network returns.
        """
        inputs = self._mapped(torch.clone).inputs
        if isinstance(inputs, Mapping):
            return model(**inputs)
        if isinstance(inputs, tuple):
            return model(*inputs)
        return model(inputs)

    def part(self, rows: Tensor) -> "Batch":
        """Some of the rows, of inputs and targets alike; all of them where the batch cannot be divided.

        Args:
            rows: Indices, shape (chosen,), on any device.
        """
        if not self.divisible:
            return self
        if isinstance(self.inputs, list):
            images = [self.inputs[row] for row in rows.tolist()]
            others = Batch((), self.targets)._mapped(lambda value: value[rows.to(value.device)])
            return Batch(images, others.targets)
        size = len(self)
        return self._mapped(lambda value: value[rows.to(value.device)] if len(value) == size else value)

    def to(self, device: torch.device) -> "Batch":
        """The same rows on another device."""
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
        """Send the rows through a network once, to see that they fit; the network stays as it was.

        Args:
            model: The network, on the same device as the rows.

        Raises:
            UserError: no tensor, no rows, NaN or +inf among the numbers (masks may have -inf), or inputs that the
                network cannot take.
        """
        tensors = self._tensors()
        if not tensors or any(tensor.dim() == 0 for tensor in tensors):
            raise UserError(f"batch: expected tensors with rows first, got {type(self.inputs).__name__}")
        if not all(tensor.numel() for tensor in tensors):
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise UserError(f"batch: expected tensors of at least one row; got {shapes}")
        given = [leaf for leaf in tree_leaves(self.inputs) if isinstance(leaf, Tensor)]
        if isinstance(self.targets, Tensor) and given and self.divisible is False and Batch(self.inputs).divisible:
            raise UserError(f"batch: {len(Batch(self.inputs))} rows of inputs and {len(self.targets)} of targets")
        if any(_is_bad(tensor) for tensor in tensors):
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


def _is_bad(tensor: Tensor) -> bool:
    """Whether a tensor holds NaN or +inf; -inf is what masks have."""
    return tensor.is_floating_point() and bool((tensor.isnan() | tensor.isposinf()).any())
