"""What the members of a job learn from: one data set for all, or for each seed a split of its own."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import torch

from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault
from initlab.base.randomness import stream
from initlab.data.dataset import Dataset, Split
from initlab.data.losses import Loss
from initlab.data.stacked import StackedData
from initlab.jobs.targets import target
from initlab.modules.batch import Batch

# Bytes of a data set's splits that stay in memory: of one job after another all seeds are asked for.
KEPT_SPLITS: Final = 64 * 2**20
# A class of so many rows is in every part of a split that is left to chance.
SURE_ROWS: Final = 50
CHANCE_ROWS: Final = 1024  # that tell what outputs of zero cost


@dataclass(frozen=True)
class JobData:
    """The data of a job, by the group `data` of its configuration. Jobs with equal groups have equal rows.

    Attributes:
        config: The group: `_target_`, `name`, `resplit` and arguments.
    """

    config: Mapping[str, Any]

    @property
    def as_given(self) -> Dataset:
        """The data set as its function returns it, split by `data.split_seed` alone; the last eight stay in memory."""
        return _load_dataset(self._key)

    @property
    def resplits(self) -> bool:
        """Whether each seed has a split of its own: `data.resplit`, where the data set can be split anew.

        Raises:
            UserError: it is asked for, and cannot be had.
        """
        wish, data = self.config.get("resplit", "auto"), self.as_given
        if wish is True and data.resplit is None:
            raise UserError(f"data.resplit=true: {data.split_once}; leave it out, or set data.resplit=false")
        return wish is not False and data.resplit is not None

    def of_seed(self, seed: int) -> Dataset:
        """The data set that a member learns from.

        Raises:
            UserError: there are too few rows to split them anew.
        """
        return _resplitting(self._key)(seed) if self.resplits else self.as_given

    def stacked(self, seeds: Sequence[int]) -> StackedData:
        """What the members of a cohort learn from, given the seed of each."""
        return StackedData.by_seed(self.of_seed, seeds) if self.resplits else StackedData.shared(self.as_given)

    @property
    def checksum(self) -> str:
        """A hash of the splits, or of all rows and the rule before these are split for each seed."""
        data = self.as_given
        return (data.rows_checksum if self.resplits else "") or data.checksum

    def baselines(self, seeds: Sequence[int]) -> tuple[float, float]:
        """`Dataset.baseline` and `Dataset.validation_baseline`, their means over the splits of some seeds."""
        if self.resplits:
            return _baselines(self._key, tuple(seeds))
        return self.as_given.baseline, self.as_given.validation_baseline

    def chance_loss(self, loss: Loss) -> float:
        """What outputs of zero cost on the validation rows: ln C for the cross entropy of C classes.

        Args:
            loss: That of each row.
        """
        rows = self.as_given.val.targets[:CHANCE_ROWS]
        steps = rows.shape[1:] if self.as_given.task == "sequence" else ()
        return float(loss(torch.zeros(len(rows), *steps, self.as_given.outputs), rows).mean())

    def rows_to_look_at(self, count: int) -> Batch:
        """Training rows with which the signal is measured: so many, or all if there are fewer.

        They are the same for all jobs with the same data set, whatever their seeds: more seeds extend what was seen.
        Where each seed has a split of its own, they are the training rows of `data.split_seed` alone.
        """
        rows = self.as_given.train
        chosen = torch.randperm(len(rows), generator=stream(0, "rows to look at"))[:count]
        return Batch(rows.inputs[chosen], rows.targets[chosen])

    def note(self, seeds: Sequence[int]) -> str:
        """What a reader of the results must know of the splits beside their sizes, in a line; may be empty.

        Where a class or a part has so few rows that chance may leave it without, or rows are split by groups, the split
        of each seed is looked at.

        Raises:
            UserError: there are too few rows for the split of a seed.
        """
        data = self.as_given
        if not self.resplits:
            same = "splits stay the same for all seeds (data.resplit=false): what is told holds for this split"
            return "" if data.resplit is None else same
        grouped = self.config.get("group") is not None
        if _fewest_rows(data) >= SURE_ROWS and not grouped:
            return ""
        missed = _missed_classes(self._key, tuple(seeds))
        if not missed:
            return ""
        classes = ", ".join(map(str, sorted({place for places in missed.values() for place in places})))
        shuffled = not grouped and not self.config.get("stratify", True)
        instead = "data.stratify=true keeps the share of each; " if shuffled else ""
        return (
            f"{len(missed)} of {len(seeds)} splits have no row of class {classes} to train on; {instead}"
            "data.resplit=false keeps one split for all seeds"
        )

    @cached_property
    def _key(self) -> str:
        return json.dumps({key: value for key, value in self.config.items() if key != "resplit"}, sort_keys=True)


def forget_data() -> None:
    """Load data sets anew where they are asked for again, as in a process in which their files have changed."""
    for remembered in (_load_dataset, _resplitting, _missed_classes, _baselines):
        remembered.cache_clear()


def _parts(data: Dataset) -> list[Split]:
    """The parts of a split; together they are all rows."""
    return [data.train, data.test] if data.validates_on_test else [data.train, data.val, data.test]


def _fewest_rows(data: Dataset) -> int:
    """Rows of the smallest part of a split, or of the rarest class in all of them."""
    parts = _parts(data)
    fewest = min(map(len, parts))
    if data.classes is None or data.task != "classification":
        return fewest
    labels = torch.cat([part.targets for part in parts])
    return min(fewest, int(labels.bincount(minlength=data.classes).min()))


@lru_cache(maxsize=8)
def _load_dataset(config: str) -> Dataset:
    settings = json.loads(config)
    load = target("data", settings)
    try:
        dataset = load()
    except UserError:
        raise
    except Exception as error:  # whatever the user's own function brings about
        where = f"data._target_={settings['_target_']}"
        plain = UserError(f"{where}: {type(error).__name__}: {first_line(error)}")
        raise own_fault(error, where) or plain from error
    if not isinstance(dataset, Dataset):
        raise UserError("data._target_: expected a function that returns an initlab.data.dataset.Dataset")
    return dataset


@lru_cache(maxsize=8)
def _resplitting(config: str) -> Callable[[int], Dataset]:
    """From a seed to its split of a data set; those that were used last stay in memory."""
    data = _load_dataset(config)
    assert data.resplit is not None
    size = sum(part.inputs.nbytes + part.targets.nbytes for part in _parts(data))
    return lru_cache(maxsize=max(1, KEPT_SPLITS // size))(data.resplit)


@lru_cache(maxsize=8)
def _missed_classes(config: str, seeds: tuple[int, ...]) -> dict[int, list[int]]:
    """By the seed of each split that has no row of some class to train on, these classes."""
    split_for = _resplitting(config)
    missed = {}
    for seed in seeds:
        data = split_for(seed)
        if data.task == "classification":
            counts = data.class_counts
            missed[seed] = (counts == 0).nonzero().flatten().tolist()
    return {seed: classes for seed, classes in missed.items() if classes}


@lru_cache(maxsize=8)
def _baselines(config: str, seeds: tuple[int, ...]) -> tuple[float, float]:
    split_for = _resplitting(config)
    known = [(data.baseline, data.validation_baseline) for data in map(split_for, seeds)]
    test, val = (sum(values) / len(seeds) for values in zip(*known, strict=True))
    return test, val
