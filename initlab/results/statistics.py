"""Statistics over seeds."""

from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import bootstrap
from scipy.stats import t as student_t

RESAMPLES = 9_999


def bootstrap_interval(scores: NDArray[np.float64], *, level: float = 0.95, rng: Generator) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds.

    Args:
        scores: One score a seed, shape (seeds,), e.g. test accuracy in [0, 1].
        level: Coverage, in (0, 1).
        rng: The only randomness; an equal state gives an equal interval.

    Returns:
        Lower and upper end, in the unit of `scores`.

    Raises:
        ValueError: fewer than 2 seeds, or one that is not finite.

    Source: Efron & Tibshirani 1993, ch. 13.
    """
    if len(scores) < 2:
        raise ValueError("an interval over seeds needs at least 2")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: leave diverged members out and count them")
    if np.ptp(scores) == 0:
        return float(scores[0]), float(scores[0])
    interval = bootstrap(
        (scores,), np.mean, n_resamples=RESAMPLES, confidence_level=level, method="percentile", rng=rng
    ).confidence_interval
    return float(interval.low), float(interval.high)


def mean_and_interval(scores: NDArray[np.float64], *, rng: Generator) -> tuple[float, float, float]:
    """Mean of the finite scores and its 95 % bootstrap interval; NaN for what too few seeds leave open."""
    finite = scores[np.isfinite(scores)]
    if len(finite) == 0:
        return np.nan, np.nan, np.nan
    if len(finite) == 1:
        return float(finite[0]), np.nan, np.nan
    return float(finite.mean()), *bootstrap_interval(finite, rng=rng)


def mean_bands(scores: NDArray[np.float64], *, rng: Generator, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Mean and 95 % percentile-bootstrap band of curves, over the members that are finite at each epoch.

    Args:
        scores: Shape (members, epochs); NaN where a member has diverged.
        rng: The only randomness; members are resampled whole.
        resamples: 0: no band, which then is NaN.

    Returns:
        Mean, lower and upper end, shape (3, epochs); NaN where no member is left.
    """
    members = len(scores)
    finite = np.isfinite(scores)
    filled = np.where(finite, scores, 0.0)
    # Row 0 counts every member once: the mean itself. The others draw members with replacement.
    counts = np.ones((1, members))
    if members > 1 and resamples:
        counts = np.concatenate([counts, rng.multinomial(members, np.full(members, 1 / members), size=resamples)])
    with np.errstate(invalid="ignore"):
        means = (counts @ filled) / (counts @ finite)
    band = np.full((3, scores.shape[1]), np.nan)
    band[0] = means[0]
    some = finite.any(0)
    if len(counts) > 1 and some.any():
        band[1:, some] = np.nanpercentile(means[1:, some], [2.5, 97.5], axis=0)
    return band


def student_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of the finite values and its 95 % interval by Student's t: quick enough for each epoch of a live log.

    The summary, the figures and the report have bootstrap intervals, which do not assume that values are normal.

    Args:
        values: One a member, shape (members,); those that are not finite are left out.

    Returns:
        Mean, lower and upper end: all the same for a single finite value, NaN for none. The ends may lie where no
        value can, below a loss of 0, say.
    """
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return np.nan, np.nan, np.nan
    mean = float(finite.mean())
    if len(finite) == 1:
        return mean, mean, mean
    with np.errstate(over="ignore"):  # of squares, shortly before a member diverges
        half = float(finite.std(ddof=1)) / len(finite) ** 0.5 * _quantile(len(finite) - 1)
    return mean, mean - half, mean + half


@cache
def _quantile(freedom: int) -> float:
    return float(student_t.ppf(0.975, freedom))
