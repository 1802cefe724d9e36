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
        inputs: What the network is called with: a tensor, a tuple of positional or a dict of keyword arguments. In
            every tensor the first dimension is that of the rows.
        targets: What the loss compares the network's output with, rows first; None where there is no loss.
    """

    inputs: Any
    targets: Any = None

    def __len__(self) -> int:
        return len(self._tensors()[0])

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
        """Some of the rows, of inputs and targets alike.

        Args:
            rows: Indices, shape (chosen,), on any device.
        """
        return self._mapped(lambda value: value[rows.to(value.device)])

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
            UserError: no tensor, no rows, tensors with different numbers of rows, a number that is not finite, or
                inputs that the network cannot take.
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
