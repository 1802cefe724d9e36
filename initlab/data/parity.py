"""Parity: whether the ones of a sequence are odd in number, which every single step decides."""

import numpy as np

from initlab.base.errors import UserError
from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset
from initlab.data.limits import LEAST_ROWS, LEAST_STEPS, at_least

MOST_CODED = 62  # steps that are drawn as one whole number


def parity(
    *,
    rows: int = 4000,
    steps: int = 16,
    every_step: bool = True,
    tokens: bool = False,
    seed: int = 0,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
) -> Dataset:
    """Sequences of zeros and ones: class 1 where the number of ones up to there is odd, and 0 where it is even.

    No two sequences are the same: who knows the training rows by heart knows nothing of the others.

    Args:
        rows: Sequences before they are split, at least 10 and at most 2^steps.
        steps: Length of each, at least 2.
        every_step: Whether the parity so far is asked for at each step, or only that of the whole, which is much
            harder to learn: no part of a sequence tells anything of it.
        tokens: Whether steps are the tokens 0 and 1, shape (rows, steps), or the numbers -1 and 1, (rows, steps, 1).
        seed: Seed of the sequences.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.

    Raises:
        UserError: a size out of range, or a fraction that leaves a part without rows.
    """
    at_least(rows=(rows, LEAST_ROWS), steps=(steps, LEAST_STEPS), seed=(seed, 0))
    coded = min(steps, MOST_CODED)
    if rows > 2**coded:
        raise UserError(
            f"data.rows={rows}: there are {2**coded} sequences of data.steps={steps}; expected at most so many"
        )
    rng = np.random.default_rng(seed)
    codes = rng.choice(2**coded, size=rows, replace=False)
    ones = np.hstack([codes[:, None] >> np.arange(coded) & 1, rng.integers(2, size=(rows, steps - coded))])
    odd = ones.cumsum(1) % 2
    return assemble(
        (ones if tokens else 2.0 * ones[..., None] - 1, odd if every_step else odd[:, -1]),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=False,
        standardize=False,
        task="sequence" if every_step else "classification",
        tokens=tokens,
    ).as_sequences(vocabulary=2 if tokens else None)
