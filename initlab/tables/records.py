"""What one epoch measured, of a cohort's members or of a job's."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch measured on one split: a number a member for each name.

    Attributes:
        epoch: How many epochs the members had trained; 0: none.
        split: On which rows: `train`, `val` or `test`.
        values: By a name of `schema.EPOCH_NUMBERS`, shape (members,), float64 on the CPU. A member whose outputs are
            not finite has score NaN: such a network predicts nothing.
    """

    epoch: int
    split: str
    values: Mapping[str, Tensor]

    def part(self, rows: slice) -> "EpochRecord":
        """The same of some of the members."""
        return EpochRecord(self.epoch, self.split, {name: value[rows] for name, value in self.values.items()})
