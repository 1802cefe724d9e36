"""What an optimizer step of a cohort consists of, and what it measures."""

from dataclasses import dataclass

from torch import Tensor

from initlab.cohort.engines import Autocast
from initlab.cohort.optimizers import CohortOptimizer
from initlab.data.losses import Loss
from initlab.data.tasks import Task
from initlab.modules.stack import Stack


@dataclass(frozen=True)
class Rows:
    """What a step gave for each row of its batches.

    Attributes:
        outputs: Shape (members, batch, outputs).
        losses: Shape (members, batch).
    """

    outputs: Tensor
    losses: Tensor


@dataclass(frozen=True)
class Sums:
    """What a step gave for all rows of a member's batch together.

    Attributes:
        loss: Sum of the losses, shape (members,).
        of_score: What the task's score needs to know of them, as `Task.sums` says.
    """

    loss: Tensor
    of_score: Tensor


@dataclass(frozen=True)
class Taken:
    """What a step measured before its update. The next step may write in these tensors.

    Attributes:
        measured: Row by row, or added up where that costs nothing.
        norms: Of each member's gradient, before clipping, shape (members,); None: not measured.
    """

    measured: Rows | Sums
    norms: Tensor | None


@dataclass(frozen=True)
class Recipe:
    """What a step consists of.

    Attributes:
        stack: The members, on the device that trains; their tensors are the ones that are trained.
        loss: What each member's mean over its rows is trained on.
        task: Says what of a batch is added up for the score.
        autocast: Makes the context of a forward pass.
        optimizer: Over the stacked parameters.
        gradient_clip: Largest norm of a member's gradient; None: no limit.
        rates_differ: Whether members, parameters or steps have learning rates of their own.
        may_stop: Whether members may stop before others.
        rest: Rows of a member in the last step of an epoch, where that has fewer than the others; 0: it has as many.
    """

    stack: Stack
    loss: Loss
    task: Task
    autocast: Autocast
    optimizer: CohortOptimizer
    gradient_clip: float | None = None
    rates_differ: bool = False
    may_stop: bool = False
    rest: int = 0
