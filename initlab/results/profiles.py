"""Performance profiles: on which share of seeds, or of data sets, a candidate is how near the best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from initlab.results.analysis import Analysis, Condition
from initlab.results.intervals import share_and_interval
from initlab.results.scores import DIGITS, counted_scores
from initlab.results.speed import epochs_to_threshold

FloatArray = NDArray[np.float64]
Gaps = Callable[[FloatArray], FloatArray]

RESAMPLES = 999
# Distances at which shares are told, beside the figure.
NEAR = (0.0, 0.01, 0.05, 0.1)
SOON = (1.0, 1.5, 2.0, 4.0)
POINTS = 101  # of a band, beside the steps of the lines
LEAST_SEEDS = 2  # that the candidates share: of one there is no share
LEAST_DATA_SETS = 2
FIRST_EPOCH = 1.0  # what is there before training counts as reached after one epoch, as no factor of 0 can be told


@dataclass(frozen=True)
class Profile:
    """How near the best some candidates are, and how often.

    Attributes:
        title: The condition; empty where data sets are the samples.
        samples: How many seeds or data sets there are; shares are of these.
        of_data_sets: Whether data sets are the samples, else seeds of one condition.
        names: Of the candidates, shape (candidates,).
        within: Distances from the best, ascending from the best's own, shape (distances,): all at which a share
            changes, and over data sets others between them, at which bands do.
        shares: Share of the samples on which a candidate is so near the best, shape (candidates, distances).
        low: Lower end of its band, likewise.
        high: Upper end of its band, likewise.
    """

    title: str
    samples: int
    of_data_sets: bool
    names: tuple[str, ...]
    within: FloatArray
    shares: FloatArray
    low: FloatArray
    high: FloatArray

    def at(self, distance: float) -> FloatArray:
        """Share, lower and upper end at a distance, shape (3, candidates)."""
        place = int(np.searchsorted(self.within, distance * (1 + 1e-9), side="right")) - 1
        return np.stack([self.shares[:, place], self.low[:, place], self.high[:, place]])


def score_profiles(analysis: Analysis, *, seed: int = 0) -> list[Profile]:
    """How often each candidate's test score is within how much of the best candidate's.

    Where several data sets have the same candidates, data sets are the samples: a candidate's score on one is its
    mean over seeds, and several settings of a data set share its weight. Else each condition has a profile by itself,
    whose samples are the seeds that all its candidates have. Scores are `counted_scores`, so that what diverged is
    as far from the best as can be. Distances are differences: scores lie between 0 and 1 on every data set.

    Bands are pointwise: over seeds Clopper and Pearson's, which have a width where 10 of 10 are near; over data sets
    percentiles of a bootstrap that draws the seeds of every job anew, as one condition is no sample of conditions.

    Args:
        analysis: As `analyse` returns it.
        seed: Seed of the bootstrap; equal tables and seeds give equal bands.

    Returns:
        A profile over data sets, or one a condition; conditions with a single candidate, or with fewer than two seeds
        that all of them have, have none.

    Source: Dolan & Moré 2002, Mathematical Programming 91; Agarwal et al. 2021, arXiv:2108.13264, for the bands.
    """
    return _profiles(analysis, _score_table, _distances, np.mean, NEAR, seed)


def time_profiles(analysis: Analysis, *, seed: int = 0) -> list[Profile]:
    """How often each candidate reaches the threshold within how many times the epochs of the fastest.

    As `score_profiles`, but for what is measured: a candidate's time on a data set is the median of its epochs, and a
    distance is a factor, 1 for the fastest itself. What never reaches the threshold is within no factor; where no
    candidate does, none is near.

    Args:
        analysis: As `analyse` returns it.
        seed: Seed of the bootstrap; equal tables and seeds give equal bands.

    Source: Dolan & Moré 2002; Dahl et al. 2023, arXiv:2306.07179.
    """
    return _profiles(analysis, _epoch_table, _factors, _upper_median, SOON, seed)


def _profiles(
    analysis: Analysis,
    table_of: Callable[[Analysis, Condition], pd.DataFrame],
    gaps: Gaps,
    middle: Callable[..., FloatArray],
    told: Sequence[float],
    seed: int,
) -> list[Profile]:
    tables = {condition: table_of(analysis, condition) for condition in analysis.conditions}
    common = list(analysis.ranked)
    data_sets = len({data for data, _, _ in tables})
    if len(common) > 1 and data_sets >= LEAST_DATA_SETS:
        parts = {condition: table.loc[common] for condition, table in tables.items()}
        rng = np.random.default_rng(seed)
        found = [_over_data_sets(parts, gaps, middle, told, rng, analysis.level)]
    else:
        shared = {condition: table.dropna(axis="columns") for condition, table in tables.items()}
        found = [
            _over_seeds(analysis.title(condition), table, gaps, analysis.level)
            for condition, table in shared.items()
            if len(table) > 1 and table.shape[1] >= LEAST_SEEDS
        ]
    return [profile for profile in found if len(profile.within)]


def _over_seeds(title: str, table: pd.DataFrame, gaps: Gaps, level: float) -> Profile:
    distances = gaps(table.to_numpy(np.float64))
    within = _steps(distances)
    counts = (distances[:, :, None] <= within).sum(1)
    seeds = table.shape[1]
    found = np.array([share_and_interval(count, seeds, level=level) for count in range(seeds + 1)])[counts]
    names = tuple(map(str, table.index))
    return Profile(title, seeds, False, names, within, found[..., 0], found[..., 1], found[..., 2])


def _over_data_sets(
    parts: dict[Condition, pd.DataFrame],
    gaps: Gaps,
    middle: Callable[..., FloatArray],
    told: Sequence[float],
    rng: Generator,
    level: float,
) -> Profile:
    names = tuple(map(str, next(iter(parts.values())).index))
    data = pd.Series([data for data, _, _ in parts])
    weights = (1.0 / data.map(data.value_counts()) / data.nunique()).to_numpy(np.float64)
    observed, drawn = [], []
    for table in parts.values():
        of_candidate = [row[~np.isnan(row)] for row in table.to_numpy(np.float64)]
        observed.append(gaps(np.array([[middle(values)] for values in of_candidate]))[:, 0])
        places = _resampled(table.to_numpy(np.float64), rng)
        drawn.append(gaps(np.stack([middle(values, axis=1) for values in places])))
    within = _places(np.array(observed), np.array(drawn), told)
    lines = []
    for place in range(len(names)):
        share, resampled = np.zeros(len(within)), np.zeros((RESAMPLES, len(within)))
        for weight, own, several in zip(weights, observed, drawn, strict=True):
            share += weight * (own[place] <= within)
            resampled += weight * (several[place][:, None] <= within)
        lines.append([share, *np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)])
    shares, low, high = np.moveaxis(np.clip(np.array(lines), 0.0, 1.0), 1, 0)  # weights may add up to a hair above 1
    return Profile("", int(data.nunique()), True, names, within, shares, low, high)


def _places(observed: FloatArray, drawn: FloatArray, told: Sequence[float]) -> FloatArray:
    """Distances at which to tell lines and bands, ascending; bands change between the steps of the lines, too.

    None where no candidate was anywhere near: nothing reached the threshold.
    """
    steps = _steps(observed)
    if not len(steps):
        return steps
    resampled = drawn[np.isfinite(drawn)]
    last = max(resampled.max(initial=steps[-1]), steps[-1])
    even = steps[0] + (last - steps[0]) * np.linspace(0, 1, POINTS) ** 2  # finer near the best
    likely = np.quantile(resampled, np.linspace(0, 1, POINTS)) if len(resampled) else steps
    return _steps(np.concatenate([steps, even, likely, [mark for mark in told if steps[0] <= mark <= last]]))


def _resampled(table: FloatArray, rng: Generator) -> list[FloatArray]:
    """Bootstrapped scores of each candidate, shape (resamples, seeds) each: candidates of equal seeds draw the same."""
    found, drawn = [], {}
    for row in table:
        known = np.flatnonzero(~np.isnan(row))
        key = tuple(known)
        if key not in drawn:
            drawn[key] = known[rng.integers(0, len(known), (RESAMPLES, len(known)))]
        found.append(row[drawn[key]])
    return found


def _steps(distances: FloatArray) -> FloatArray:
    """Finite distances at which a share changes, and the best's own, ascending."""
    return np.unique(distances[np.isfinite(distances)].round(DIGITS))


def _distances(scores: FloatArray) -> FloatArray:
    """How far below the best each score is, of scores with shape (candidates, samples)."""
    return np.asarray((scores.max(0) - scores).round(DIGITS))


def _factors(epochs: FloatArray) -> FloatArray:
    """How many times the fastest's epochs each has, of epochs with shape (candidates, samples)."""
    least = np.maximum(epochs, FIRST_EPOCH)
    fastest = least.min(0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(np.isfinite(least), least / fastest, np.inf).round(DIGITS))


def _upper_median(epochs: FloatArray, axis: int = -1) -> FloatArray:
    """Median of epochs, of which some may be infinite: of an even number the greater of the middle two."""
    return np.asarray(np.take(np.sort(epochs, axis=axis), epochs.shape[axis] // 2, axis=axis))


def _score_table(analysis: Analysis, condition: Condition) -> pd.DataFrame:
    return _table(analysis, condition, lambda members: counted_scores(members).round(DIGITS).to_numpy(np.float64))


def _epoch_table(analysis: Analysis, condition: Condition) -> pd.DataFrame:
    return _table(analysis, condition, epochs_to_threshold)


def _table(analysis: Analysis, condition: Condition, values: Callable[[pd.DataFrame], FloatArray]) -> pd.DataFrame:
    """Values by candidate and seed; NaN where a candidate does not have a seed."""
    rows = {}
    for candidate, job in analysis.candidates_under(condition)[["candidate", "job"]].to_numpy():
        members = analysis.by_job[str(job)]
        rows[str(candidate)] = pd.Series(values(members), index=members["seed"].to_numpy())
    return pd.DataFrame(rows).T
