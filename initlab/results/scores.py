"""The score that a member is ranked and compared by."""

from dataclasses import replace

import numpy as np
import pandas as pd

from initlab.results.crossed import RowScores

DIGITS = 12  # of scores that count: what differs behind them differs by rounding only


def counted_scores(members: pd.DataFrame, column: str = "test_score") -> pd.Series:
    """Scores in which a member that diverged counts as 0, and a negative R² does, too.

    The first, so that a scheme is not compared by its few survivors; the second, so that a member that diverged does
    not count more than one that survived.

    Args:
        members: A members table, with the columns of `schema.MEMBERS`.
        column: Which score: `test_score` or `val_score`.

    Returns:
        One a member, in [0, 1], with the index of `members`.
    """
    scores = members[column].astype(float).where(members["status"] == "finished")
    return scores.fillna(0.0).clip(lower=0.0)


def counted_rows(known: RowScores, members: pd.DataFrame) -> RowScores:
    """The same by row: of a member that counts as 0 each row does, so that the means are `counted_scores`.

    Args:
        known: By row and seed; it stays as it is.
        members: The members table of the job, by seed, with a column `counted`.
    """
    counted = members["counted"].reindex(known.seeds).to_numpy(np.float64)
    zero = ~(counted > 0)
    return replace(known, scores=np.where(zero[:, None], 0.0, known.scores))
