"""A data set in memory, and how its rows are told apart."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from initlab.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Rows for one use: inputs, shape (rows, *input_shape), float32; targets, shape (rows,), int64."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Dataset:
    """Three splits of a classification problem.

    Attributes:
        train: Rows to fit on.
        val: Rows to watch and choose on; the test rows themselves where `validates_on_test`.
        test: Rows to report on.
        classes: Number of classes; targets are 0, …, classes - 1.
        validates_on_test: Whether val is test, as in classic scripts.
    """

    train: Split
    val: Split
    test: Split
    classes: int
    validates_on_test: bool

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def majority_share(self) -> float:
        """Share of the test rows that the most frequent class of the training rows has: what knowing nothing gets."""
        majority = self.train.targets.bincount(minlength=self.classes).argmax()
        return float((self.test.targets == majority).double().mean())

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over all rows as they are trained on."""
        digest = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            digest.update(split.inputs.contiguous().numpy().tobytes())
            digest.update(split.targets.numpy().tobytes())
        return digest.hexdigest()


def split_rows(arrays: Arrays, *, fraction: float, seed: int, stratify: bool, where: str) -> tuple[Arrays, Arrays]:
    """Split off a fraction of the rows with scikit-learn's `train_test_split`.

    Args:
        arrays: Inputs and targets, a row each.
        fraction: Share of the rows to split off, in (0, 1).
        seed: scikit-learn's random_state.
        stratify: Whether each class keeps its share.
        where: The configuration key of the fraction, for the error.

    Returns:
        The remaining rows and the ones split off.

    Raises:
        UserError: the fraction leaves a part without rows, or without a row of each class.
    """
    inputs, targets = arrays
    if not 0 < fraction < 1:
        raise UserError(f"{where}={fraction}: expected a share in (0, 1)")
    try:
        kept, taken, kept_targets, taken_targets = train_test_split(
            inputs, targets, test_size=fraction, random_state=seed, stratify=targets if stratify else None
        )
    except ValueError as error:
        raise UserError(f"{where}={fraction}: {' '.join(str(error).split())}") from error
    return (kept, kept_targets), (taken, taken_targets)


def assemble(
    train: Arrays,
    test: Arrays,
    *,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: str | None,
) -> Dataset:
    """Build a data set from official training and test rows.

    Args:
        train: Inputs and targets to fit and validate on.
        test: Inputs and targets kept apart.
        val_fraction: Share of the training rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of that split; the same for all members, so that they are compared on equal rows.
        stratify: Whether each class keeps its share in the split.
        standardize: Mean 0 and variance 1, with moments of the remaining training rows only: `"feature"`, each
            column by its own; `"all"`, one mean and variance over all entries; None, leave as is.

    Raises:
        UserError: a fraction out of range.
    """
    if not 0 <= val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: expected a share in [0, 1)")
    classes = int(max(train[1].max(), test[1].max())) + 1
    if val_fraction:
        train, val = split_rows(
            train, fraction=val_fraction, seed=split_seed, stratify=stratify, where="data.val_fraction"
        )
    else:
        val = test
    mean, std = _moments(train[0], standardize)
    train_split, test_split = (_to_split(rows, mean, std) for rows in (train, test))
    val_split = _to_split(val, mean, std) if val_fraction else test_split
    return Dataset(train_split, val_split, test_split, classes, validates_on_test=not val_fraction)


def split_and_assemble(
    rows: Arrays,
    *,
    test_fraction: float,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: str | None,
) -> Dataset:
    """Build a data set without official test rows: they are split off first. The arguments are those of `assemble`.

    Raises:
        UserError: a fraction out of range.
    """
    train, test = split_rows(
        rows, fraction=test_fraction, seed=split_seed, stratify=stratify, where="data.test_fraction"
    )
    return assemble(
        train,
        test,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _moments(inputs: np.ndarray, standardize: str | None) -> tuple[np.ndarray, np.ndarray]:
    if standardize is None:
        return np.zeros(1), np.ones(1)
    axis = 0 if standardize == "feature" else None
    mean, std = inputs.mean(axis, dtype=np.float64), inputs.std(axis, dtype=np.float64)
    return np.asarray(mean), np.where(std > 0, std, 1.0)  # a constant column becomes 0, not NaN


def _to_split(rows: Arrays, mean: np.ndarray, std: np.ndarray) -> Split:
    inputs = ((rows[0] - mean) / std).astype(np.float32)
    return Split(torch.from_numpy(inputs), torch.from_numpy(rows[1].astype(np.int64)))


def data_directory(directory: str | None) -> Path:
    """Where data files are looked for and downloaded to: what is configured, else the user's cache."""
    return Path(directory).expanduser() if directory else Path("~/.cache/initlab").expanduser()
