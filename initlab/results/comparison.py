"""How far apart two candidates are, in words that need no unit: how often one wins, and by how many deviations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from initlab.results.confidence import LEVEL

FloatArray = NDArray[np.float64]


def superiority(differences: FloatArray, *, level: float = LEVEL) -> tuple[float, float, float]:
    """Probability that A beats B on a seed, an equal score counting half, and its interval (Wilson 1927).

    Args:
        differences: A's score less B's on each seed, shape (seeds,), at least one.
        level: Coverage that is aimed at, in (0, 1).

    Returns:
        The share of seeds on which A is better, lower and upper end of the interval, all in [0, 1].
    """
    seeds = len(differences)
    share = float((differences > 0).mean() + (differences == 0).mean() / 2)
    z2 = stats.norm.ppf((1 + level) / 2) ** 2
    # Equal scores make the share vary less than a coin's, so that the interval is rather too wide with them.
    middle = (share + z2 / (2 * seeds)) / (1 + z2 / seeds)
    half = np.sqrt(z2 * (share * (1 - share) / seeds + z2 / (4 * seeds**2))) / (1 + z2 / seeds)
    return share, max(0.0, float(middle - half)), min(1.0, float(middle + half))


def effect_size(a: FloatArray, b: FloatArray) -> float:
    """Difference of the means in standard deviations over seeds: Cohen's d, by the root mean square of both.

    Infinite where neither varies but they differ; 0 where they are equal; NaN for different scores of a single seed.

    Args:
        a: A's scores, one a seed, shape (seeds,).
        b: B's scores, likewise.
    """
    spread = np.hypot(spread_over_seeds(a), spread_over_seeds(b)) / np.sqrt(2) if len(a) > 1 else np.nan
    difference = float(a.mean() - b.mean())
    if difference == 0:
        return 0.0
    return difference / float(spread) if spread != 0 else float(np.copysign(np.inf, difference))


def spread_over_seeds(scores: FloatArray) -> float:
    """Standard deviation over at least 2 seeds; exactly 0 where all scores are equal, which rounding would hide."""
    with np.errstate(over="ignore"):  # R² may be anything
        return float(scores.std(ddof=1)) if np.ptp(scores) > 0 else 0.0


def count_pairs(count: int) -> int:
    """How many pairs so many candidates make."""
    return count * (count - 1) // 2


def all_pairs(count: int) -> Sequence[tuple[int, int]]:
    """Every pair of places below `count`, the earlier place first."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]
