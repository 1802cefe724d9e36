"""Where a nonlinearity counts as saturated."""

import copy
from typing import Final

import torch
from torch import Tensor, nn

from initlab.activations import activation_of

SHARE: Final = 0.05  # of the steepest slope, under which an input is saturated
FLATTENING: Final = (nn.CELU,)  # at a level, though not registered
REACH: Final = 8.0  # on either side of 0 and of each kink, where the steepest slope is looked for


def saturation_limit(module: nn.Module) -> float | None:
    """The slope |φ'| under which an input of a nonlinearity counts as saturated: 5 % of the steepest.

    Example:
        >>> saturation_limit(nn.Sigmoid()), saturation_limit(nn.ReLU())
        (0.0125, None)

    Args:
        module: A nonlinearity that acts on each entry; its parameters are numbers, no tensors of a stack.

    Returns:
        The limit; None if it never saturates, as rectifiers.
    """
    known = activation_of(module)
    if known is None:
        kinks: tuple[float, ...] = (0.0,)
        saturates = isinstance(module, FLATTENING)
    else:
        saturates, kinks = known.kind.saturates, known.kinks
    return SHARE * _steepest(module, kinks) if saturates else None


def _steepest(module: nn.Module, kinks: tuple[float, ...]) -> float:
    """The largest |φ'| around 0 and around the kinks, on either side of each and between them."""
    ends = torch.tensor([0.0, *kinks], dtype=torch.float64, device="cpu").unsqueeze(1)
    around = torch.linspace(-REACH, REACH, 1601, dtype=torch.float64, device="cpu")
    beside = torch.tensor([-1e-9, 1e-9], dtype=torch.float64, device="cpu")
    points: Tensor = torch.cat([(ends + around).flatten(), (ends + beside).flatten()])
    with torch.enable_grad():
        points.requires_grad_()
        outputs = copy.deepcopy(module).double().cpu()(points.clone())
        (slopes,) = torch.autograd.grad(outputs.sum(), points)
    return float(slopes.abs().max())
