"""Weights for comparing a network with its formula, and sequences to learn from."""

import numpy as np
import torch
from torch import nn

from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset

Arrays = tuple["np.ndarray[tuple[int, ...], np.dtype[np.float32]]", "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]


def walks(rows: int = 60, steps: int = 6) -> Arrays:
    """Sequences of two numbers a step, and where the sum of the first ones ends."""
    moves = np.random.default_rng(0).standard_normal((rows, steps, 2)).astype(np.float32)
    return moves, moves[:, :, 0].sum(1)


def echoes(rows: int = 60, steps: int = 5) -> Dataset:
    """Sequences of three kinds of tokens; each is asked for a step later, where before the second none is."""
    tokens = torch.from_numpy(np.random.default_rng(0).integers(3, size=(rows, steps)))
    targets = torch.cat([torch.full((rows, 1), -100), tokens[:, :-1]], 1)
    data = assemble(
        (tokens.numpy(), targets.numpy()),
        0.2,
        val_fraction=0.2,
        split_seed=0,
        stratify=False,
        standardize=False,
        task="sequence",
        tokens=True,
    )
    return data.as_sequences(vocabulary=3)


def scramble(model: nn.Module) -> None:
    """Give every parameter, and every running statistic, numbers that no default has."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in [*model.parameters(), *(v for k, v in model.named_buffers() if "running" in k)]:
            fan_in = max(1, value[0].numel())
            value.copy_((torch.rand(value.shape, generator=generator) + 0.2) * (2 / fan_in) ** 0.5)
            if value.dim() > 1:
                value.sub_(value.mean())
