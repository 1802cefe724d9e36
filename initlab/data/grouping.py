"""Splitting rows by groups anew for each seed, into as many rows each time."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch

from initlab.base.randomness import stream

Places = tuple[np.ndarray, np.ndarray, np.ndarray]  # of the rows to train, to validate and to test on
LEAST_KEPT = 0.5  # of the training rows that the fractions leave: with fewer, one split is the better choice


@dataclass(frozen=True, eq=False)
class EqualGroups:
    """Splits that never have rows of one group on two sides, and have the same number of rows whatever the seed.

    Members train side by side, on as many rows each, and groups have different sizes. So groups are shuffled, and taken
    to test on until they hold the number of rows that is asked for, or more; then to validate. From these, rows are
    drawn: exactly as many as are asked for. The rest is to train on, cut to the number that every shuffling leaves.

    Attributes:
        codes: The group of each row, from 0, shape (rows,).
        train: How many rows there are to train on.
        val: How many to validate on; 0: those that are tested on.
        test: How many to test on.
    """

    codes: np.ndarray
    train: int
    val: int
    test: int

    @classmethod
    def of(cls, codes: np.ndarray, test_fraction: float, val_fraction: float) -> "EqualGroups | None":
        """Find out how many rows every split can have.

        Args:
            codes: The group of each row, from 0, shape (rows,).
            test_fraction: Share of all rows to test on, in (0, 1).
            val_fraction: Share of the remaining rows to validate on, in [0, 1).

        Returns:
            None where groups are so large that the unluckiest shuffling leaves less than half of the rows to train on.
        """
        sizes = np.bincount(codes)
        test = ceil(test_fraction * len(codes))
        val = ceil(val_fraction * (len(codes) - test))
        asked = [count for count in (test, val) if count]
        largest = np.sort(sizes)[::-1][: len(asked)]  # the groups that may come last, which hold the most to spare
        most_taken = sum(_largest_sum(sizes, below=count) for count in asked) + int(largest.sum())
        train = len(codes) - most_taken
        enough = len(sizes) > len(asked) and train >= max(2, LEAST_KEPT * (len(codes) - sum(asked)))
        return cls(codes, train, val, test) if enough else None

    def __call__(self, seed: int) -> Places:
        """The places of the rows to train, to validate (none if `val` is 0) and to test on, each shuffled.

        Args:
            seed: Of the shuffling.
        """
        draws = stream(seed, "groups of rows, anew")
        sizes = np.bincount(self.codes)
        order = torch.randperm(len(sizes), generator=draws).numpy()
        rows = torch.randperm(len(self.codes), generator=draws).numpy()
        ends = sizes[order].cumsum()
        tested = int(np.searchsorted(ends, self.test)) + 1  # groups that hold so many rows
        before = ends[tested - 1]
        validated = tested + (int(np.searchsorted(ends[tested:], before + self.val)) + 1 if self.val else 0)
        use = np.empty(len(sizes), np.int64)  # of each group: 0 to train, 1 to validate, 2 to test on
        use[order[:tested]], use[order[tested:validated]], use[order[validated:]] = 2, 1, 0
        use = use[self.codes[rows]]
        train, val, test = (rows[use == kind] for kind in range(3))
        return train[: self.train], val[: self.val], test[: self.test]


def _largest_sum(sizes: Iterable[int], *, below: int) -> int:
    """The largest number below a limit to which some of the sizes add up.

    The sums that can be reached are the bits of one whole number.
    """
    reached, limit = 1, (1 << below) - 1
    values, counts = np.unique(np.asarray(sizes), return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        part = 1
        while count > 0:  # 1, 2, 4, … of a size at once
            reached |= (reached << (value * min(part, count))) & limit
            count, part = count - part, 2 * part
    return reached.bit_length() - 1
