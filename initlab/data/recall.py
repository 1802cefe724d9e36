"""Associative recall: what stood beside a word has to be said where the word comes again."""

import numpy as np

from initlab.base.errors import UserError
from initlab.data.assemble import assemble
from initlab.data.dataset import NO_TARGET, Dataset
from initlab.data.limits import LEAST_ROWS, LEAST_STEPS, at_least


def recall(
    *,
    rows: int = 10_000,
    steps: int = 16,
    pairs: int = 4,
    kinds: int = 16,
    seed: int = 0,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
) -> Dataset:
    """Sequences that begin with pairs of a key and its value; each key then comes again and asks for its value.

    Tokens 0, …, kinds - 1 are the values, the next `kinds` are the keys, and 2 · kinds is a blank. The keys of a
    sequence are different, its values are drawn independently. Behind the pairs every key comes once, at a step of its
    own among the remaining ones, all as likely; steps between are blank. Only there something is asked for. Who knows
    nothing is right in one of `kinds` cases.

    The paper draws queries near the pairs more often, and fills the steps between with other words.

    Args:
        rows: Sequences before they are split, at least 10.
        steps: Length of each in all, at least 3 · pairs.
        pairs: How many there are to remember, at least 1.
        kinds: How many kinds of keys there are, and how many kinds of values: at least 2, and as many as pairs.
        seed: Seed of the sequences.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.

    Raises:
        UserError: a size out of range, or a fraction that leaves a part without rows.

    Source: Arora et al. 2023, arXiv:2312.04927, section 3 (multi-query associative recall).
    """
    at_least(rows=(rows, LEAST_ROWS), steps=(steps, LEAST_STEPS), pairs=(pairs, 1), kinds=(kinds, 2), seed=(seed, 0))
    if kinds < pairs:
        raise UserError(f"data.kinds={kinds}: expected at least data.pairs={pairs}, as the keys of a row are different")
    if steps < 3 * pairs:
        raise UserError(
            f"data.steps={steps}: expected at least {3 * pairs}: data.pairs={pairs} of two, and their queries"
        )
    rng = np.random.default_rng(seed)
    keys = kinds + _some_of(kinds, pairs, rows=rows, rng=rng)
    values = rng.integers(kinds, size=(rows, pairs))
    shown = 2 * pairs
    inputs, targets = np.full((rows, steps), 2 * kinds), np.full((rows, steps), NO_TARGET)
    inputs[:, 0:shown:2], inputs[:, 1:shown:2] = keys, values
    places = shown + _some_of(steps - shown, pairs, rows=rows, rng=rng)
    np.put_along_axis(inputs, places, keys, axis=1)
    np.put_along_axis(targets, places, values, axis=1)
    return assemble(
        (inputs, targets),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=False,
        standardize=False,
        task="sequence",
        tokens=True,
    ).as_sequences(vocabulary=2 * kinds + 1)


def _some_of(many: int, some: int, *, rows: int, rng: np.random.Generator) -> np.ndarray:
    """In each row some different numbers of 0, …, many - 1, in random order, shape (rows, some)."""
    return rng.random((rows, many)).argsort(axis=1)[:, :some]
