"""The rows of a cohort's members: those of each distinct split once, in one tensor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from initlab.base.errors import UserError
from initlab.data.dataset import Dataset, Split, TaskName


@dataclass(frozen=True)
class StackedData:
    """What the members of a cohort learn from: one data set for all, or one for each seed.

    The rows of the distinct data sets stand one after another, so that a member's own are found by an index that starts
    where its data set does: gathering them costs what it costs where all have the same rows.

    Attributes:
        task: What the members are asked to do.
        train: The rows to train on, of each distinct data set.
        val: The rows to validate on.
        test: The rows to test on.
        which: For each member the place of its data set among the distinct ones; None: all members have the same one.
        test_rows: Of each distinct data set, where its test rows stand among all rows.
    """

    task: TaskName
    train: Split
    val: Split
    test: Split
    which: tuple[int, ...] | None
    test_rows: Sequence[Tensor]

    @classmethod
    def shared(cls, dataset: Dataset) -> "StackedData":
        """One data set for all members, as it is."""
        return cls(dataset.task, dataset.train, dataset.val, dataset.test, None, [dataset.test_rows])

    @classmethod
    def by_seed(cls, dataset_for: Callable[[int], Dataset], seeds: Sequence[int]) -> "StackedData":
        """The data sets of members by their seeds; those of equal seed have the same one.

        Args:
            dataset_for: From a seed to the data set that is split by it.
            seeds: One a member.

        Raises:
            UserError: two data sets differ in their numbers of rows, or in the shape or the kind of these.
        """
        places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
        datasets = [dataset_for(seed) for seed in places]
        first = datasets[0]
        for seed, dataset in zip(places, datasets, strict=True):
            if (found := _shape(dataset)) != (expected := _shape(first)):
                raise UserError(
                    f"data.resplit: the split for seed {seed} has {found}, and that for seed {seeds[0]} {expected}; "
                    "networks train side by side: split alike, or set data.resplit=false"
                )
        if len(datasets) == 1:
            return cls.shared(first)
        train, test = (_joined([getattr(one, name) for one in datasets]) for name in ("train", "test"))
        val = test if first.val is first.test else _joined([one.val for one in datasets])
        which = tuple(places[seed] for seed in seeds)
        return cls(first.task, train, val, test, which, [one.test_rows for one in datasets])

    def rows(self, name: str) -> int:
        """How many rows a member has in a split: `train`, `val` or `test`."""
        split: Split = getattr(self, name)
        return len(split) // len(self.test_rows)

    def starts(self, name: str) -> Tensor | None:
        """Where each member's rows of a split begin, shape (members, 1); None: all have the same ones."""
        return None if self.which is None else torch.tensor(self.which).unsqueeze(1) * self.rows(name)

    def test_rows_of(self, member: int) -> Tensor:
        """Where the test rows of a member stand among all rows, shape (test rows,)."""
        return self.test_rows[0 if self.which is None else self.which[member]]


def _joined(splits: Sequence[Split]) -> Split:
    return Split(torch.cat([split.inputs for split in splits]), torch.cat([split.targets for split in splits]))


def _shape(dataset: Dataset) -> str:
    """The numbers of rows of a data set and what a row is, in words."""
    counts = f"{len(dataset.train)} rows to train on, {len(dataset.val)} to validate and {len(dataset.test)} to test on"
    return f"{counts}, of shape {dataset.input_shape} with {dataset.outputs} outputs"
