"""The score that a member is ranked and compared by."""

import pandas as pd

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
