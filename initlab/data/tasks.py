"""What networks are asked to do, and how well they do it: a loss to train on and a score to compare by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from initlab.data.dataset import TaskName


@dataclass(frozen=True)
class Task:
    """A loss and a score.

    Attributes:
        metric: What the tables call the score; more is better, and 1 is perfect.
        loss: Of each row, shape (rows,), from outputs, shape (rows, outputs), and targets.
        sums: What the score needs to know of some rows, from outputs, shape (members, rows, outputs), and targets,
            shape (members, rows, …): numbers that add up over chunks of rows, shape (members, …), float64 on the CPU.
        score: Of each member, shape (members,), from these sums over all rows, and how many rows that were.
    """

    metric: str
    loss: Callable[[Tensor, Tensor], Tensor]
    sums: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, int], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row, shape (rows,), from logits (rows, classes) and targets (rows,).

    The rows go last, as if they were pixels: a softmax over a short last dimension is several times slower on a CPU.
    """
    return F.cross_entropy(logits.t().unsqueeze(0), targets.unsqueeze(0), reduction="none").squeeze(0)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of each row, its mean over the outputs, shape (rows,), from outputs and targets (rows, outputs)."""
    return (outputs - targets).square().mean(1)


def count_correct(logits: Tensor, targets: Tensor) -> Tensor:
    """How many rows each member classifies correctly."""
    return (logits.argmax(-1) == targets).sum(1).cpu().double()


def sum_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sums over rows of squared residuals, targets and squared targets, shape (members, 3, outputs)."""
    targets = _double(targets)
    residuals = _double(outputs) - targets
    return torch.stack([residuals.square().sum(1), targets.sum(1), targets.square().sum(1)], dim=1).cpu()


def r2(sums: Tensor, rows: int) -> Tensor:
    """R² of each member, the mean over outputs of 1 - (squared residuals) / (squared deviations of the targets).

    The deviations are those from the mean of these very targets. NaN where they are all equal.
    """
    residuals, total, squares = sums.unbind(1)
    deviations = squares - total.square() / rows
    return (1 - residuals / deviations.where(deviations > 0, torch.nan)).mean(1)


def _double(values: Tensor) -> Tensor:
    """In float64, which Apple's GPUs do not have."""
    return (values.cpu() if values.device.type == "mps" else values).double()


TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "classification": Task("accuracy", cross_entropy, count_correct, lambda correct, rows: correct / rows),
        "regression": Task("r2", squared_error, sum_squares, r2),
    }
)
