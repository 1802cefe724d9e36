"""Networks of one structure, stacked: one tensor for each parameter, whose first dimension is that of the members."""

import copy
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_map

from initlab.base.threads import start_worker

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Numbers:
    """The numbers of one network, apart from it: networks of one structure need not be there all at once.

    Attributes:
        template: A network of that structure; it may hold other numbers.
        parameters: By name, as `named_parameters` has them, without gradients.
        buffers: By name, as `named_buffers` has them.
    """

    template: nn.Module
    parameters: State
    buffers: State

    @property
    def state(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return {**self.parameters, **self.buffers}


Network = nn.Module | Numbers  # a network, or what it holds


def numbers_of(network: nn.Module) -> Numbers:
    """Copies of the numbers that a network holds now.

    Args:
        network: It may change afterwards.
    """
    parameters, buffers = (
        {name: tensor.detach().clone() for name, tensor in named}
        for named in (network.named_parameters(), network.named_buffers())
    )
    return Numbers(network, parameters, buffers)


@dataclass(frozen=True)
class Stack:
    """Networks of one structure, their tensors stacked.

    Example:
        >>> stack = stack_members(nn.Linear(3, 2) for _ in range(5))
        >>> stack.members, stack.parameters["weight"].shape
        (5, torch.Size([5, 2, 3]))
        >>> def norm(template, parameters, buffers):
        ...     return parameters["weight"].norm()
        >>> stack.each(norm, vectorized=True, most=100).shape
        torch.Size([5])

    Attributes:
        template: A network of that structure; its own numbers are never used.
        parameters: The stacked parameters by name, each of shape (members, *shape of one).
        buffers: The stacked buffers by name, each of shape (members, *shape of one).
    """

    template: nn.Module
    parameters: State
    buffers: State

    @property
    def members(self) -> int:
        """How many networks are stacked."""
        return len(next(iter(self.parameters.values())))

    def part(self, rows: slice) -> "Stack":
        """Some of the members, without gradients, as views of the same tensors.

        Args:
            rows: Which members, e.g. `slice(0, 10)`.
        """
        parameters, buffers = (
            {name: value.detach()[rows] for name, value in state.items()} for state in (self.parameters, self.buffers)
        )
        return Stack(self.template, parameters, buffers)

    def to(self, device: torch.device) -> "Stack":
        """The same networks on another device, without gradients. The template itself is moved there, too."""
        parameters, buffers = (
            {name: value.detach().to(device) for name, value in state.items()}
            for state in (self.parameters, self.buffers)
        )
        return Stack(self.template.to(device), parameters, buffers)

    def member(self, place: int) -> dict[str, Tensor]:
        """Parameters and buffers of one member, by name, as `torch.func.functional_call` takes them.

        Args:
            place: Its place in the stack, from 0.

        Returns:
            Parameters as views of the stack, without gradients; buffers as copies, which a forward pass may change.
        """
        parameters = {name: value.detach()[place] for name, value in self.parameters.items()}
        return {**parameters, **{name: value[place].clone() for name, value in self.buffers.items()}}

    def each(
        self, work: Callable[[nn.Module, State, State], Any], *, vectorized: bool, most: int, workers: int = 1
    ) -> Any:
        """Call `work(template, parameters, buffers)` for every member, without gradients.

        Args:
            work: Called with a network of the members' structure, in the modes of the template, to be called with other
                tensors than its own; and with two dicts of one member's tensors by name, views of the stack's own:
                buffers that a forward pass moves, such as the running statistics of batch norm, it must clone first.
                Returns a tensor, or a dict of tensors, of the same shapes for each member.
            vectorized: Whether members go through together by `torch.func.vmap`; else they go one after another.
            most: How many members may go through together at most, to bound the memory; ignored unless vectorized.
            workers: Threads that share the members, each with a structure of its own; ignored if vectorized. More than
                one only where no forward pass draws from a global generator, as it would not be known who comes first.

        Returns:
            What `work` returned for all members, each tensor with a first dimension of members.
        """
        parameters = {name: value.detach() for name, value in self.parameters.items()}
        with torch.no_grad():
            if vectorized:
                chunk = min(self.members, most)
                together = vmap(partial(work, self.template), chunk_size=chunk, randomness="different")
                return together(parameters, dict(self.buffers))

        def work_through(places: range) -> list[Any]:
            template = self.template if workers == 1 else self._structure()
            with torch.no_grad():  # each thread has a mode of its own
                return [
                    work(
                        template,
                        *(
                            {name: value[place] for name, value in state.items()}
                            for state in (parameters, self.buffers)
                        ),
                    )
                    for place in places
                ]

        if min(workers, self.members) == 1:
            found = work_through(range(self.members))
        else:
            shares = [range(first, self.members, workers) for first in range(min(workers, self.members))]
            with ThreadPoolExecutor(len(shares), initializer=start_worker) as pool:
                parts = list(pool.map(work_through, shares))
            found = [parts[place % len(shares)][place // len(shares)] for place in range(self.members)]
        return tree_map(lambda *values: torch.stack(values), *found)

    def _structure(self) -> nn.Module:
        """A copy of the template that holds the same tensors, for a thread to put others into."""
        held = {id(tensor): tensor for tensor in (*self.template.parameters(), *self.template.buffers())}
        return copy.deepcopy(self.template, held)


def stack_members(members: Iterable[Network]) -> Stack:
    """Stack initialized networks of one structure.

    Args:
        members: At least one network, or its numbers; all have the same modules and shapes. The first becomes the
            template.

    Returns:
        A stack whose parameters are copies, `nn.Parameter`s that can be trained.
    """
    each = [
        member
        if isinstance(member, Numbers)
        else Numbers(member, dict(member.named_parameters()), dict(member.named_buffers()))
        for member in members
    ]
    template = each[0].template
    trained = {name: parameter.requires_grad for name, parameter in template.named_parameters()}
    with torch.no_grad():
        parameters = {name: torch.stack([one.parameters[name] for one in each]) for name in trained}
        buffers = {name: torch.stack([one.buffers[name] for one in each]) for name in each[0].buffers}
    return Stack(template, {name: nn.Parameter(value, trained[name]) for name, value in parameters.items()}, buffers)


def images_last(value: Tensor) -> Tensor:
    """Lay a stack of convolution weights out so that each member's is channels_last, which CPUs convolve faster.

    Args:
        value: Shape (members, out, in, height, width); a tensor of another number of dimensions is returned as it is.

    Returns:
        A tensor of the same shape and numbers, in another order in memory.
    """
    if value.dim() != 5:
        return value
    with torch.no_grad():
        # Not .contiguous(), which would keep the strides of a single channel, and these tell torch the layout.
        return value.movedim(2, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 2)
