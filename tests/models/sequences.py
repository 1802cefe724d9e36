"""Small data sets of sequences, for networks that read steps."""

import torch
from torch import Tensor

from initlab.data.dataset import Dataset, Split

KINDS = 7


def tokens(*, steps: int = 6, rows: int = 64) -> Dataset:
    """At each step of seven kinds of tokens, the one before."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, KINDS, (3, rows, steps), generator=generator)
    return _dataset(inputs, inputs.roll(1, -1), KINDS).as_sequences(vocabulary=KINDS)


def vectors(*, steps: int = 6, rows: int = 64) -> Dataset:
    """Of steps of three numbers each, whether the first step's first is positive."""
    inputs = torch.randn(3, rows, steps, 3, generator=torch.Generator().manual_seed(0))
    return _dataset(inputs, (inputs[..., 0, 0] > 0).long(), 2).as_sequences()


def _dataset(inputs: Tensor, targets: Tensor, classes: int) -> Dataset:
    train, val, test = (Split(*pair) for pair in zip(inputs, targets, strict=True))
    return Dataset(train, val, test, classes=classes, validates_on_test=False)
