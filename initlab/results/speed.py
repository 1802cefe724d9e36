"""How soon members learn: epochs to a threshold; members that never reach it are censored, not dropped."""

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from initlab.results.confidence import LEVEL

FloatArray = NDArray[np.float64]


def epochs_to_threshold(members: pd.DataFrame) -> FloatArray:
    """First epoch at which each member reached its threshold, infinite for one that never did; shape (members,)."""
    return members["epochs_to_threshold"].to_numpy(np.float64, na_value=np.inf)


def median_epochs(epochs: FloatArray, *, level: float = LEVEL) -> tuple[float, float, float]:
    """Median of epochs of which some are infinite, and its interval by order statistics.

    All members are watched equally long. So Kaplan and Meier's median is that of all members, where those that never
    reached the threshold come last.

    Args:
        epochs: One a member, shape (members,); infinite for a member that never reached the threshold.
        level: Coverage that is held, in (0, 1).

    Returns:
        The upper median, since half of the members need not have reached the threshold, and the interval's ends. Each
        is infinite where too many members never did; the ends are NaN where so few members give no interval.
    """
    ordered = np.sort(epochs)
    median = float(ordered[len(ordered) // 2])
    rank = _rank_of_ends(len(ordered), level)
    if rank < 1:
        return median, np.nan, np.nan
    return median, float(ordered[rank - 1]), float(ordered[len(ordered) - rank])


@cache
def _rank_of_ends(members: int, level: float) -> int:
    """The k of the k-th least and the k-th greatest that are the ends of a median's interval; 0: there is none.

    They leave out the median with probability 2 P(fewer than k of n coins show heads).
    """
    return int(stats.binom.ppf((1 - level) / 2, members, 0.5))


def share_reached(epochs: FloatArray, last: int) -> FloatArray:
    """Share of the members that have reached the threshold by each epoch, 0 to `last`; shape (last + 1,).

    Args:
        epochs: One a member, shape (members,); infinite for a member that never reached the threshold.
        last: The last epoch that was trained.
    """
    return np.asarray((epochs[:, None] <= np.arange(last + 1)).mean(0))
