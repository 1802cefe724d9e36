"""Adding up what the rows of an epoch gave, chunk by chunk."""

from dataclasses import dataclass

import torch
from torch import Tensor

from initlab.data.tasks import Task
from initlab.tables.records import EpochRecord


@dataclass
class Tally:
    """Sums over the rows of an epoch, in float64; on a GPU that has it, which the CPU then need not wait for."""

    task: Task
    loss: Tensor | float = 0.0
    sums: Tensor | float = 0.0
    rows: int = 0
    gradient_norm: Tensor | None = None

    def add(self, outputs: Tensor, losses: Tensor, targets: Tensor) -> None:
        """Add rows to the sums.

        Args:
            outputs: Shape (members, rows, outputs).
            losses: Of each row, shape (members, rows).
            targets: What each member should have answered, shape (members, rows, …).
        """
        self.add_sums(losses.sum(1), self.task.sums(outputs, targets), targets.shape[1])

    def add_sums(self, loss: Tensor, sums: Tensor, rows: int) -> None:
        """Add what was added up already.

        Args:
            loss: Sums of the losses of some rows, shape (members,).
            sums: What the task's score needs to know of these rows, shape (members, …).
            rows: How many they are.
        """
        self.loss, self.sums = _added(self.loss, loss), _added(self.sums, sums)
        self.rows += rows

    def record(self, epoch: int, split: str) -> EpochRecord:
        """What was measured over the rows so far."""
        assert isinstance(self.loss, Tensor)
        assert isinstance(self.sums, Tensor)
        loss, score = self.loss.cpu() / self.rows, self.task.score(self.sums.cpu(), self.rows)
        values = {"loss": loss, "score": score.where(loss.isfinite(), torch.nan)}
        if self.gradient_norm is not None:
            values["gradient_norm"] = self.gradient_norm.cpu().double()
        return EpochRecord(epoch, split, values)


def _added(total: Tensor | float, sums: Tensor) -> Tensor:
    """The total with some more, in place where it is a tensor."""
    sums = sums.cpu() if sums.device.type == "mps" else sums
    return total.add_(sums) if isinstance(total, Tensor) else sums.to(torch.float64, copy=True).add_(total)
