"""A data set in memory, and how its rows are told apart.

One of your own is a function that returns a `Dataset`. Its keyword arguments are the keys of its configuration,
checked against their annotations before it is called; `initlab.data.assemble.assemble` does the rest:

    # mine.py, in the folder where you start initlab
    from initlab.data.assemble import assemble
    from initlab.data.dataset import Dataset

    def rings(*, rows: int = 500, test_fraction: float = 0.2, val_fraction: float = 0.2) -> Dataset:
        inputs, labels = ...  # arrays, a row each: (rows, features) or (rows, channels, height, width), and (rows,)
        return assemble(
            (inputs, labels), test_fraction, val_fraction=val_fraction, split_seed=0, stratify=True, standardize=True
        )

    # my_conf/data/rings.yaml, with the recipe that every data set brings
    # @package _global_
    defaults: [{/model: mlp}, {/optim: adam}, _self_]
    data: {name: rings, _target_: mine.rings, rows: 1000}
    batch_size: 32
    trainer: {max_epochs: 20}

    python -m initlab.train --config-dir my_conf data=rings

It must give the same rows whenever it is called with the same arguments: members are compared on equal rows. What the
user can mend it raises as `UserError`.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from initlab.base.errors import UserError

TaskName = Literal["classification", "regression"]


@dataclass(frozen=True)
class Split:
    """Rows for one use.

    Attributes:
        inputs: Shape (rows, *input_shape), float32.
        targets: Classes, shape (rows,), int64; or numbers, shape (rows, outputs), float32.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Dataset:
    """Three splits of a classification or regression problem.

    Attributes:
        train: Rows to fit on.
        val: Rows to watch and choose on; the test rows themselves where `validates_on_test`.
        test: Rows to report on.
        classes: Number of classes, where targets are 0, …, classes - 1; None where they are numbers.
        validates_on_test: Whether val is test, as in classic scripts.
        note: What a reader of the results must know besides, one line; it is printed before training.
    """

    train: Split
    val: Split
    test: Split
    classes: int | None
    validates_on_test: bool
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what no network could be trained on.

        Raises:
            UserError: rows that are absent, not finite, of another shape or type than documented; a single class;
                or targets among which there is nothing to tell apart.
        """
        for name in ("train", "val", "test"):
            problem = self._problem(getattr(self, name))
            if problem:
                raise UserError(f"data: the {name} rows: {problem}")

    def _problem(self, split: Split) -> str | None:
        inputs, targets = split.inputs, split.targets
        if len(inputs) == 0 or len(inputs) != len(targets):
            return f"{len(inputs)} inputs and {len(targets)} targets; expected as many, and at least one"
        if inputs.dtype != torch.float32 or inputs.dim() < 2 or inputs.shape[1:] != self.train.inputs.shape[1:]:
            return (
                f"inputs are {inputs.dtype} of shape {tuple(inputs.shape)}; expected float32 of shape "
                f"(rows, {', '.join(map(str, self.input_shape)) or '…'})"
            )
        if not all(map(torch.isfinite, inputs.aminmax())):
            return "an input is not a finite number"
        if self.classes is not None:
            return _problem_of_classes(targets, self.classes)
        return _problem_of_numbers(targets, like=self.train.targets)

    @property
    def task(self) -> TaskName:
        """Whether targets are classes or numbers."""
        return "regression" if self.classes is None else "classification"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def outputs(self) -> int:
        """How many numbers a network must give at least: one logit a class, or one output a target."""
        return self.train.targets.shape[1] if self.classes is None else self.classes

    @property
    def baseline(self) -> float:
        """Score on the test rows of who knows the training targets alone: their commonest class, or their mean."""
        known, asked = self.train.targets, self.test.targets
        if self.classes is not None:
            majority = known.bincount(minlength=self.classes).argmax()
            return float((asked == majority).double().mean())
        missed = (asked.double() - known.double().mean(0)).square().mean(0)
        return float((1 - missed / asked.double().var(0, correction=0)).mean())

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over all rows as they are trained on."""
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


def _problem_of_numbers(targets: Tensor, *, like: Tensor) -> str | None:
    """What is wrong with targets that should be numbers, as many a row as others; None if nothing is."""
    if targets.dtype != torch.float32 or targets.dim() != 2 or targets.shape[1:] != like.shape[1:]:
        shape = tuple(targets.shape)
        return f"targets are {targets.dtype} of shape {shape}; expected numbers, float32 of shape (rows, outputs)"
    if not bool(targets.isfinite().all()):
        return "a target is not a finite number"
    if bool((targets == targets[0]).all(0).any()):
        return "a target is the same number in all rows; R² needs two different ones"
    return None


def data_directory(directory: str | None) -> Path:
    """Where data files are looked for and downloaded to: what is configured, else the user's cache."""
    return Path(directory).expanduser() if directory else Path("~/.cache/initlab").expanduser()
