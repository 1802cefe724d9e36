"""Norm layers, and what else starts from fixed numbers: which modules these are, and how they start anew."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from initlab.base.errors import UserError

TORCH_NORMS: Final = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
NORM_LIKE: Final = re.compile(r"norm", re.IGNORECASE)  # in the name of a class


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm layer: one of torch's, or one of another library's that works as they do.

    The latter is a class with "norm" in its name, without children, whose parameters are vectors.

    Args:
        module: Any module.
    """
    if isinstance(module, TORCH_NORMS):
        return True
    own = list(module.parameters(recurse=False))
    plain = bool(own) and not any(True for _ in module.children()) and all(value.dim() == 1 for value in own)
    return plain and NORM_LIKE.search(type(module).__name__) is not None


def neutral_values(norm: nn.Module) -> Mapping[str, float]:
    """What each parameter of a norm layer starts from, by its name: its scale changes nothing then, its shift is zero.

    Most multiply by their weight, which starts from one. Some multiply by one plus it (Gemma's), and it starts from
    zero: that is tried out on numbers, as no name tells; so do some
    that are subclasses of torch's.

    Args:
        norm: A module for which `is_norm` is true; it is called with some numbers where it is not one of torch's.

    Returns:
        Empty where it cannot be told.
    """
    own = dict(norm.named_parameters(recurse=False))
    usual = {name: value for name, value in (("weight", 1.0), ("bias", 0.0)) if name in own}
    if not own or type(norm).__module__.startswith("torch."):
        return usual
    fallback = usual if isinstance(norm, TORCH_NORMS) else {}
    if len(own) > 2 or isinstance(norm, _NormBase):
        return fallback
    scale, *shifts = own
    zero = _output(norm, {scale: 0.0, **dict.fromkeys(shifts, 0.0)})
    if zero is None:
        return fallback
    return {scale: 1.0 if bool((zero == 0).all()) else 0.0, **dict.fromkeys(shifts, 0.0)}


def reset_norm(norm: nn.Module, values: Mapping[str, float]) -> None:
    """Let a module start anew in place, the running statistics of a norm layer included.

    Args:
        norm: A norm layer, or any module with `fixed_starts`.
        values: What each of its parameters becomes, as `fixed_starts` gives it.
    """
    if isinstance(norm, _NormBase):
        norm.reset_running_stats()
    with torch.no_grad():
        for name, value in values.items():
            norm.get_parameter(name).fill_(value)


def norms_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The norm layers of a network with their names, in the order of definition."""
    return ((name, module) for name, module in model.named_modules() if is_norm(module))


def fixed_starts(module: nn.Module) -> Mapping[str, float]:
    """The numbers that parameters of a module start from whatever the initializer, by their names.

    Those of norm layers; and of a module with a method `initlab_starts()`, such as a multiplier of a residual branch,
    what that says.

    Args:
        module: Any module; its children's are not among them.

    Raises:
        UserError: `initlab_starts()` names what is no parameter of the module, or what is no number.
    """
    said = getattr(module, "initlab_starts", None)
    if said is None:
        return neutral_values(module) if is_norm(module) else {}
    where = f"{type(module).__name__}.initlab_starts()"
    starts = said() if callable(said) else None
    if not isinstance(starts, Mapping):
        raise UserError(f'{where}: expected a mapping from parameter names to numbers, such as {{"factor": 0.0}}')
    own = dict(module.named_parameters(recurse=False))
    for name, value in starts.items():
        if name not in own:
            raise UserError(f"{where}: {name} is no parameter of it; it has {', '.join(own) or 'none'}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{where}: {name} starts from {value!r}; expected a number")
    return starts


def _output(norm: nn.Module, values: Mapping[str, float]) -> Tensor | None:
    """What a norm layer makes of some numbers with its parameters set to constants; None if it takes no such input."""
    own = dict(norm.named_parameters(recurse=False))
    first = next(iter(own.values()))
    numbers = torch.linspace(-1, 2, 2 * len(first)).view(2, -1).to(first)
    state = {name: torch.full_like(own[name], value) for name, value in values.items()}
    try:
        with torch.no_grad():
            output = torch.func.functional_call(norm, state, (numbers,))
    except Exception:  # whatever another library's code says to such an input
        return None
    return output if isinstance(output, Tensor) and output.shape == numbers.shape else None
