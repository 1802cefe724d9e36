"""The adding problem: two numbers far apart in a sequence have to be remembered and added."""

import numpy as np

from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset
from initlab.data.limits import LEAST_ROWS, LEAST_STEPS, at_least


def adding(
    *,
    rows: int = 10_000,
    steps: int = 50,
    seed: int = 0,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
) -> Dataset:
    """Sequences of two numbers a step, a value and a mark: what is asked for is the sum of the two marked values.

    Values are uniform in [0, 1). One step in each half is marked by 1, all others by 0. The sum has a variance of 1/6,
    which is the mean squared error of always answering 1; like all numbers to fit it is rescaled to variance 1 here, so
    that this answer has a loss of 1 and an R² of 0.

    Args:
        rows: Sequences before they are split, at least 10.
        steps: Length of each, at least 2; of an odd length the second half is the longer one.
        seed: Seed of the sequences.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.

    Raises:
        UserError: a size out of range, or a fraction that leaves a part without rows.

    Source: Hochreiter & Schmidhuber 1997; in this form Le et al. 2015, arXiv:1504.00941, and Arjovsky et al. 2016,
    arXiv:1511.06464.
    """
    at_least(rows=(rows, LEAST_ROWS), steps=(steps, LEAST_STEPS), seed=(seed, 0))
    rng = np.random.default_rng(seed)
    values, marks = rng.uniform(size=(rows, steps)), np.zeros((rows, steps))
    half, each = steps // 2, np.arange(rows)
    marks[each, rng.integers(half, size=rows)] = 1
    marks[each, rng.integers(half, steps, size=rows)] = 1
    return assemble(
        (np.stack([values, marks], axis=2), (values * marks).sum(1)),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=False,
        standardize=False,
        task="regression",
        note="a loss of 1 is a mean squared error of 1/6 in the sum, what always answering its mean costs",
    ).as_sequences()
