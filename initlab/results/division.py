"""The variance of crossed scores, divided among the factors, their interactions and the seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from initlab.results.confidence import LEVEL
from initlab.results.intervals import expanded_level

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Factors = tuple[int, ...]  # places of factors, ascending: one is a factor by itself, two are their interaction

RESAMPLES = 1_999
MOST_RESAMPLED = 4_000_000  # scores in memory at a time
LEAST_SEEDS = 2  # one does not tell what is the seed's from what is an interaction's
LEAST_FOR_INTERVALS = 5  # seeds
LEAST_CROSSED = 0.5  # of the combinations: with fewer, most of the table would be made up
ROUNDS = 500  # of filling, after which what is still moving is far below any share that is shown
STILL = 1e-10
NOTHING = 1e-15  # a variance that is rounding alone


HIGHER, SEED, TOTAL, WHOLE = "higher", "seed", "total of ", "whole"
Parts = dict[Factors | str, FloatArray]


@dataclass(frozen=True)
class Division:
    """Shares of a variance.

    Attributes:
        variance: What is divided: that of the score, over all combinations, each alike, and seeds.
        shares: Share with the lower and upper end of its interval, shape (3,), by its source: `(0,)` for a factor by
            itself, `(0, 1)` for the interaction of two, `HIGHER` for all interactions of more, `SEED` for what differs
            between seeds at one combination: these add up to 1. And by `TOTAL` with a factor's place, what the
            factor has part in, by itself or in any interaction. A share by itself may come out a little
            below 0: that is the price of being right on average.
        filled: How many combinations were not observed, and were filled in.
    """

    variance: float
    shares: Mapping[Factors | str, FloatArray]
    filled: int = 0


def divide_variance(scores: FloatArray, levels: IntArray, *, rng: Generator, level: float = LEVEL) -> Division | None:
    """Divide the variance of scores among the factors that were varied, their interactions, and the seed.

    What is divided is the variance over the combinations that were chosen, each counting alike, and over all seeds: the
    variance components are those of a finite population (Gelman 2005), the same sums as functional ANOVA has on
    a grid (Hutter et al. 2014). Values of a factor are chosen, not drawn, so that there is no larger population
    of initializers that a random-effects component could speak of; and these components add up to the whole.

    The squares of observed effects hold noise of the seeds, too. Each is therefore estimated by products of effects
    at *different* seeds, which is right on average whatever the law of the scores, however they differ in spread,
    and though all combinations share their seeds. Where all have one independent variance, this is ω² (Hays 1963).

    Combinations that were not observed are filled by least squares, from the factors by themselves and, as far as the
    others tell them, the interactions of two (Yates 1933; Healy & Westmacott 1956). Intervals bootstrap the seeds with
    everything that happened on them; they know nothing of what the filled ones would have scored.

    Example:
        >>> import numpy as np
        >>> from initlab.results.division import divide_variance
        >>> scores = np.array([[0.1, 0.1], [0.1, 0.1], [0.7, 0.7], [0.9, 0.9]])
        >>> levels = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> found = divide_variance(scores, levels, rng=np.random.default_rng(0))
        >>> {source: round(float(share[0]), 3) for source, share in found.shares.items()}
        {(0,): 0.961, (1,): 0.02, (0, 1): 0.02, 'total of 0': 0.98, 'total of 1': 0.039, 'seed': 0.0}

    Args:
        scores: One a combination and seed, shape (combinations, seeds), at least 2 seeds; a column is one seed.
        levels: Which value each factor has, counted from 0, shape (combinations, factors); no combination twice.
        rng: Draws the resamples; an equal state gives equal intervals.
        level: Coverage that is aimed at, in (0, 1).

    Returns:
        The shares, whose intervals are NaN with fewer than 5 seeds; None where there is no variance to divide, or
        fewer than half of the combinations were observed.

    Raises:
        ValueError: fewer than 2 seeds, or a score that is not finite.

    Source: Gelman 2005, Annals of Statistics 33(1), section 3; Hutter, Hoos & Leyton-Brown 2014, ICML; Homma & Saltelli
        1996 for the totals.
    """
    if scores.shape[1] < LEAST_SEEDS or not np.isfinite(scores).all():
        raise ValueError("dividing a variance takes at least 2 seeds, and finite scores")
    sizes = tuple(int(size) for size in levels.max(0) + 1)
    whole = int(np.prod(sizes))
    if len(scores) < LEAST_CROSSED * whole:
        return None
    observed = scores - scores.mean()  # so that squares of means do not drown what is left of them
    table = fill(observed, levels, sizes)
    parts = _estimated(table, observed)
    variance = parts.pop(WHOLE)[0]
    if variance <= NOTHING:
        return None
    shares = {source: np.array([part[0] / variance, np.nan, np.nan]) for source, part in parts.items()}
    seeds = scores.shape[1]
    if seeds >= LEAST_FOR_INTERVALS:
        drawn = _resampled(table, observed, rng)
        variances = np.maximum(drawn.pop(WHOLE), NOTHING)
        raised = expanded_level(seeds, level)
        for source, part in drawn.items():
            ends = np.quantile(part / variances, [(1 - raised) / 2, (1 + raised) / 2])
            shares[source][1:] = np.clip(ends, 0.0, 1.0)
    return Division(float(variance), shares, whole - len(scores))


def fill(scores: FloatArray, levels: IntArray, sizes: tuple[int, ...]) -> FloatArray:
    """Scores as a table of all combinations, in which those that are not there are filled by least squares.

    Every seed is filled by itself and in the same way, so that what is filled is a sum of what was observed with fixed
    weights.

    Args:
        scores: One a combination and seed, shape (combinations, seeds).
        levels: Which value each factor has, counted from 0, shape (combinations, factors).
        sizes: How many values each factor has.

    Returns:
        Shape (seeds, *sizes).
    """
    table = np.full((scores.shape[1], *sizes), np.nan)
    table[(slice(None), *levels.T)] = scores.T
    absent = np.isnan(table)
    if not absent.any():
        return table
    table = np.where(absent, scores.mean(0).reshape(-1, *[1] * len(sizes)), table)
    for most in (1, 2):  # interactions go on from where there are none: those that nothing tells stay none
        for _ in range(ROUNDS):
            before = table
            table = np.where(absent, _fitted(table, most), table)
            if np.abs(table - before).max() <= STILL:
                break
    return table


def _fitted(table: FloatArray, most: int) -> FloatArray:
    """The sum of a table's effects of up to so many factors."""
    factors = table.ndim - 1
    fitted = np.zeros_like(table)
    for places in _subsets(factors):
        if len(places) <= most:
            # How often the mean over the others counts, when effects are written out as differences of such means.
            beyond = factors - len(places)
            weight = sum((-1) ** k * comb(beyond, k) for k in range(most - len(places) + 1))
            fitted += weight * _mean_over_others(table, places)
    return fitted


def _subsets(factors: int, most: int = 2) -> list[Factors]:
    return [places for count in range(min(most, factors) + 1) for places in combinations(range(factors), count)]


def _mean_over_others(table: FloatArray, places: Factors) -> FloatArray:
    """Means over all factors but some, with the others' dimensions of length 1; the first dimension stays."""
    others = tuple(axis for axis in range(1, table.ndim) if axis - 1 not in places)
    return table.mean(axis=others, keepdims=True) if others else table


def _squares(tables: FloatArray) -> dict[Factors, FloatArray]:
    """Mean squares of the means over some factors, of which variance components are sums and differences.

    Args:
        tables: Shape (tables, *sizes).

    Returns:
        By the factors that are left, shape (tables,): up to two, all but one, and all.
    """
    everything = tuple(range(tables.ndim - 1))
    but_one = combinations(everything, len(everything) - 1)
    flat = tuple(range(1, tables.ndim))
    return {
        places: (_mean_over_others(tables, places) ** 2).mean(axis=flat)
        for places in dict.fromkeys([*_subsets(len(everything)), *but_one, everything])
    }


def _noise(of_seed: FloatArray, of_mean: FloatArray, seeds: int) -> FloatArray:
    """How much the noise of the seeds adds to a square of a mean over them.

    Args:
        of_seed: Mean of the squares of single seeds.
        of_mean: Square of the mean over seeds.
        seeds: How many there are.
    """
    return (of_seed - of_mean) / (seeds - 1)


def _estimated(table: FloatArray, observed: FloatArray) -> Parts:
    """Variance components without the noise of the seeds, shape (1,) each.

    Args:
        table: Scores of all combinations, shape (seeds, *sizes).
        observed: Scores of those that were observed, shape (combinations, seeds).
    """
    of_seed, of_mean = _squares(table), _squares(table.mean(0, keepdims=True))
    squares = {key: square - _noise(of_seed[key].mean(), square, len(table)) for key, square in of_mean.items()}
    return _parts(squares, observed.var(1, ddof=1).mean(keepdims=True), table.ndim - 1)


def _resampled(table: FloatArray, observed: FloatArray, rng: Generator) -> Parts:
    """Variance components of bootstrapped seeds, shape (resamples,) each.

    A resample has noise twice: that of the seeds, and that of drawing them. Both are taken off, so that resamples lie
    around what `_estimated` says.
    """
    seeds, ratio = len(table), len(table) / (len(table) - 1)
    of_seed, of_mean = _squares(table), _squares(table.mean(0, keepdims=True))
    shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
    flat, observed_squares = table.reshape(seeds, -1), (observed**2).mean(0)
    found = []
    for part in np.array_split(shares, -(-RESAMPLES * flat.shape[1] // MOST_RESAMPLED)):
        squares = _squares((part @ flat).reshape(-1, *table.shape[1:]))
        for key, square in squares.items():
            of_seeds = _noise(of_seed[key].mean(), of_mean[key], seeds) / ratio
            squares[key] = square - _noise(part @ of_seed[key], square, seeds) * ratio - of_seeds
        within = part @ observed_squares - ((part @ observed.T) ** 2).mean(1)
        found.append(_parts(squares, within * ratio**2, table.ndim - 1))
    return {source: np.concatenate([parts[source] for parts in found]) for source in found[0]}


def _parts(squares: dict[Factors, FloatArray], within: FloatArray, factors: int) -> Parts:
    """Variance components: what belongs to some factors together is what their means say beyond those of fewer."""
    everything = tuple(range(factors))
    parts: Parts = {}
    for places in _subsets(factors)[1:]:
        smaller = [parts[one] for count in range(1, len(places)) for one in combinations(places, count)]
        parts[places] = squares[places] - squares[()] - sum(smaller)
    of_factors = squares[everything] - squares[()]
    if factors > 2:
        parts[HIGHER] = of_factors - sum(parts.values())
    for place in everything:
        rest = tuple(other for other in everything if other != place)
        parts[f"{TOTAL}{place}"] = squares[everything] - squares[rest]
    return {**parts, SEED: within, WHOLE: of_factors + within}
