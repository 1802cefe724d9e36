"""Calling a network with other parameters than its own."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


def call_with(model: nn.Module, state: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """What a network returns with other parameters and buffers; its own are in their places afterwards.

    torch's `functional_call` alone leaves the others in a module that the network holds under two names.

    Example:
        >>> import torch
        >>> shared = nn.Linear(2, 2, bias=False)
        >>> model = nn.Sequential(shared, shared)
        >>> bool((call_with(model, {"0.weight": 2 * torch.eye(2)}, torch.ones(2)) == 4).all())
        True
        >>> model[1].weight is shared.weight and isinstance(shared.weight, nn.Parameter)
        True

    Args:
        model: The network.
        state: Parameters and buffers by the names under which the network registers them first.
        *args: What the network is called with.
        **kwargs: Likewise.
    """
    return functional_call(model, {**state, **_aliases(model, state)}, args, kwargs, tie_weights=False)


def _aliases(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors by the names that other modules have for those that they share."""
    first: dict[int, str] = {}
    found = {}
    for prefix, module in model.named_modules():  # each module once
        for own, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is None:
                continue
            name = f"{prefix}.{own}" if prefix else own
            known = first.setdefault(id(tensor), name)
            if known != name and name not in state and known in state:
                found[name] = state[known]
    return found
