"""The score that a member is ranked and compared by."""

import pandas as pd

DIGITS = 12  # of scores that count: what differs behind them differs by rounding only


def counted_scores(members: pd.DataFrame, column: str = "test_score") -> pd.Series:
    """Scores in which a member that diverged counts as 0, and a negative R² does, too.

    So that a scheme is not compared by its few survivors, and that it is not worse to have survived.

    Args:
        members: With the columns of `schema.MEMBERS`.
        column: test_score or val_score.
    """
    scores = members[column].astype(float).where(members["status"] == "finished")
    return scores.fillna(0.0).clip(lower=0.0)
