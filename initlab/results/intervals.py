"""Intervals: how far from the truth a number over some seeds may be."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import special, stats

from initlab.results.confidence import LEVEL

FloatArray = NDArray[np.float64]

RESAMPLES = 9_999
DRAWN_OF_BAND = 4_000_000  # numbers that the bands of a candidate's curves may take, which would be seconds
FEWEST_OF_BAND = 999
MOST_RESAMPLED = 1_000_000  # scores in memory at a time
LEAST_EQUAL = 5  # seeds: that fewer score the same, says nothing of how far others may be off
STUDENT_BELOW = 10  # seeds: fewer do not show their law's shape, and Student's interval of the mean covers better
SPLIT_OFF = 0.25  # of each end, by the interquartile mean


def interquartile_mean(scores: NDArray[Any], axis: int = -1) -> Any:
    """Mean of the middle half of the scores (Agarwal et al. 2021, arXiv:2108.13264)."""
    return stats.trim_mean(scores, SPLIT_OFF, axis=axis)


STATISTICS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"mean": np.mean, "median": np.median, "iqm": interquartile_mean}
)


def bootstrap_interval(
    scores: FloatArray, statistic: Literal["mean", "median", "iqm"] = "mean", *, level: float = LEVEL, rng: Generator
) -> tuple[float, float]:
    """Bootstrap interval over seeds: BCa of mean and interquartile mean, percentile of the median.

    A bootstrap of few values is too narrow: it divides the sum of squares by n, not n - 1, and for the mean Student's t
    is wider than the normal law, too. The level is raised to make up for that (Hesterberg 2015, section 5.3), so that
    for the mean of a normal sample it becomes Student's interval. Below 10 seeds the mean has Student's interval
    itself; median and interquartile mean have none below `least_seeds`. For a skewed law (test accuracies near 1,
    say) 95 % intervals of 10 seeds cover some 93 % of the time; where some seeds fail outright, less.

    Example:
        >>> import numpy as np
        >>> from initlab.results.intervals import bootstrap_interval
        >>> accuracies = np.array([0.91, 0.93, 0.92, 0.94, 0.90])
        >>> low, high = bootstrap_interval(accuracies, rng=np.random.default_rng(0))
        >>> f"{accuracies.mean():.3f} [{low:.3f}, {high:.3f}]"
        '0.920 [0.900, 0.940]'

    Args:
        scores: One score a seed, shape (seeds,), e.g. test accuracy in [0, 1].
        statistic: What the interval is of: `mean`, `median`, or `iqm`, the interquartile mean.
        level: Coverage that is aimed at, in (0, 1).
        rng: Draws the resamples; an equal state gives an equal interval.

    Returns:
        Lower and upper end, in the unit of `scores`; NaN where so few seeds give none.

    Raises:
        ValueError: fewer than 2 seeds, or one that is not finite.

    Source: Efron & Tibshirani 1993, ch. 13 and 14; Hesterberg 2015, arXiv:1411.5279.
    """
    low, high = bootstrap_intervals(scores[None], statistic, level=level, rng=rng)[:, 0]
    return float(low), float(high)


def bootstrap_intervals(
    scores: FloatArray, statistic: Literal["mean", "median", "iqm"] = "mean", *, level: float = LEVEL, rng: Generator
) -> FloatArray:
    """`bootstrap_interval` of many samples with the same resamples.

    Args:
        scores: A row for each sample, a score a seed in it, shape (samples, seeds).
        statistic: What the intervals are of: `mean`, `median`, or `iqm`, the interquartile mean.
        level: Coverage that is aimed at, in (0, 1).
        rng: Draws the resamples; an equal state gives equal intervals.

    Returns:
        Lower and upper ends, shape (2, samples); NaN where so few seeds give none.

    Raises:
        ValueError: fewer than 2 seeds, or a score that is not finite.
    """
    samples, seeds = scores.shape
    if seeds < 2:
        raise ValueError("an interval over seeds needs at least 2")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite: leave diverged members out and count them")
    constant = np.ptp(scores, axis=1) == 0
    ends = np.full((2, samples), np.nan)
    if seeds >= LEAST_EQUAL:
        ends[:, constant] = scores[constant, 0]
    varying = scores[~constant]
    if not len(varying) or seeds < least_seeds(statistic, level):
        return ends
    if statistic == "mean" and seeds < STUDENT_BELOW:
        errors = np.std(varying, axis=1, ddof=1) / np.sqrt(seeds)
        ends[:, ~constant] = student_quantiles(seeds, level)[:, None] * errors + varying.mean(1)
        return ends
    raised = level if statistic == "median" else expanded_level(seeds, level, student=statistic == "mean")
    with warnings.catch_warnings():
        # BCa has nothing to correct by where leaving out any one seed changes nothing: its ends are NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.bootstrap(
            (varying,),
            STATISTICS[statistic],
            axis=-1,
            n_resamples=RESAMPLES,
            batch=max(1, MOST_RESAMPLED // varying.size),
            confidence_level=raised,
            method="percentile" if statistic == "median" else "BCa",
            rng=rng,
        )
    percentiles = np.quantile(found.bootstrap_distribution, [(1 - raised) / 2, (1 + raised) / 2], axis=-1)
    corrected = np.stack(found.confidence_interval)
    ends[:, ~constant] = np.where(np.isnan(corrected), percentiles, corrected)
    return ends


@cache
def student_quantiles(seeds: int, level: float) -> FloatArray:
    """Lower and upper end of Student's interval of the mean of so many seeds, in standard errors, shape (2,)."""
    return np.array(stats.t.interval(level, seeds - 1))


@cache
def least_seeds(statistic: Literal["mean", "median", "iqm"], level: float = LEVEL) -> int:
    """How many seeds an interval takes: 2 of the mean; at 95 %, 6 of the median and 8 of the interquartile mean.

    From the least to the greatest of n values the median is held with probability 1 − 2·½ⁿ, so that of few not even
    that is an interval. The interquartile mean rests on the middle half, and takes two more to cover about as often.

    Args:
        statistic: What the interval is of.
        level: Coverage that is aimed at, in (0, 1).
    """
    if statistic == "mean":
        return 2
    of_median = max(2, int(np.ceil(1 - np.log2(1 - level))))
    return of_median if statistic == "median" else of_median + 2


@cache
def expanded_level(seeds: int, level: float = LEVEL, *, student: bool = True) -> float:
    """The level at which a bootstrap over so many seeds is as wide as if it divided by n - 1.

    Args:
        seeds: Number of seeds, at least 2.
        level: Coverage of the interval that is wanted, in (0, 1).
        student: Whether it shall be as wide as by Student's t, which is right for the mean, or by the normal law.

    Returns:
        A level above `level`, in (0, 1).
    """
    law = stats.t(seeds - 1) if student else stats.norm()
    quantile = law.ppf((1 + level) / 2) * np.sqrt(seeds / (seeds - 1))
    return float(1 - 2 * stats.norm.sf(quantile))


def mean_and_interval(
    scores: FloatArray,
    *,
    rng: Generator,
    limits: tuple[float, float] = (-np.inf, np.inf),
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """Mean of the finite scores and its interval; NaN for what too few seeds leave open.

    Args:
        scores: One a seed, shape (seeds,); those that are not finite are left out.
        rng: Draws the resamples; an equal state gives an equal interval.
        limits: The least and the greatest that a score can be; the interval ends there.
        level: Coverage that is aimed at, in (0, 1).

    Returns:
        Mean, lower and upper end.
    """
    finite = scores[np.isfinite(scores)]
    if len(finite) == 0:
        return np.nan, np.nan, np.nan
    if len(finite) == 1:
        return float(finite[0]), np.nan, np.nan
    low, high = np.clip(bootstrap_interval(finite, level=level, rng=rng), *limits)
    return float(finite.mean()), float(low), float(high)


def mean_bands(scores: FloatArray, *, rng: Generator, resamples: int = RESAMPLES, level: float = LEVEL) -> FloatArray:
    """Mean and band of curves, over the members that are finite at each epoch.

    Bootstrapped percentiles at the raised level of `bootstrap_interval`; below 10 members, Student's interval.

    Args:
        scores: One curve a member, shape (members, epochs); NaN where it has diverged.
        rng: Draws the resamples; a member is drawn with its whole curve.
        resamples: How many to draw, of more than 400 members fewer; 0: no band, whose ends then are NaN.
        level: Coverage that is aimed at, in (0, 1).

    Returns:
        Mean, lower and upper end, shape (3, epochs); NaN where no member is left.
    """
    members = len(scores)
    finite = np.isfinite(scores)
    filled = np.where(finite, scores, 0.0)
    left = finite.sum(0)
    band = np.full((3, scores.shape[1]), np.nan)
    band[0, left > 0] = filled.sum(0)[left > 0] / left[left > 0]
    if not resamples or not (left > 1).any():
        return band
    for count in np.unique(left[(left > 1) & (left < STUDENT_BELOW)]):
        epochs = left == count
        deviations = np.where(finite, scores - band[0], 0.0)[:, epochs]
        half = stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt((deviations**2).sum(0) / (count - 1) / count)
        band[1:, epochs] = band[0, epochs] - half, band[0, epochs] + half
    many = np.unique(left[left >= STUDENT_BELOW])
    if len(many):
        resamples = min(resamples, max(FEWEST_OF_BAND, DRAWN_OF_BAND // members))
        with np.errstate(invalid="ignore"):
            means = np.concatenate(
                [
                    (counts @ filled) / (members if finite.all() else counts @ finite.astype(np.float64))
                    for counts in _times_drawn(members, resamples, rng)
                ]
            )
        for count in many:
            raised = expanded_level(int(count), level)
            ends = [(1 - raised) / 2, (1 + raised) / 2]
            band[1:, left == count] = np.nanquantile(means[:, left == count], ends, axis=0)
    return band


def _times_drawn(members: int, resamples: int, rng: Generator) -> Iterator[FloatArray]:
    """How often each member is drawn in each of some resamples, of so many at a time that they stay in the cache.

    A multinomial draw of all of them takes three times as long.

    Yields:
        Shape (some resamples, members), as floats: of integers and truths numpy takes products one by one.
    """
    together = max(1, 2**17 // members)
    for first in range(0, resamples, together):
        rows = min(together, resamples - first)
        drawn = rng.integers(members, size=(rows, members)) + members * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def student_interval(values: FloatArray) -> tuple[float, float, float]:
    """Mean of the finite values and its 95 % interval by Student's t: quick enough for each epoch of a live log.

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
        half = float(finite.std(ddof=1)) / len(finite) ** 0.5 * _student_quantile(len(finite) - 1)
    return mean, mean - half, mean + half


@cache
def _student_quantile(freedom: int) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def share_and_interval(happened: int, trials: int, *, level: float = LEVEL) -> tuple[float, float, float]:
    """A share and its interval, which covers at least that often (Clopper & Pearson 1934).

    Args:
        happened: In how many of the trials it happened, 0 to `trials`.
        trials: How many there were, at least 1.
        level: Coverage that is held, in (0, 1).

    Returns:
        The share, lower and upper end, all in [0, 1].
    """
    missed, beyond = trials - happened, (1 - level) / 2
    low = special.betaincinv(happened, missed + 1, beyond) if happened else 0.0
    high = special.betaincinv(happened + 1, missed, 1 - beyond) if missed else 1.0
    return happened / trials, float(low), float(high)
