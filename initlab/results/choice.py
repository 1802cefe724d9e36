"""Which candidate of a study to use."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.analysis import Analysis
from initlab.results.candidates import WITHIN


@dataclass(frozen=True)
class Choice:
    """A candidate, and why it.

    Attributes:
        chosen: Its row in `Analysis.candidates`.
        near: Names of the candidates that it was chosen among: the best, and those not shown to be worse whose mean
            test score is within 1 % of the best.
        simple: Those of them that only draw weights, without looking at data or gradients.
    """

    chosen: pd.Series
    near: tuple[str, ...]
    simple: tuple[str, ...]


def choose_candidate(analysis: Analysis, simple: Collection[str]) -> Choice | None:
    """Choose among those that are about as good as the best: a simple one, the easiest to tune.

    Among these, that with the widest range of learning rates within 1 % of its best validation score, then the best.

    Args:
        analysis: Of a study with one condition.
        simple: Names of candidates that need nothing but the weights.

    Returns:
        None where no candidate does better than the luckiest untrained network.
    """
    table = analysis.candidates
    if not (table["validation"] > untrained_score(analysis)).any():
        return None
    near = table[table["leading"] & (table["test"] >= (1 - WITHIN) * table["test"].max())]
    names = tuple(map(str, near["candidate"]))
    known = tuple(name for name in names if name in simple)
    among = near[near["candidate"].isin(known)] if known else near
    # The table stands in the order of test scores: of equal ranges the first.
    return Choice(among.iloc[int(np.argmax(among["decades"].fillna(0.0)))], names, known)


def untrained_score(analysis: Analysis) -> float:
    """The highest validation score that any network of a study had before training; 0 if none is known."""
    history = analysis.study.history
    start = history[(history["split"] == "val") & (history["epoch"] == 0)]["score"].astype(float)
    return max(0.0, float(start.max())) if start.notna().any() else 0.0
