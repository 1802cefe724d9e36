"""Rows to send through any network."""

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
