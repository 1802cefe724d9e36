"""Which candidate of a study to use."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.analysis import Analysis
from initlab.results.baseline import learned_candidates
from initlab.results.candidates import WITHIN

TORCH = "torch_default"


@dataclass(frozen=True)
class Choice:
    """The candidate to use, and those that it was chosen among.

    Attributes:
        chosen: The candidate's row in `Analysis.candidates`.
        near: Names of the candidates that it was chosen among: the best of those that learned, and those that are
            equivalent to it, or about as good as far as it is decided.
        simple: Those of `near` that only fill weights, without looking at data or gradients.
        indifferent: Whether these are all that trained, so that it does not matter which is used.
    """

    chosen: pd.Series
    near: tuple[str, ...]
    simple: tuple[str, ...]
    indifferent: bool = False


def choose_candidate(analysis: Analysis, simple: Collection[str]) -> Choice | None:
    """Choose a candidate that is about as good as the best, simple, and easy to tune.

    Only those count that learned: the best is the first of them. Near it are those equivalent to it, and those of which
    it is undecided whose mean is within 1 % of its mean.
    Where all are near it, torch's own is kept, the simplest of all. Else the simple ones go first. Of these it is the
    one with the widest range of learning rates within 1 % of its best validation score; of equal ranges, the one with
    the best test score.

    Args:
        analysis: A study with one condition, as `analyse` returns it.
        simple: Names of candidates that only fill weights, without looking at data or gradients.

    Returns:
        The choice; None where no candidate does better than the luckiest untrained network, or clearly better than
        the baseline.
    """
    table = analysis.candidates
    if not (table["validation"] > _untrained_score(analysis)).any() or not any_learned(analysis):
        return None
    able = table[learned_candidates(analysis)]
    best = able.iloc[0]
    alike = able["test"] >= (1 - WITHIN) * able["test"].max()
    alike |= able["standing"] == "equivalent"
    near = able[(able["leading"] & alike) | (able["candidate"] == best["candidate"])]
    names = tuple(map(str, near["candidate"]))
    known = tuple(name for name in names if name in simple)
    among = near[near["candidate"].isin(known)] if known else near
    indifferent = len(near) == len(table) > 1 and not (table["standing"] == "undecided").any()
    own = near[near["candidate"] == TORCH]
    if indifferent and len(own):
        return Choice(own.iloc[0], names, known, indifferent)
    # The table stands in the order of test scores: of equal ranges the first.
    return Choice(among.iloc[int(np.argmax(among["decades"].fillna(0.0)))], names, known, indifferent)


def any_learned(analysis: Analysis) -> bool:
    """Whether any candidate of a study with one condition is clearly above the baseline, as far as that is known."""
    return bool(learned_candidates(analysis).any())


def _untrained_score(analysis: Analysis) -> float:
    """The highest validation score that any network of a study had before training; 0 if none is known."""
    history = analysis.study.history
    start = history[(history["split"] == "val") & (history["epoch"] == 0)]["score"].astype(float)
    return max(0.0, float(start.max())) if start.notna().any() else 0.0
