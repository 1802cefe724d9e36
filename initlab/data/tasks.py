"""What networks are asked to do, and how well they do it: a loss to train on, and a score to compare by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from initlab.data.dataset import NO_TARGET, TaskName, steps_asked


@dataclass(frozen=True)
class Task:
    """A loss to train on and a score to compare by.

    Attributes:
        metric: What the tables call the score; more is better, and 1 is perfect.
        loss: From outputs, shape (rows, outputs), or (rows, steps, outputs) of a sequence, and targets to the loss of
            each row, shape (rows,).
        sums: From outputs, shape (members, rows, …, outputs), and targets, shape (members, rows, …), to what the score
            needs to know of these rows: numbers that add up over chunks of rows, shape (members, …), whole or float64.
        score: From these sums over all rows, and the number of rows, to the score of each member, shape (members,).
        errors: From outputs and targets, as for `sums`, to what a row's part of the score is made of, shape (members,
            rows, …), on the CPU.
        row_scores: From the errors of all rows and their targets, shape (members, rows, …), to what each row scores,
            shape (members, rows), float32: the mean over a member's rows is its score.
    """

    metric: str
    loss: Callable[[Tensor, Tensor], Tensor]
    sums: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, int], Tensor]
    errors: Callable[[Tensor, Tensor], Tensor]
    row_scores: Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row, shape (rows,).

    The rows are moved to the last dimension, as if they were pixels: a softmax over a short last dimension is several
    times slower on a CPU.

    Args:
        logits: Shape (rows, classes), any real numbers.
        targets: Classes from 0, shape (rows,), int64.
    """
    return F.cross_entropy(logits.t().unsqueeze(0), targets.unsqueeze(0), reduction="none").squeeze(0)


def by_steps(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of sequences: the mean over the steps of a row at which a class is asked for.

    Args:
        loss: From outputs, shape (steps, classes), and classes, shape (steps,), to the loss of each, shape (steps,).

    Returns:
        A function from outputs, shape (rows, steps, classes), and classes or `NO_TARGET`, shape (rows, steps), to the
        loss of each row, shape (rows,).
    """
    return partial(_over_steps, loss)


def _over_steps(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    asked = targets != NO_TARGET
    losses = loss(outputs.flatten(0, 1), targets.where(asked, 0).flatten()).view(targets.shape)
    return losses.where(asked, 0.0).sum(1) / steps_asked(targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of each row, its mean over the outputs, shape (rows,); both arguments are (rows, outputs)."""
    return (outputs - targets).square().mean(1)


def _count_correct(logits: Tensor, targets: Tensor) -> Tensor:
    """How many rows each member classifies correctly, shape (members,), int64.

    Args:
        logits: Shape (members, rows, classes); the largest is the answer.
        targets: Classes from 0, shape (members, rows), int64.
    """
    return (logits.argmax(-1) == targets).sum(1)


def _share_correct(logits: Tensor, targets: Tensor) -> Tensor:
    """What share of the steps with a target each member answers correctly in each row, float64.

    Args:
        logits: Shape (members, rows, steps, classes); the largest is the answer.
        targets: Classes, or `NO_TARGET`, shape (members, rows, steps), int64.

    Returns:
        Shape (members, rows). A row counts as one, however many of its steps have a target.
    """
    return _double((logits.argmax(-1) == targets).sum(-1)) / _double(steps_asked(targets))


def _sum_shares(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum over rows of what `_share_correct` gives, shape (members,)."""
    return _share_correct(logits, targets).sum(1)


def _sum_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """What R² needs to know of some rows: sums of squared residuals, of targets and of squared targets.

    Args:
        outputs: Shape (members, rows, outputs), any floating-point type.
        targets: The numbers to fit, in the same shape, repeated for each member.

    Returns:
        The three sums over the rows, shape (members, 3, outputs), float64.
    """
    targets = _double(targets)
    residuals = _double(outputs) - targets
    return torch.stack([residuals.square().sum(1), targets.sum(1), targets.square().sum(1)], dim=1)


def r2(sums: Tensor, rows: int) -> Tensor:
    """R² of each member, shape (members,): the mean over outputs of 1 - (squared residuals)/(squared deviations).

    The deviations are those of the targets from their own mean over the same rows. NaN where all targets are equal.

    Args:
        sums: As `_sum_squares` gives them, added up over all rows, shape (members, 3, outputs).
        rows: How many rows were added up.
    """
    residuals, total, squares = sums.unbind(1)
    deviations = squares - total.square() / rows
    return (1 - residuals / deviations.where(deviations > 0, torch.nan)).mean(1)


def _mistaken(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether each member is wrong about each row, shape (members, rows), on the CPU; of what `_count_correct` gets."""
    return (logits.argmax(-1) != targets).cpu()


def _squared_residuals(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared residuals, shape (members, rows, outputs), float64, on the CPU."""
    return (_double(outputs) - _double(targets)).square().cpu()


def r2_of_rows(residuals: Tensor, targets: Tensor) -> Tensor:
    """What each row adds to R²: R² is no mean over rows, and this is the linear form whose mean it is.

    With r the squared residual of a row, d the squared deviation of its target from the mean target, and bars for means
    over the rows, R² = 1 - r̄/d̄. A row scores R² - (r - (1 - R²) d) / d̄, the mean of that over the outputs: how much R²
    changes with the row's weight (its influence function).

    Args:
        residuals: Squared, of all rows that count, shape (members, rows, outputs), float64.
        targets: The numbers to fit, shape (members, rows, outputs), or (1, rows, outputs) where they are the same.

    Returns:
        Shape (members, rows), float32. NaN where all targets of an output are equal.
    """
    targets = _double(targets).cpu()
    deviations = (targets - targets.mean(1, keepdim=True)).square()
    spread = deviations.mean(1, keepdim=True)
    spread = spread.where(spread > 0, torch.nan)
    lost = residuals.mean(1, keepdim=True) / spread
    return (1 - lost - (residuals - lost * deviations) / spread).mean(2).float()


def _double(values: Tensor) -> Tensor:
    """The values in float64, on the CPU if they are on one of Apple's GPUs, which have no float64."""
    return (values.cpu() if values.device.type == "mps" else values).double()


TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "classification": Task(
            "accuracy",
            cross_entropy,
            _count_correct,
            lambda correct, rows: correct / rows,
            _mistaken,
            lambda mistaken, _: 1 - mistaken.float(),
        ),
        "sequence": Task(
            "accuracy",
            by_steps(cross_entropy),
            _sum_shares,
            lambda correct, rows: correct / rows,
            lambda logits, targets: 1 - _share_correct(logits, targets).cpu(),
            lambda mistaken, _: 1 - mistaken.float(),
        ),
        "regression": Task("r2", squared_error, _sum_squares, r2, _squared_residuals, r2_of_rows),
    }
)
