"""A data set in memory, and how its rows are told apart.

One of your own is a file of arrays (`data=arrays data.path=mine.npz`), a table (`data=csv`), or a function:

    # mine.py, in the folder where you start initlab
    def rings(*, rows: int = 500):
        inputs, labels = ...  # arrays, a row each: (rows, features) or (rows, channels, …), and (rows,)
        return inputs, labels

    python -m initlab.train data=function data.call=mine.rings +data.rows=1000

Its keyword arguments are keys of the configuration, checked against their annotations before it is called. A function
that returns a `Dataset` decides about its splits itself; `initlab.data.assemble.assemble` makes one of arrays. With
`my_conf/data/rings.yaml` it has a name and a recipe of its own:

    # @package _global_
    defaults: [{/model: mlp}, {/optim: adam}, _self_]
    data: {name: rings, _target_: initlab.data.arrays.function, call: mine.rings, rows: 1000}
    batch_size: 32
    trainer: {max_epochs: 20}

    python -m initlab.train --config-dir my_conf data=rings

It must give the same rows whenever it is called with the same arguments. Arrays without rows to test on are split anew
for each seed; of a `Dataset` of your own that is done where it has `resplit`. Mistakes of the user are reported as a
`UserError` of one line.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from initlab.base.errors import UserError

TaskName = Literal["classification", "regression", "sequence"]

# In place of a class: nothing is asked for at this step of a sequence. torch's losses ignore the same number.
NO_TARGET: Final = -100


@dataclass(frozen=True)
class Split:
    """Rows for one use: training, validation or testing.

    Attributes:
        inputs: One sample a row, shape (rows, *input_shape): numbers, float32, or tokens, int64, for `nn.Embedding`.
        targets: Classes, shape (rows,), int64; a class at each step of a sequence, shape (rows, steps), int64, or
            `NO_TARGET` where none is asked for; or numbers to fit, shape (rows, outputs), float32.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Dataset:
    """Three splits of a problem of classes, of numbers, or of a class at each step; checked when it is made.

    Usually `initlab.data.assemble.assemble` makes it of arrays. With tensors at hand:

    Example:
        >>> rows = Split(torch.randn(60, 5), torch.arange(60) % 3)
        >>> data = Dataset(rows, rows, rows, classes=3, validates_on_test=True)
        >>> data.task, data.input_shape, data.outputs
        ('classification', (5,), 3)

    Attributes:
        train: The rows that networks are fitted to.
        val: The rows to watch while training, and to choose learning rates by.
        test: The rows that results are reported on.
        classes: Number of classes, if the targets are 0, …, classes - 1; None if they are numbers to fit.
        validates_on_test: Whether `val` is the same as `test`, as in classic tutorials.
        note: What a reader of the results must know besides, one line; it is printed before training.
        test_rows: The place of each test row among all rows, int64, shape (test rows,): so two splits of the same rows
            can be compared. Left out: 0, 1, …, as of official test rows.
        resplit: From the seed of a network to the data set that it learns from, whose splits have as many rows as
            those of any other seed, and rows of the same shape. None: the splits are the same for all seeds.
        split_once: Why there is no `resplit`, for the message where `data.resplit=true` asks for it.
        rows_checksum: With `resplit`, a hash of all rows before they are split and of how that is done; empty: that of
            the rows as they are here.
        sequential: Whether the first dimension of a sample is time: its steps have an order.
        vocabulary: How many kinds of tokens there are, 0, …, vocabulary - 1; None: the inputs are numbers, or nobody
            says which tokens there are.
    """

    train: Split
    val: Split
    test: Split
    classes: int | None
    validates_on_test: bool
    note: str = ""
    test_rows: Tensor = None  # type: ignore[assignment]  # never None once it is made
    resplit: "Callable[[int], Dataset] | None" = None
    split_once: str = "its function decides about the splits"
    rows_checksum: str = ""
    sequential: bool = False
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no network could be trained on.

        Raises:
            UserError: a split without rows, or with numbers that are not finite; tensors of another shape or type than
                documented; a single class; or a number to fit that is the same in all rows.
        """
        for name in ("train", "val", "test"):
            problem = self._problem(getattr(self, name))
            if problem:
                raise UserError(f"data: the {name} rows: {problem}")
        if self.test_rows is None:
            object.__setattr__(self, "test_rows", torch.arange(len(self.test)))
        if self.test_rows.dtype != torch.int64 or self.test_rows.shape != (len(self.test),):
            raise UserError(
                f"data: test_rows are {self.test_rows.dtype} of shape {tuple(self.test_rows.shape)}; expected a place, "
                f"int64, for each of the {len(self.test)} test rows"
            )

    def _problem(self, split: Split) -> str | None:
        inputs, targets = split.inputs, split.targets
        if len(inputs) == 0 or len(inputs) != len(targets):
            return f"{len(inputs)} inputs and {len(targets)} targets; expected as many, and at least one"
        kinds = (torch.float32, torch.int64)
        fits = inputs.dtype in kinds and inputs.dtype == self.train.inputs.dtype
        if not fits or inputs.dim() < 2 or inputs.shape[1:] != self.train.inputs.shape[1:]:
            like = self.train.inputs.dtype
            expected = str(like).removeprefix("torch.") if like in kinds else "float32, or int64 for tokens,"
            return (
                f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}; expected {expected} of shape "
                f"(rows, {', '.join(map(str, self.input_shape)) or '…'})"
            )
        if inputs.is_floating_point() and not all(map(torch.isfinite, inputs.aminmax())):
            return "an input is not a finite number"
        if self.vocabulary is not None and not 0 <= int(inputs.min()) <= int(inputs.max()) < self.vocabulary:
            found = f"from {int(inputs.min())} to {int(inputs.max())}"
            return f"tokens {found}; expected 0 to {self.vocabulary - 1}"
        if self.classes is not None and self.train.targets.dim() == 2:
            return _problem_of_steps(inputs, targets, self.classes)
        if self.classes is not None:
            return _problem_of_classes(targets, self.classes)
        return _problem_of_numbers(targets, like=self.train.targets)

    @property
    def task(self) -> TaskName:
        """`"classification"` if the targets are classes, `"sequence"` if they are one a step, or `"regression"`."""
        if self.classes is None:
            return "regression"
        return "classification" if self.train.targets.dim() == 1 else "sequence"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, e.g. (features,) or (channels, height, width)."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def outputs(self) -> int:
        """How many outputs a network needs: one logit for each class, or one number for each target."""
        return self.train.targets.shape[1] if self.classes is None else self.classes

    @property
    def baseline(self) -> float:
        """Score on the test rows of a prediction that ignores the inputs: the commonest training class, or the mean.

        It is an accuracy (of a sequence, that of its steps), or for numbers to fit an R², their mean over the targets.
        """
        return self._baseline_on(self.test)

    @property
    def validation_baseline(self) -> float:
        """The same on the validation rows, whose classes may be of other shares."""
        return self._baseline_on(self.val)

    def _baseline_on(self, split: Split) -> float:
        known, asked = self.train.targets, split.targets
        if self.classes is not None:
            right = (asked == self.class_counts.argmax()).double().reshape(len(asked), -1)
            return float((right.sum(1) / steps_asked(asked.reshape(right.shape))).mean())
        missed = (asked.double() - known.double().mean(0)).square().mean(0)
        return float((1 - missed / asked.double().var(0, correction=0)).mean())

    @property
    def class_counts(self) -> Tensor:
        """How often each class is asked for in the training rows, shape (classes,), int64.

        Raises:
            ValueError: the targets are numbers to fit.
        """
        if self.classes is None:
            raise ValueError("the targets are numbers, and no classes")
        known = self.train.targets
        return known[known != NO_TARGET].bincount(minlength=self.classes)

    def as_sequences(self, *, vocabulary: int | None = None) -> "Dataset":
        """The same data set, whose samples have steps in order; so have those of all other splits.

        Args:
            vocabulary: How many kinds of tokens there are; None: the inputs are numbers.
        """
        again = self.resplit
        return replace(
            self,
            sequential=True,
            vocabulary=vocabulary,
            resplit=None if again is None else lambda seed: again(seed).as_sequences(vocabulary=vocabulary),
        )

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over the inputs and targets of all rows, as they are trained on, in hexadecimal."""
        digest = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            digest.update(split.inputs.contiguous().numpy().tobytes())
            digest.update(split.targets.contiguous().numpy().tobytes())
        return digest.hexdigest()


def _problem_of_classes(targets: Tensor, classes: int) -> str | None:
    """What is wrong with targets that should be 0, …, classes - 1; None if nothing is."""
    if classes < 2:
        return "there is a single class; nothing can be learned"
    if targets.dtype != torch.int64 or targets.dim() != 1:
        return f"targets are {targets.dtype} of shape {tuple(targets.shape)}; expected classes, int64 of shape (rows,)"
    if int(targets.min()) < 0 or int(targets.max()) >= classes:
        return f"classes from {int(targets.min())} to {int(targets.max())}; expected 0 to {classes - 1}"
    return None


def _problem_of_steps(inputs: Tensor, targets: Tensor, classes: int) -> str | None:
    """What is wrong with targets that should be a class, or `NO_TARGET`, at each step; None if nothing is."""
    if targets.dtype != torch.int64 or targets.dim() != 2 or targets.shape != inputs.shape[:2]:
        return (
            f"targets are {targets.dtype} of shape {tuple(targets.shape)}; expected a class at each step, int64 of "
            f"shape {tuple(inputs.shape[:2])}"
        )
    asked = targets != NO_TARGET
    if not bool(asked.any(1).all()):
        return f"a row has no step with a target: all are {NO_TARGET}"
    return _problem_of_classes(targets[asked], classes)


def steps_asked(targets: Tensor) -> Tensor:
    """At how many steps of each row a class is asked for.

    Args:
        targets: Classes, or `NO_TARGET`, shape (…, steps).
    """
    return (targets != NO_TARGET).sum(-1)


def _problem_of_numbers(targets: Tensor, *, like: Tensor) -> str | None:
    """What is wrong with targets that should be as many numbers a row as others; None if nothing is."""
    if targets.dtype != torch.float32 or targets.dim() != 2 or targets.shape[1:] != like.shape[1:]:
        shape = tuple(targets.shape)
        return f"targets are {targets.dtype} of shape {shape}; expected numbers, float32 of shape (rows, outputs)"
    if not bool(targets.isfinite().all()):
        return "a target is not a finite number"
    if bool((targets == targets[0]).all(0).any()):
        return "a target is the same number in all rows; R² needs two different ones"
    return None


def data_directory(directory: str | None) -> Path:
    """The folder where data files are looked for and downloaded to.

    Args:
        directory: The key `data.dir`; None or empty: `~/.cache/initlab`.
    """
    return Path(directory).expanduser() if directory else Path("~/.cache/initlab").expanduser()
