"""How much each factor of a crossed study matters: shares of the variance of its scores."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from initlab.results.analysis import Analysis
from initlab.results.differences import RATE, label_of
from initlab.results.division import HIGHER, LEAST_SEEDS, SEED, TOTAL, Division, divide_variance
from initlab.results.scores import DIGITS, counted_scores

# Keys that have a word of their own.
NAMES = {
    "init": "initializer",
    RATE: "learning rate",
    "data": "data set",
    "activation": "activation",
    "model": "model",
    "optim": "optimizer",
    "loss": "loss",
    "scheduler": "schedule",
}
INITIALIZER = NAMES["init"]
SEPARATOR = " × "  # of factors that interact


@dataclass(frozen=True)
class VarianceShares:
    """What the differences between the test scores of some jobs come from.

    Attributes:
        data: The data set; empty where jobs on several are divided together, and the data set is one of the factors.
        metric: Of the scores, a name of `schema.METRICS`.
        factors: What was varied, by its name in words, each with the number of its values.
        sources: One row a source of variance, the greatest share first: source (in words), factors (how many: 1 for a
            factor by itself, 2 for the interaction of two, 3 for those of more together, 0 for the seed), share (of
            these rows together 1), low and high (its interval); takes_part, with _low and _high (of a factor: its
            share with all interactions in which it is).
        variance: What is divided, the variance of the score.
        seeds: How many seeds all jobs have; others do not count.
        combinations: How many combinations of values there are.
        filled: How many of them no job has, and were filled in.
    """

    data: str
    metric: str
    factors: dict[str, int]
    sources: pd.DataFrame
    variance: float
    seeds: int
    combinations: int
    filled: int


def variance_shares(analysis: Analysis, *, seed: int = 0) -> list[VarianceShares]:
    """Divide the variance of test scores among what was varied, on each data set, and on those of a metric together.

    Each value of a key is a category, numbers too. Keys of initializers that were not crossed with each other are one
    factor, the initializer; a key that follows from another is none by itself. Scores are `counted_scores`.

    Args:
        analysis: As `analyse` returns it.
        seed: Seed of the bootstrap; equal tables and seeds give equal numbers.

    Returns:
        For several data sets together first, then for each. Left out is what has fewer than two factors that were
        crossed, fewer than half of their combinations, fewer than two seeds that all jobs have, or equal scores.
    """
    found = []
    for metric in dict.fromkeys(metric for _, metric, _ in analysis.conditions):
        jobs = analysis.jobs[analysis.jobs["metric"] == metric]
        names = list(dict.fromkeys(data for data, kind, _ in analysis.conditions if kind == metric))
        for data in ["", *names] if len(names) > 1 else names:
            part = _shares(analysis, jobs[jobs["data"] == data] if data else jobs, data, metric, seed)
            found += [part] if part is not None else []
    return found


def _shares(analysis: Analysis, jobs: pd.DataFrame, data: str, metric: str, seed: int) -> VarianceShares | None:
    values = _factors(analysis, jobs)
    scores = _scores(analysis, jobs)
    if values.shape[1] < 2 or scores.shape[1] < LEAST_SEEDS:
        return None
    levels = np.column_stack([pd.factorize(values[name])[0] for name in values])
    distinct, of_job = np.unique(levels, axis=0, return_inverse=True)
    means = pd.DataFrame(scores).groupby(of_job).mean().to_numpy(np.float64)  # of jobs that differ in nothing counted
    rng = np.random.default_rng([seed, len(distinct)])
    found = divide_variance(means, distinct.astype(np.int64), rng=rng, level=analysis.level)
    if found is None:
        return None
    factors = {str(name): int(values[name].nunique()) for name in values}
    return VarianceShares(
        data=data,
        metric=metric,
        factors=factors,
        sources=_sources(found, list(factors)),
        variance=found.variance,
        seeds=scores.shape[1],
        combinations=len(distinct) + found.filled,
        filled=found.filled,
    )


def _scores(analysis: Analysis, jobs: pd.DataFrame) -> NDArray[np.float64]:
    """Test scores on the seeds that all jobs have, shape (jobs, seeds)."""
    members = analysis.study.members
    members = members[members["job"].isin(jobs.index)]
    counted = members.assign(score=counted_scores(members).round(DIGITS))
    table = counted.pivot_table(index="job", columns="seed", values="score", aggfunc="mean").loc[jobs.index]
    return table.dropna(axis="columns").to_numpy(np.float64)


def _factors(analysis: Analysis, jobs: pd.DataFrame) -> pd.DataFrame:
    """One row a job, one column a factor that varies among them, with its value as text."""
    axes, differing = analysis.axes, analysis.study.differing.loc[jobs.index].astype(str)
    found = pd.DataFrame({NAMES["data"]: jobs["data"]})
    compared = list(axes.compared)
    crossed = len(differing[compared].drop_duplicates()) == differing[compared].nunique().prod()
    if compared and not crossed and all(key.partition(".")[0] == "init" for key in compared):
        whole = analysis.study.differing
        found[INITIALIZER] = [label_of(whole[compared], str(job)) for job in jobs.index]
        compared = []
    for key in [*compared, *axes.conditions, *axes.tuned]:
        found[NAMES.get(key, key)] = differing[key]
    kept: list[str] = []
    for name in found:
        follows = any(_follows(found[name], found[other]) for other in kept)
        tells = [other for other in kept if _follows(found[other], found[name])]
        if found[name].nunique() > 1 and not follows:
            kept = [*(other for other in kept if other not in tells), str(name)]
    return found[kept]


def _follows(values: pd.Series, other: pd.Series) -> bool:
    """Whether a factor has one value for each value of another, and so says nothing that the other does not."""
    return bool((values.groupby(other).nunique() == 1).all())


def _sources(found: Division, factors: list[str]) -> pd.DataFrame:
    """The rows of `VarianceShares.sources`."""
    rows = []
    for source, (share, low, high) in found.shares.items():
        if isinstance(source, str) and source.startswith(TOTAL):
            continue
        if isinstance(source, tuple):
            words, count = SEPARATOR.join(factors[place] for place in source), len(source)
        else:
            words, count = {HIGHER: ("interactions of more", 3), SEED: ("seed", 0)}[source]
        row = {"source": words, "factors": count, "share": share, "low": low, "high": high}
        total = found.shares[f"{TOTAL}{source[0]}"] if count == 1 else np.full(3, np.nan)
        rows.append(row | dict(zip(("takes_part", "takes_part_low", "takes_part_high"), total, strict=True)))
    table = pd.DataFrame(rows)
    return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)
