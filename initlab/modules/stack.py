"""Networks of one structure, stacked: one tensor a parameter, with a leading dimension of members."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import stack_module_state, vmap
from torch.utils._pytree import tree_map

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Stack:
    """Networks of one structure.

    Attributes:
        template: One of them, for its structure; its own numbers are never used.
        parameters: By name, shape (members, …).
        buffers: By name, shape (members, …).
    """

    template: nn.Module
    parameters: State
    buffers: State

    @property
    def members(self) -> int:
        """How many networks."""
        return len(next(iter(self.parameters.values())))

    def part(self, rows: slice) -> "Stack":
        """Some of the members, detached, in views of the same tensors."""
        parameters, buffers = (
            {name: value.detach()[rows] for name, value in state.items()} for state in (self.parameters, self.buffers)
        )
        return Stack(self.template, parameters, buffers)

    def to(self, device: torch.device) -> "Stack":
        """The same on another device, detached; the template moves there itself."""
        parameters, buffers = (
            {name: value.detach().to(device) for name, value in state.items()}
            for state in (self.parameters, self.buffers)
        )
        return Stack(self.template.to(device), parameters, buffers)

    def member(self, place: int) -> dict[str, Tensor]:
        """Parameters and buffers of one member, by name, as `torch.func.functional_call` takes them; buffers copied."""
        parameters = {name: value.detach()[place] for name, value in self.parameters.items()}
        return {**parameters, **{name: value[place].clone() for name, value in self.buffers.items()}}

    def each(self, work: Callable[[State, State], Any], *, vectorized: bool, most: int) -> Any:
        """Call `work(parameters, buffers)` for every member, without gradients.

        Args:
            work: Returns tensors, or a dict of them.
            vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
            most: At most so many members go together.

        Returns:
            What it returned, with a first dimension of members.
        """
        parameters = {name: value.detach() for name, value in self.parameters.items()}
        with torch.no_grad():
            if vectorized:
                chunk = min(self.members, most)
                return vmap(work, chunk_size=chunk, randomness="different")(parameters, dict(self.buffers))
            found = [
                work(*({name: value[place] for name, value in state.items()} for state in (parameters, self.buffers)))
                for place in range(self.members)
            ]
        return tree_map(lambda *values: torch.stack(values), *found)


def stack_members(models: Iterable[nn.Module]) -> Stack:
    """Stack initialized networks of one structure; the parameters are `nn.Parameter`s that can be trained."""
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
