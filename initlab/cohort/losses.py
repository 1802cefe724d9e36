"""Losses, one number a row."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row, shape (rows,), from logits (rows, classes) and targets (rows,).

    The rows go last, as if they were pixels: a softmax over a short last dimension is several times slower on a CPU.
    """
    return F.cross_entropy(logits.t().unsqueeze(0), targets.unsqueeze(0), reduction="none").squeeze(0)
