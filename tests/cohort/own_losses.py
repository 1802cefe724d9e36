"""Losses as users write them."""

import torch.nn.functional as F
from torch import Tensor


def mean_of_batch(outputs: Tensor, targets: Tensor) -> Tensor:
    """A mean that is no sum over rows: it looks at all outputs at once."""
    return F.cross_entropy(outputs, targets) + outputs.mean(0).square().sum()


def branching(outputs: Tensor, targets: Tensor) -> Tensor:
    """A mean that vmap cannot trace."""
    return F.cross_entropy(outputs, targets) * (2 if bool(outputs.mean() > 0) else 1)


def of_outputs(outputs: Tensor, targets: Tensor) -> Tensor:
    """One loss for each output, which is none for each row."""
    return (outputs - F.one_hot(targets, outputs.shape[1])).square().mean(0)
