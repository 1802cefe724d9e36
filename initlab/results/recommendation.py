"""Which candidate of a study to use."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.analysis import Analysis


@dataclass(frozen=True)
class Recommendation:
    """A candidate, and why it.

    Attributes:
        chosen: Its row in `Analysis.candidates`.
        leading: Names of all candidates that are best, or were not shown to be worse than the best; it is one.
        simple: Those of them that only draw weights, without looking at data or gradients.
    """

    chosen: pd.Series
    leading: tuple[str, ...]
    simple: tuple[str, ...]


def choose_candidate(analysis: Analysis, simple: Collection[str]) -> Recommendation | None:
    """Choose among those that were not shown to be worse than the best: a simple one, the easiest to tune.

    Among these, that with the widest range of learning rates within 1 % of its best validation score, then the best.

    Args:
        analysis: Of a study with one condition.
        simple: Names of candidates that need nothing but the weights.

    Returns:
        None where no network learned anything.
    """
    table = analysis.candidates
    learned = table[table["leading"] & (table["test"] > 0)]
    if learned.empty:
        return None
    names = tuple(map(str, learned["candidate"]))
    known = tuple(name for name in names if name in simple)
    among = learned[learned["candidate"].isin(known)] if known else learned
    width = among["decades"].fillna(0.0).to_numpy(np.float64)
    # The table stands in the order of test scores: of equal ranges the first.
    return Recommendation(among.iloc[int(np.argmax(width.round(6)))], names, known)
