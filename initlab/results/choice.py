"""Which candidate of a study to use."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.analysis import Analysis
from initlab.results.candidates import WITHIN


@dataclass(frozen=True)
class Choice:
    """The candidate to use, and those that it was chosen among.

    Attributes:
        chosen: The candidate's row in `Analysis.candidates`.
        near: Names of the candidates that it was chosen among: the best, and those not shown to be worse whose mean
            test score is within 1 % of the best.
        simple: Those of `near` that only draw weights, without looking at data or gradients.
    """

    chosen: pd.Series
    near: tuple[str, ...]
    simple: tuple[str, ...]


def choose_candidate(analysis: Analysis, simple: Collection[str]) -> Choice | None:
    """Choose a candidate that is about as good as the best, simple, and easy to tune.

    Of the candidates near the best, the simple ones go first. Of these it is the one with the widest range of learning
    rates within 1 % of its best validation score; of equal ranges, the one with the best test score.

    Args:
        analysis: A study with one condition, as `analyse` returns it.
        simple: Names of candidates that only draw weights, without looking at data or gradients.

    Returns:
        The choice; None where no candidate does better than the luckiest untrained network.
    """
    table = analysis.candidates
    if not (table["validation"] > _untrained_score(analysis)).any():
        return None
    near = table[table["leading"] & (table["test"] >= (1 - WITHIN) * table["test"].max())]
    names = tuple(map(str, near["candidate"]))
    known = tuple(name for name in names if name in simple)
    among = near[near["candidate"].isin(known)] if known else near
    # The table stands in the order of test scores: of equal ranges the first.
    return Choice(among.iloc[int(np.argmax(among["decades"].fillna(0.0)))], names, known)


def _untrained_score(analysis: Analysis) -> float:
    """The highest validation score that any network of a study had before training; 0 if none is known."""
    history = analysis.study.history
    start = history[(history["split"] == "val") & (history["epoch"] == 0)]["score"].astype(float)
    return max(0.0, float(start.max())) if start.notna().any() else 0.0
