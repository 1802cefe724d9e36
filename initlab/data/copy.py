"""The copying problem: the beginning of a sequence has to be said again at its end."""

import math

import numpy as np

from initlab.base.errors import UserError
from initlab.data.assemble import assemble
from initlab.data.dataset import NO_TARGET, Dataset
from initlab.data.limits import LEAST_ROWS, LEAST_STEPS, at_least


def copy(
    *,
    rows: int = 10_000,
    steps: int = 30,
    symbols: int = 10,
    kinds: int = 8,
    blanks: bool = False,
    seed: int = 0,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
) -> Dataset:
    """Sequences that begin with some symbols, followed by blanks and a sign upon which the symbols have to be repeated.

    Tokens 0, …, kinds - 1 are the symbols, `kinds` is the blank, and `kinds + 1` the sign. The symbols are drawn
    independently. The last `symbols` steps are blank, and ask for them in their order. In the paper, T is the number of
    steps between the symbols and their repetition: `steps` is T + 20 there.

    Without `blanks` nothing is asked for at other steps: the score is the share of symbols that were remembered. The
    paper asks for a blank at each of the others, and counts them. Then whoever remembers no symbol has a loss of
    symbols · ln(kinds) / steps at best, 10 · ln 8 / (T + 20) there, and most answers are right all the same.

    Args:
        rows: Sequences before they are split, at least 10.
        steps: Length of each in all, at least 2 · symbols + 1.
        symbols: How many there are to remember, at least 1.
        kinds: How many kinds of symbols there are, at least 2.
        blanks: Whether a blank is asked for at the steps before the answer, as one more class.
        seed: Seed of the sequences.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.

    Raises:
        UserError: a size out of range, or a fraction that leaves a part without rows.

    Source: Hochreiter & Schmidhuber 1997; in this form Arjovsky et al. 2016, arXiv:1511.06464.
    """
    at_least(rows=(rows, LEAST_ROWS), steps=(steps, LEAST_STEPS), symbols=(symbols, 1), kinds=(kinds, 2),
             seed=(seed, 0))  # fmt: skip
    if steps <= 2 * symbols:
        raise UserError(
            f"data.steps={steps}: expected at least {2 * symbols + 1}, for data.symbols={symbols}, the sign and the "
            "answer"
        )
    shown = np.random.default_rng(seed).integers(kinds, size=(rows, symbols))
    inputs = np.full((rows, steps), kinds)
    inputs[:, :symbols] = shown
    inputs[:, steps - symbols - 1] = kinds + 1
    targets = np.full((rows, steps), kinds if blanks else NO_TARGET)
    targets[:, steps - symbols :] = shown
    note = f"guessing a symbol costs ln {kinds} = {math.log(kinds):.4g}"
    if blanks:
        note = f"whoever remembers no symbol has a loss of {symbols * math.log(kinds) / steps:.4g} at best"
    return assemble(
        (inputs, targets),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=False,
        standardize=False,
        task="sequence",
        tokens=True,
        note=note,
    ).as_sequences(vocabulary=kinds + 2)
