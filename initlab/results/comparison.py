"""Paired comparison: is A better than B, by how much, and how sure is that?"""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from initlab.results.confidence import LEVEL, significance

FloatArray = NDArray[np.float64]

MOST_EXACT = 16  # pairs, of which all sign flips are gone through
SAMPLED = (9_999, 99_999)  # sign flips above that, at least and at most: more for more comparisons, at 95 %
MOST_SAMPLED = 999_999  # at whatever level
AT_ONCE = 20_000_000  # sums in memory
ROUNDING = 1e-9  # of sums, relative: what differs by less is equal


def sign_flip_p(differences: FloatArray, *, rng: Generator, level: float = LEVEL) -> FloatArray:
    """Two-sided p of the paired permutation test: under the null each difference may as well have the other sign.

    With up to 16 seeds all sign flips are gone through, so that p is exact. With more seeds flips are drawn at random:
    the more comparisons there are to correct for, and the higher the level, the more flips.

    Example:
        >>> import numpy as np
        >>> from initlab.results.comparison import sign_flip_p
        >>> differences = np.array([[0.02, 0.01, 0.03, 0.02, 0.01, 0.02], [0.02, -0.01, 0.03, -0.02, 0.01, 0.02]])
        >>> sign_flip_p(differences, rng=np.random.default_rng(0))
        array([0.03125, 0.4375 ])

    Args:
        differences: A's score less B's on each seed, shape (comparisons, seeds).
        rng: Draws the flips with more than 16 seeds; else it is not used.
        level: Confidence level that p shall be fine enough for, in (0, 1).

    Returns:
        p in (0, 1], shape (comparisons,); never below `least_p`.

    Source: Fisher 1935, section 21; Phipson & Smyth 2010 for the sampled test.
    """
    comparisons, seeds = differences.shape
    exact = seeds <= MOST_EXACT
    if exact:  # a flip and its opposite have the same absolute sum: half of them say all
        signs = np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=seeds - 1)])
    else:
        signs = rng.choice((1.0, -1.0), (_flips(comparisons, level), seeds))
    p = np.empty(comparisons)
    chunk = max(1, AT_ONCE // len(signs))
    for start in range(0, comparisons, chunk):
        part = differences[start : start + chunk]
        observed = np.abs(part.sum(1)) - ROUNDING * np.abs(part).sum(1)
        as_large = (np.abs(signs @ part.T) >= observed).sum(0)
        p[start : start + chunk] = as_large / len(signs) if exact else (1 + as_large) / (1 + len(signs))
    return p


def least_p(seeds: int, comparisons: int, *, level: float = LEVEL) -> float:
    """The least p that `sign_flip_p` can give with so many seeds, among so many comparisons, at a level."""
    exact = 2.0 ** (1 - seeds)
    return exact if seeds <= MOST_EXACT else max(exact, 1 / (1 + _flips(comparisons, level)))


def _flips(comparisons: int, level: float) -> int:
    least, most = SAMPLED
    finer = max(1.0, significance(LEVEL) / significance(level))
    return int(min(MOST_SAMPLED, finer * most, max(least, finer * 100 * comparisons)))


def holm(p: FloatArray) -> FloatArray:
    """Correct p values for their number, so that any true null is rejected at level α with probability at most α.

    Example:
        >>> import numpy as np
        >>> from initlab.results.comparison import holm
        >>> holm(np.array([0.01, 0.04, 0.03]))
        array([0.03, 0.06, 0.06])

    Args:
        p: One a comparison, shape (comparisons,), in any order.

    Returns:
        Corrected p values in the same order, at most 1.

    Source: Holm 1979.
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def seeds_needed(comparisons: int, *, level: float = LEVEL) -> int | None:
    """The least number of seeds with which the clearest of so many Holm-corrected comparisons can be significant.

    Args:
        comparisons: How many there are to correct for.
        level: Confidence level of the tests, in (0, 1).

    Returns:
        The number; None where none suffices, since above 16 seeds p is sampled, which ends at `least_p`.
    """
    several = max(comparisons, 1)
    seeds = int(np.floor(2 + np.log2(several / significance(level))))
    return seeds if several * least_p(seeds, several, level=level) < significance(level) else None


def superiority(differences: FloatArray, *, level: float = LEVEL) -> tuple[float, float, float]:
    """Probability that A beats B on a seed, a tie counting half, and its interval (Wilson 1927).

    Args:
        differences: A's score less B's on each seed, shape (seeds,), at least one.
        level: Coverage that is aimed at, in (0, 1).

    Returns:
        The share of seeds on which A is better, lower and upper end of the interval, all in [0, 1].
    """
    seeds = len(differences)
    share = float((differences > 0).mean() + (differences == 0).mean() / 2)
    z2 = stats.norm.ppf((1 + level) / 2) ** 2
    # Ties make the share vary less than a coin's, so that the interval is rather too wide with them.
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
