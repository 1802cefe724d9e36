"""What is wrapped around networks, to compile or to distribute them, and the names that it changes."""

import re
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

# What wrappers add to the names of what they hold: torch.compile, FSDP, activation checkpoints.
ADDED: Final = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.|$)")


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside of wrappers such as `torch.compile`'s and `DistributedDataParallel`; or the network itself.

    Args:
        model: A network, with any number of wrappers around it.
    """
    while True:
        if hasattr(model, "_orig_mod"):
            inner = model._orig_mod
        elif isinstance(model, DataParallel | DistributedDataParallel) or hasattr(model, "_fsdp_wrapped_module"):
            inner = model.module
        else:
            return model
        assert isinstance(inner, nn.Module)
        model = inner


def is_sharded(model: nn.Module) -> bool:
    """Whether parameters of a network are sharded over processes, as by `fully_shard` (FSDP2)."""
    return any(hasattr(parameter, "device_mesh") for parameter in model.parameters())


def whole_tensor(tensor: Tensor) -> Tensor:
    """A parameter with all its numbers, gathered where they are sharded over processes (FSDP2); without its graph."""
    sharded: Any = tensor.detach()
    gathered: Tensor = sharded.full_tensor() if hasattr(sharded, "full_tensor") else sharded
    return gathered


def bare_name(name: str) -> str:
    """The name that a parameter or module would have without wrappers.

    Example:
        >>> bare_name("blocks.0._orig_mod.weight"), bare_name("_fsdp_wrapped_module.head.bias")
        ('blocks.0.weight', 'head.bias')

    Args:
        name: A name as `named_parameters` or `named_modules` gives it.
    """
    return ADDED.sub("", name).removeprefix(".")
