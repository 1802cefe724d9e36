"""What an optimizer step of a cohort consists of, and what it measures."""

from dataclasses import dataclass

from torch import Tensor

from initlab.cohort.engines import Autocast
from initlab.cohort.optimizers import CohortOptimizer
from initlab.data.losses import Loss
from initlab.modules.stack import Stack


@dataclass(frozen=True)
class Taken:
    """What a step measured before its update.

    Attributes:
        outputs: Shape (members, batch, outputs).
        losses: Of each row, shape (members, batch).
        norms: Of each member's gradient, before clipping, shape (members,); None: not measured.
    """

    outputs: Tensor
    losses: Tensor
    norms: Tensor | None


@dataclass(frozen=True)
class Recipe:
    """What a step consists of.

    Attributes:
        stack: The members, on the device that trains; their tensors are the ones that are trained.
        loss: What each member's mean over its rows is trained on.
        autocast: Makes the context of a forward pass.
        optimizer: Over the stacked parameters.
        gradient_clip: Largest norm of a member's gradient; None: no limit.
        rates_differ: Whether members, parameters or steps have learning rates of their own.
        may_stop: Whether members may stop before others.
    """

    stack: Stack
    loss: Loss
    autocast: Autocast
    optimizer: CohortOptimizer
    gradient_clip: float | None = None
    rates_differ: bool = False
    may_stop: bool = False
