"""From arrays to a `Dataset`: the splits, and what is fitted on the training rows alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from initlab.base.errors import UserError
from initlab.data.dataset import Dataset, Split, TaskName

Arrays = tuple[Any, np.ndarray]  # inputs, an array or a table, and targets, a row each
Transform = Callable[[Any], np.ndarray]
Splitter = Callable[[Any, float], tuple[np.ndarray, np.ndarray]]  # the places of the rows kept and split off
ROWS_AT_ONCE = 4096  # whose copy in float64 needs little memory


def _split_rows(
    arrays: Arrays, *, fraction: float, seed: int, stratify: bool, where: str, splitter: Splitter | None
) -> tuple[Arrays, Arrays]:
    """Split off a share of the rows with scikit-learn's `train_test_split`, or as a splitter does.

    Args:
        arrays: Inputs, an array or a table, and targets, shape (rows, …); a row of one belongs to a row of the other.
        fraction: Share of the rows to split off, in (0, 1).
        seed: Seed of the shuffling, scikit-learn's `random_state`.
        stratify: Whether each class keeps its share in both parts; the targets must then be classes.
        where: The configuration key that holds the fraction, for the message.
        splitter: Called with the inputs and the fraction in place of shuffling; None: the rows are shuffled.

    Returns:
        The remaining rows, and those split off, both shuffled.

    Raises:
        UserError: the fraction leaves a part without rows, or without a row of each class.
    """
    inputs, targets = arrays
    if not 0 < fraction < 1:
        raise UserError(f"{where}={fraction}: expected a share in (0, 1)")
    if splitter is not None:
        parts = splitter(inputs, fraction)
        if not all(map(len, parts)):
            raise UserError(f"{where}={fraction}: leaves a part without rows")
        kept, taken = ((_rows(inputs, part), targets[part]) for part in parts)
        return kept, taken
    try:
        kept, taken, kept_targets, taken_targets = train_test_split(
            inputs, targets, test_size=fraction, random_state=seed, stratify=targets if stratify else None
        )
    except ValueError as error:
        hint = "; data.stratify=false splits without regard to classes" if stratify and "class" in str(error) else ""
        raise UserError(f"{where}={fraction}: {' '.join(str(error).split())}{hint}") from error
    return (kept, kept_targets), (taken, taken_targets)


def assemble(
    train: Arrays,
    test: Arrays | float,
    *,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: bool,
    task: TaskName = "classification",
    tokens: bool = False,
    split: Splitter | None = None,
    prepare: Callable[[Any], Transform] | None = None,
    note: str = "",
) -> Dataset:
    """Build a data set from official training and test rows, or from rows that are split here.

    Whatever is fitted is fitted on the training rows without those that validate. Targets of a regression always get
    mean 0 and variance 1 by these rows: that leaves R² as it was, and predicting the mean then costs a loss of about 1.

    Example:
        >>> inputs, labels = np.random.default_rng(0).normal(size=(100, 5)), np.arange(100) % 3
        >>> data = assemble((inputs, labels), 0.2, val_fraction=0.25, split_seed=0, stratify=True, standardize=True)
        >>> len(data.train), len(data.val), len(data.test), data.classes, data.input_shape
        (60, 20, 20, 3, (5,))

    Args:
        train: Inputs and targets to fit and validate on. Inputs have shape (rows, features) or (rows, channels, height,
            width), or are what `prepare` takes. Classes are whole numbers from 0, shape (rows,); numbers to fit have
            shape (rows,) or (rows, outputs).
        test: Inputs and targets that are kept apart for testing; or the share of the given rows to split off for it, in
            (0, 1).
        val_fraction: Share of the training rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of the splits; the same for all members, so that they are compared on equal rows.
        stratify: Whether each class keeps its share in the splits; a regression takes no notice of it.
        standardize: Whether inputs get mean 0 and variance 1: each column of a table, each channel of images.
        task: `"classification"` if the targets are classes, `"regression"` if they are numbers to fit.
        tokens: Whether inputs are whole numbers that stand for something, as for `nn.Embedding`: they stay as they are.
        split: How rows are split, in place of shuffling: called with the inputs and the share to split off, returns the
            places of the rows that are kept and of those split off; None: they are shuffled.
        prepare: In place of `standardize`, for inputs that are not numbers yet: is called with the training inputs, and
            returns the function that turns any inputs into an array, shape (rows, …).
        note: What a reader of the results must know, in a line that is printed before training; may be empty.

    Raises:
        UserError: a fraction out of range, or rows that no network could be trained on.
    """
    if not 0 <= val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: expected a share in [0, 1)")
    split_off = partial(_split_rows, seed=split_seed, stratify=stratify and task == "classification", splitter=split)
    train = (train[0], _checked_targets(train[1], task))
    if isinstance(test, tuple):
        test = (test[0], _checked_targets(test[1], task))
    else:
        train, test = split_off(train, fraction=test, where="data.test_fraction")
    classes = int(max(train[1].max(), test[1].max())) + 1 if task == "classification" else None
    val = test
    if val_fraction:
        train, val = split_off(train, fraction=val_fraction, where="data.val_fraction")
    transform = (prepare or _fit_moments)(train[0]) if prepare or (standardize and not tokens) else np.asarray
    rescale = np.asarray if task == "classification" else _fit_moments(train[1])

    def to_split(rows: Arrays) -> Split:
        inputs, targets = transform(rows[0]), rescale(rows[1])
        kind = np.int64 if task == "classification" else np.float32
        return Split(_to_tensor(inputs, np.int64 if tokens else np.float32), _to_tensor(targets, kind))

    train_split, test_split = to_split(train), to_split(test)
    val_split = to_split(val) if val_fraction else test_split
    return Dataset(train_split, val_split, test_split, classes, validates_on_test=not val_fraction, note=note)


def _fit_moments(values: np.ndarray) -> Transform:
    """Learn to standardize each column of a table, or each channel of images, by the moments of these rows.

    The moments are computed in float64, but from a few rows at a time: a copy of all images would fill the memory.

    Args:
        values: Shape (rows, columns) or (rows, channels, height, width).
    """
    axes = (0, *range(2, values.ndim))
    parts = np.array_split(values, 1 + len(values) // ROWS_AT_ONCE)
    count = values.size / values.shape[1]
    mean = np.sum([part.sum(axes, dtype=np.float64, keepdims=True) for part in parts], axis=0) / count
    variance = np.sum([np.square(part - mean).sum(axes, keepdims=True) for part in parts], axis=0) / count
    constant = values.max(axes, keepdims=True) == values.min(axes, keepdims=True)
    scale = np.where(constant, 1.0, np.sqrt(variance))  # a constant column becomes 0, not NaN

    def transform(rows: np.ndarray) -> np.ndarray:
        result = np.empty(rows.shape, np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            result[part] = (rows[part] - mean) / scale
        return result

    return transform


def _rows(inputs: Any, places: np.ndarray) -> Any:
    return inputs.iloc[places] if hasattr(inputs, "iloc") else inputs[places]


def _to_tensor(values: np.ndarray, kind: type[np.generic]) -> Tensor:
    return torch.from_numpy(np.require(values, kind, ["C", "W"]))


def _checked_targets(targets: np.ndarray, task: TaskName) -> np.ndarray:
    """Targets in the shape that is documented: classes as (rows,), numbers as (rows, outputs).

    Raises:
        UserError: classes that are not whole numbers, or are of another shape.
    """
    targets = np.asarray(targets)
    if task == "regression":
        return targets.reshape(len(targets), -1)
    if targets.ndim != 1 or targets.dtype.kind not in "biu":
        raise UserError(
            f"data: targets of type {targets.dtype} and shape {targets.shape} are no classes, whole numbers from 0 in "
            "shape (rows,); number them, or fit them with task='regression'"
        )
    return targets
