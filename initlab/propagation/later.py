"""Numbers of layers that are worked out together at the end, as each operation takes longer to call than to compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import torch
from torch import Tensor

LONGEST: Final = 4096  # entries that are kept for later; beyond, an operation takes longer to compute than to call


@dataclass(frozen=True, eq=False)
class Later:
    """A number of one layer that is yet to be worked out of a few others.

    Attributes:
        work: Called with the tensors of several layers, each stacked in a first dimension, and with `by`; returns one
            number a layer. It treats each layer by itself, so that a number does not depend on which stand beside it.
        of: The tensors of this layer.
        by: Whole numbers that `work` needs, too.
    """

    work: Callable[..., Tensor]
    of: tuple[Tensor, ...]
    by: tuple[int, ...] = ()

    def now(self) -> Tensor:
        """The number, worked out by itself."""
        return self.work(*(tensor.unsqueeze(0) for tensor in self.of), *self.by).squeeze(0)


def stack(numbers: Sequence[Tensor | Later]) -> Tensor:
    """Numbers of several layers as one tensor, shape (layers,), of a type that holds them all.

    Args:
        numbers: One a layer, without dimensions.
    """
    found: dict[int, Tensor] = {}
    alike: dict[object, list[tuple[int, Later]]] = {}
    for place, number in enumerate(numbers):
        if isinstance(number, Tensor):
            found[place] = number
        else:
            kinds = tuple((tensor.shape, tensor.dtype) for tensor in number.of)
            alike.setdefault((number.work, number.by, kinds), []).append((place, number))
    for group in alike.values():
        first = group[0][1]
        columns = zip(*(number.of for _, number in group), strict=True)
        worked = first.work(*(torch.stack(column) for column in columns), *first.by)
        if len(group) == len(numbers):
            return worked
        found.update(zip((place for place, _ in group), worked.unbind(), strict=True))
    ordered = [found[place] for place in range(len(numbers))]
    kinds_found = {number.dtype for number in ordered}
    if len(kinds_found) > 1:
        common = reduce(torch.promote_types, kinds_found)
        ordered = [number.to(common) for number in ordered]
    return torch.stack(ordered)
