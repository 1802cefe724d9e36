"""All that a call could change in a network, and what it did change."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class State:
    """A network and the process at one moment.

    Attributes:
        tensors: Copies of parameters and buffers by each of their names, those that are not saved included.
        objects: The identity of each parameter by each of its names: what is tied shares one.
        frozen: Names of the parameters without gradients.
        modes: By the names of modules, whether they train.
        hooks: By the names of modules, how many hooks they have.
        random: torch's, NumPy's and Python's states of randomness.
    """

    tensors: Mapping[str, Tensor]
    objects: Mapping[str, int]
    frozen: frozenset[str]
    modes: Mapping[str, bool]
    hooks: Mapping[str, int]
    random: tuple[Tensor, str, str]


def names_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by each of its names; one that is tied has several."""
    return dict(model.named_parameters(remove_duplicate=False))


def state_of(model: nn.Module) -> State:
    """The state of a network and of the process."""
    parameters = names_of(model)
    tensors = {**parameters, **dict(model.named_buffers(remove_duplicate=False))}
    modules = dict(model.named_modules(remove_duplicate=False))
    return State(
        {name: tensor.detach().clone() for name, tensor in tensors.items()},
        {name: id(parameter) for name, parameter in parameters.items()},
        frozenset(name for name, parameter in parameters.items() if not parameter.requires_grad),
        {name: module.training for name, module in modules.items()},
        {name: len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
         for name, m in modules.items()},
        (torch.get_rng_state(), repr(np.random.get_state(legacy=False)), repr(random.getstate())),
    )  # fmt: skip


def equal_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors hold the same bits; a NaN is equal to itself."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    first, second = (tensor.contiguous().view(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(first, second)


def changes(before: State, model: nn.Module, *, but: frozenset[str] = frozenset()) -> list[str]:
    """What differs in a network and the process from a former state.

    Args:
        before: The former state.
        model: The network, as it is now.
        but: Names of parameters and buffers that may have changed.

    Returns:
        In words, at most a few of each kind; empty where nothing differs.
    """
    now = state_of(model)
    found = []
    if before.tensors.keys() != now.tensors.keys() or before.objects != now.objects:
        found.append("other parameters or buffers than before")
    values = [name for name, tensor in before.tensors.items()
              if name in now.tensors and name not in but and not equal_bits(tensor, now.tensors[name])]  # fmt: skip
    if values:
        found.append(f"numbers in {len(values)}: {', '.join(values[:3])}")
    for what in ("frozen", "modes", "hooks"):
        if getattr(before, what) != getattr(now, what):
            found.append(what)
    if not torch.equal(before.random[0], now.random[0]) or before.random[1:] != now.random[1:]:
        found.append("random state")
    if any(parameter.grad is not None for parameter in model.parameters()):
        found.append("gradients")
    return found


@torch.no_grad()
def put_back(before: State, model: nn.Module) -> bool:
    """Give a network its former numbers, modes and the process its former randomness; tell whether that is all.

    Args:
        before: The former state.
        model: The network; one that has other parameters than before cannot be put back.
    """
    tensors = {**names_of(model), **dict(model.named_buffers(remove_duplicate=False))}
    for name, value in before.tensors.items():
        if name in tensors and tensors[name].shape == value.shape:
            tensors[name].copy_(value)
    for name, module in model.named_modules(remove_duplicate=False):
        module.training = before.modes.get(name, module.training)
    for parameter in model.parameters():
        parameter.grad = None
    torch.set_rng_state(before.random[0])
    return not changes(before, model)
