"""Members stacked: one tensor a parameter, with a leading dimension of members."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import stack_module_state


@dataclass(frozen=True)
class Stack:
    """Networks of one structure.

    Attributes:
        template: One of them, for its structure; its own numbers are never used.
        parameters: By name, shape (members, …).
        buffers: By name, shape (members, …).
    """

    template: nn.Module
    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]

    @property
    def members(self) -> int:
        """How many networks."""
        return len(next(iter(self.parameters.values())))


def stack_members(models: Iterable[nn.Module]) -> Stack:
    """Stack initialized networks of one structure."""
    networks = list(models)
    parameters, buffers = stack_module_state(networks)
    return Stack(
        networks[0],
        {name: nn.Parameter(value.detach(), value.requires_grad) for name, value in parameters.items()},
        {name: value.detach() for name, value in buffers.items()},
    )


def images_last(value: Tensor) -> Tensor:
    """Lay a stack of convolution weights out so that each member's is channels_last, which CPUs convolve faster."""
    if value.dim() != 5:
        return value
    with torch.no_grad():
        # Not .contiguous(), which would keep the strides of a single channel, and these tell torch the layout.
        return value.movedim(2, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 2)
