"""Networks of one structure, that a probe looks at together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_map

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Networks:
    """Networks of one structure.

    Attributes:
        template: The structure; its own numbers are not used.
        parameters: By name, shape (members, …).
        buffers: By name, shape (members, …).
        seeds: One a member.
        vectorized: Whether `torch.func.vmap` can go through all at once, and should.
    """

    template: nn.Module
    parameters: State
    buffers: State
    seeds: Sequence[int]
    vectorized: bool

    def part(self, rows: slice) -> "Networks":
        """Some of the members."""
        parameters, buffers = (
            {name: value.detach()[rows] for name, value in state.items()} for state in (self.parameters, self.buffers)
        )
        return replace(self, parameters=parameters, buffers=buffers, seeds=self.seeds[rows])

    def member(self, place: int) -> dict[str, Tensor]:
        """Parameters and buffers of one member, by name, as `torch.func.functional_call` takes them; buffers copied."""
        parameters = {name: value.detach()[place] for name, value in self.parameters.items()}
        return {**parameters, **{name: value[place].clone() for name, value in self.buffers.items()}}

    def each(self, work: Callable[[State, State], Any], *, together: int) -> Any:
        """Call `work(parameters, buffers)` for every member, without gradients.

        Args:
            work: Returns tensors, or a dict of them.
            together: At most so many members at once, where they are vectorized; else one after another.

        Returns:
            What it returned, with a first dimension of members.
        """
        parameters = {name: value.detach() for name, value in self.parameters.items()}
        with torch.no_grad():
            if self.vectorized:
                chunk = min(len(self.seeds), together)
                return vmap(work, chunk_size=chunk, randomness="different")(parameters, dict(self.buffers))
            found = [
                work(*({name: value[place] for name, value in state.items()} for state in (parameters, self.buffers)))
                for place in range(len(self.seeds))
            ]
        return tree_map(lambda *values: torch.stack(values), *found)
