"""From arrays to a `Dataset`: the splits, and what is fitted on the training rows alone."""

import hashlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from initlab.base.errors import UserError
from initlab.base.randomness import stream
from initlab.data.dataset import Dataset, Split, TaskName
from initlab.data.grouping import EqualGroups, Places

Arrays = tuple[Any, np.ndarray]  # inputs, an array or a table, and targets, a row each
Transform = Callable[[Any], np.ndarray]
Splitter = Callable[[Any, float], tuple[np.ndarray, np.ndarray]]  # the places of the rows kept and split off
Lookup = Callable[[np.ndarray], np.ndarray]  # from places of rows to their inputs, as networks get them
ROWS_AT_ONCE = 4096  # whose copy in float64 needs little memory


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
    features_last: bool = False,
    split: Splitter | None = None,
    groups: EqualGroups | None = None,
    prepare: Callable[[Any], Transform] | None = None,
    prepare_anew: Callable[[Any], Callable[[np.ndarray], Lookup]] | None = None,
    note: str = "",
    split_once: str = "",
) -> Dataset:
    """Build a data set from official training and test rows, or from rows that are split here.

    Whatever is fitted is fitted on the training rows without those that validate. Targets of a regression always get
    mean 0 and variance 1 by these rows: that leaves R² as it was, and predicting the mean then costs a loss of about 1.

    Rows that are split here can be split anew for any seed, by `Dataset.resplit`: all that is fitted is then fitted on
    the training rows of that split. The split of a seed follows from `split_seed` and the seed alone.

    Example:
        >>> inputs, labels = np.random.default_rng(0).normal(size=(100, 5)), np.arange(100) % 3
        >>> data = assemble((inputs, labels), 0.2, val_fraction=0.25, split_seed=0, stratify=True, standardize=True)
        >>> len(data.train), len(data.val), len(data.test), data.classes, data.input_shape
        (60, 20, 20, 3, (5,))
        >>> data.resplit(7).test_rows.equal(data.test_rows)
        False

    Args:
        train: Inputs and targets to fit and validate on. Inputs have shape (rows, features) or (rows, channels, height,
            width), or are what `prepare` takes. Classes are whole numbers from 0, shape (rows,), or (rows, steps) for
            one at each step; numbers to fit have shape (rows,) or (rows, outputs).
        test: Inputs and targets that are kept apart for testing; or the share of the given rows to split off for it, in
            (0, 1).
        val_fraction: Share of the training rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of the splits; those of `Dataset.resplit` depend on it, too.
        stratify: Whether each class keeps its share in the splits; a regression takes no notice of it.
        standardize: Whether inputs get mean 0 and variance 1: each column of a table, each channel of images, each
            feature of sequences.
        task: `"classification"` if the targets are classes, `"sequence"` if they are one at each step, `NO_TARGET`
            where none is asked for, `"regression"` if they are numbers to fit.
        tokens: Whether inputs are whole numbers that stand for something, as for `nn.Embedding`: they stay as they are.
        features_last: Whether rows are sequences, shape (rows, steps, features), and no images or series by channels.
        split: How rows are split, in place of shuffling: called with the inputs and the share to split off, returns the
            places of the rows that are kept and of those split off; None: they are shuffled.
        groups: With `split`, how rows are split anew; None: they are not.
        prepare: In place of `standardize`, for inputs that are not numbers yet: is called with the training inputs, and
            returns the function that turns any inputs into an array, shape (rows, …).
        prepare_anew: The same for rows that are split anew, with as many inputs whatever the split: is called once with
            all inputs; what it returns is called with the places of the training rows, and returns the function that
            turns places into an array. None: `prepare` serves.
        note: What a reader of the results must know, in a line that is printed before training; may be empty.
        split_once: Why rows are not split anew, where `split` comes without `groups`.

    Raises:
        UserError: a fraction out of range, or rows that no network could be trained on.
    """
    if not 0 <= val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: expected a share in [0, 1)")
    inputs, targets = train[0], _checked_targets(train[1], task)
    if len(inputs) != len(targets):
        raise UserError(f"data: {len(inputs)} inputs and {len(targets)} targets; expected as many")
    tested = (test[0], _checked_targets(test[1], task)) if isinstance(test, tuple) else None
    largest = max(targets.max(), tested[1].max()) if tested else targets.max()
    classes = None if task == "regression" else int(largest) + 1
    places_by = partial(
        _places,
        inputs,
        targets if stratify and task == "classification" else None,
        test_fraction=None if isinstance(test, tuple) else test,
        val_fraction=val_fraction,
    )
    moments = partial(fit_moments, axis=-1 if features_last else 1)
    fit = prepare or (moments if standardize and not tokens else _as_they_are)
    made = partial(_dataset, targets, classes, tokens)

    def rows_at(places: np.ndarray) -> Any:
        return _rows(inputs, places)

    def fitted(training: np.ndarray) -> Lookup:
        transform = fit(rows_at(training))
        return lambda places: transform(rows_at(places))

    places = places_by(seed=split_seed, splitter=split)
    if tested:
        transform = fit(rows_at(places[0]))
        return made(places, lambda some: transform(rows_at(some)), (transform(tested[0]), tested[1]), note=note,
                    split_once="its test rows are given, and not split off")  # fmt: skip
    once = made(places, fitted(places[0]), None, note=note, split_once=split_once)
    if split is not None and groups is None:
        return once
    preparation = cache(lambda: prepare_anew(inputs) if prepare_anew else fitted)  # not before it is asked for

    def resplit(seed: int) -> Dataset:
        own = stream(split_seed, f"split for seed {seed}").initial_seed() % 2**32
        try:
            places = groups(own) if groups else places_by(seed=own, splitter=None)
            return made(places, preparation()(places[0]), None, note=note)
        except UserError as error:
            raise UserError(f"{error} (split for seed {seed}; data.resplit=false keeps one for all seeds)") from error

    rule = (test, val_fraction, split_seed, stratify, standardize, tokens, task, *(["features last"] * features_last))
    checksum = _checksum(inputs, targets, groups.codes if groups else np.empty(0), rule)
    known = {name: getattr(once, name) for name in ("train", "val", "test", "classes", "validates_on_test", "note")}
    return Dataset(**known, test_rows=once.test_rows, resplit=resplit, rows_checksum=checksum)


def _places(
    inputs: Any,
    labels: np.ndarray | None,
    *,
    test_fraction: float | None,
    val_fraction: float,
    seed: int,
    splitter: Splitter | None,
) -> Places:
    """The places of the rows to train, to validate and to test on.

    Args:
        inputs: Of all rows.
        labels: Their classes, whose shares each part keeps; None: they are split without regard to these.
        test_fraction: Share of the rows to test on; None: none are, as these are given.
        val_fraction: Share of the others to validate on; 0: none, as the test rows do that.
        seed: Of the shuffling.
        splitter: In place of shuffling; None: the rows are shuffled.

    Raises:
        UserError: a fraction leaves a part without rows, or without a row of each class.
    """
    kept = np.arange(len(inputs))
    test = val = kept[:0]
    if test_fraction is not None:
        where = f"data.test_fraction={test_fraction}"
        kept, test = _split_off(inputs, labels, kept, test_fraction, seed=seed, where=where, splitter=splitter)
    if val_fraction:
        where = f"data.val_fraction={val_fraction}"
        kept, val = _split_off(inputs, labels, kept, val_fraction, seed=seed, where=where, splitter=splitter)
    return kept, val, test


def _split_off(
    inputs: Any,
    labels: np.ndarray | None,
    places: np.ndarray,
    fraction: float,
    *,
    seed: int,
    where: str,
    splitter: Splitter | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split off a share of some rows with scikit-learn's `train_test_split`, or as a splitter does.

    Returns:
        The places of the remaining rows, and of those split off, both shuffled.
    """
    if not 0 < fraction < 1:
        raise UserError(f"{where}: expected a share in (0, 1)")
    if splitter is not None:
        parts = splitter(_rows(inputs, places), fraction)
        if not all(map(len, parts)):
            raise UserError(f"{where}: leaves a part without rows")
        return places[parts[0]], places[parts[1]]
    stratify = None if labels is None else labels[places]
    try:
        kept, taken = train_test_split(places, test_size=fraction, random_state=seed, stratify=stratify)
    except ValueError as error:
        hint = (
            "; data.stratify=false splits without regard to classes"
            if stratify is not None and "class" in str(error)
            else ""
        )
        raise UserError(f"{where}: {' '.join(str(error).split())}{hint}") from error
    return kept, taken


def _dataset(
    targets: np.ndarray,
    classes: int | None,
    tokens: bool,
    places: Places,
    inputs_at: Lookup,
    tested: Arrays | None,
    *,
    note: str,
    split_once: str = "",
) -> Dataset:
    """One split as a data set.

    Args:
        targets: Of all rows that are split.
        classes: Number of classes; None: numbers to fit.
        tokens: Whether inputs are whole numbers.
        places: Of the rows to train, to validate (none: the test rows do that) and to test on.
        inputs_at: From places to inputs.
        tested: Inputs and targets to test on, where these are given.
        note: See `assemble`, as for the last.
        split_once: Why there is no other split.
    """
    training, validating, testing = places
    rescale = np.asarray if classes is not None else fit_moments(targets[training])

    def to_split(inputs: np.ndarray, answers: np.ndarray) -> Split:
        kind = np.float32 if classes is None else np.int64
        return Split(_to_tensor(inputs, np.int64 if tokens else np.float32), _to_tensor(rescale(answers), kind))

    def split_at(some: np.ndarray) -> Split:
        return to_split(inputs_at(some), targets[some])

    train, test = split_at(training), to_split(*tested) if tested else split_at(testing)
    validates = len(validating) > 0
    val = split_at(validating) if validates else test
    rows = None if tested else torch.from_numpy(testing.astype(np.int64))
    return Dataset(
        train, val, test, classes, validates_on_test=not validates, note=note,
        test_rows=rows, split_once=split_once,  # type: ignore[arg-type]
    )  # fmt: skip


def _as_they_are(_: Any) -> Transform:
    return np.asarray


def _checksum(inputs: Any, targets: np.ndarray, groups: np.ndarray, rule: object) -> str:
    """SHA-256 over all rows and over how they are split and prepared, in hexadecimal."""
    digest = hashlib.sha256(repr(rule).encode())
    parts = [pd.util.hash_pandas_object(inputs, index=False).to_numpy()] if hasattr(inputs, "iloc") else [inputs]
    for part in (*parts, targets, groups):
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def fit_moments(values: np.ndarray, *, axis: int = 1) -> Transform:
    """Learn to standardize each column of a table, channel of images or feature of sequences by these rows' moments.

    The moments are computed in float64, but from a few rows at a time: a copy of all images would fill the memory.

    Args:
        values: Shape (rows, columns), (rows, channels, height, width) or (rows, steps, features).
        axis: The dimension of columns, channels or features.
    """
    axes = tuple(place for place in range(values.ndim) if place != axis % values.ndim)
    parts = np.array_split(values, 1 + len(values) // ROWS_AT_ONCE)
    count = values.size / values.shape[axis]
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
    if len(places) == len(inputs) and np.array_equal(places, np.arange(len(inputs))):
        return inputs  # all of them: images are large
    return inputs.iloc[places] if hasattr(inputs, "iloc") else inputs[places]


def _to_tensor(values: np.ndarray, kind: type[np.generic]) -> Tensor:
    return torch.from_numpy(np.require(values, kind, ["C", "W"]))


def _checked_targets(targets: np.ndarray, task: TaskName) -> np.ndarray:
    """Targets in the shape that is documented: classes as (rows,) or (rows, steps), numbers as (rows, outputs).

    Raises:
        UserError: classes that are not whole numbers, or are of another shape.
    """
    targets = np.asarray(targets)
    if task == "regression":
        return targets.reshape(len(targets), -1)
    if task == "sequence":
        if targets.ndim != 2 or targets.dtype.kind not in "iu":
            raise UserError(
                f"data: targets of type {targets.dtype} and shape {targets.shape} are no classes at each step, whole "
                "numbers in shape (rows, steps)"
            )
        return targets
    if targets.ndim != 1 or targets.dtype.kind not in "biu":
        raise UserError(
            f"data: targets of type {targets.dtype} and shape {targets.shape} are no classes, whole numbers from 0 in "
            "shape (rows,); number them, or fit them with task='regression'"
        )
    return targets
