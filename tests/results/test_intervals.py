"""Intervals against their definition, and against what they promise."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from initlab.results import intervals
from initlab.results.intervals import (
    bootstrap_interval,
    bootstrap_intervals,
    expanded_level,
    interquartile_mean,
    mean_and_interval,
    mean_bands,
    share_and_interval,
)

Statistic = Literal["mean", "median", "iqm"]
Draw = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return rng.normal(size=shape)


def accuracy(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Test accuracies as they are: of 100 rows, with a tail towards the bad."""
    return rng.binomial(100, rng.beta(30, 2, size=shape)) / 100


DRAWS: dict[str, tuple[Draw, dict[Statistic, float]]] = {
    "normal": (normal, {"mean": 0.0, "median": 0.0, "iqm": 0.0}),
    "accuracy": (accuracy, {"mean": 30 / 32, "iqm": 0.9463}),  # the second from 20 million draws
}


@pytest.mark.parametrize(
    ("law", "statistic", "seeds"),
    [
        *(("normal", "mean", seeds) for seeds in (3, 10)),
        ("normal", "median", 10),
        ("normal", "iqm", 8),
        *(pytest.param("normal", "mean", seeds, marks=pytest.mark.slow) for seeds in (9, 20)),
        pytest.param("normal", "median", 20, marks=pytest.mark.slow),
        *(pytest.param("normal", "iqm", seeds, marks=pytest.mark.slow) for seeds in (10, 20)),
        ("accuracy", "mean", 20),
        ("accuracy", "iqm", 10),
        ("accuracy", "iqm", 20),
    ],
)
def test_95_percent_intervals_cover_the_truth_93_to_97_percent_of_the_time(
    law: str, statistic: Statistic, seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 999)
    draw, truth = DRAWS[law]
    rng = np.random.default_rng(7)
    hits = []
    for _ in range(4):  # each with resamples of its own
        low, high = bootstrap_intervals(draw(rng, (500, seeds)), statistic, rng=rng)
        hits.append((low <= truth[statistic]) & (truth[statistic] <= high))
    assert 0.93 <= np.mean(hits) <= 0.97


def test_a_plain_percentile_interval_of_10_seeds_would_not() -> None:
    """What `expanded_level` mends."""
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(1_000, 10))
    means = rng.multinomial(10, np.full(10, 0.1), size=999) / 10 @ scores.T
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    assert np.mean((low < 0) & (high > 0)) < 0.925


def test_for_a_normal_sample_the_expanded_bootstrap_is_students_interval() -> None:
    """Student's t is symmetric, so is a sample that is: then the bootstrap's ends lie where Student's do."""
    scores = stats.norm.ppf((np.arange(12) + 0.5) / 12)
    low, high = bootstrap_interval(scores, rng=np.random.default_rng(0))
    expected = stats.t(11, scores.mean(), stats.sem(scores)).interval(0.95)
    assert (low, high) == pytest.approx(expected, rel=0.06)
    assert expanded_level(10) > expanded_level(100) > 0.95
    assert expanded_level(10**6) == pytest.approx(0.95, abs=1e-5)


def test_it_is_scipys_bca() -> None:
    """By scipy's own function, at the raised level."""
    scores = np.random.default_rng(1).gamma(2.0, size=14)
    known: tuple[tuple[Statistic, Callable[..., Any], float], ...] = (
        ("mean", np.mean, expanded_level(14)),
        ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), expanded_level(14, student=False)),
    )
    for statistic, function, level in known:
        ours = bootstrap_interval(scores, statistic, rng=np.random.default_rng(5))
        theirs = stats.bootstrap(
            (scores,), function, n_resamples=9_999, confidence_level=level, method="BCa", rng=np.random.default_rng(6)
        ).confidence_interval
        assert ours == pytest.approx(tuple(theirs), abs=0.06)


def test_for_many_seeds_it_is_the_normal_interval() -> None:
    scores = np.random.default_rng(1).normal(0.8, 0.1, 2000)
    low, high = bootstrap_interval(scores, rng=np.random.default_rng(0))
    expected = stats.norm(scores.mean(), scores.std() / np.sqrt(len(scores))).interval(0.95)
    assert (low, high) == pytest.approx(expected, abs=3e-4)


def test_few_seeds() -> None:
    scores = np.array([0.7, 0.8, 0.9])
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # Student's quantile, 2 degrees of freedom
    rng = np.random.default_rng(0)
    assert bootstrap_interval(scores, rng=rng) == pytest.approx((0.8 - half, 0.8 + half))
    assert np.isnan(bootstrap_interval(scores, "median", rng=rng)).all()
    assert mean_and_interval(scores, rng=rng, limits=(0.0, 1.0)) == pytest.approx((0.8, 0.8 - half, 1.0))


def test_where_no_single_seed_counts_the_interval_is_of_percentiles() -> None:
    scores = np.array([0.9, *[1.0] * 9])  # leaving any one out leaves the middle half as it is
    assert bootstrap_interval(scores, "iqm", rng=np.random.default_rng(0)) == pytest.approx((0.98, 1.0), abs=0.01)


def test_interquartile_mean() -> None:
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0])) == pytest.approx(
        (3 + 4 + 5 + 6) / 4
    )


def test_equal_states_give_equal_numbers() -> None:
    scores = np.random.default_rng(3).normal(size=10)
    first, second = (bootstrap_interval(scores, rng=np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_extremes() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap_interval(np.full(10, 0.5), rng=rng) == (0.5, 0.5)
    with pytest.raises(ValueError, match="at least 2"):
        bootstrap_interval(np.array([0.5]), rng=rng)
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_interval(np.array([0.5, np.nan]), rng=rng)
    assert np.isnan(mean_and_interval(np.array([np.nan, np.nan]), rng=rng)).all()
    mean, low, high = mean_and_interval(np.array([0.5, np.nan]), rng=rng)
    assert mean == 0.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize("members", [4, 30])
def test_bands_are_the_intervals_at_each_epoch(members: int) -> None:
    scores = np.random.default_rng(4).normal(size=(members, 5))
    band = mean_bands(scores, rng=np.random.default_rng(0))
    for epoch in range(5):
        low, high = bootstrap_interval(scores[:, epoch], rng=np.random.default_rng(1))
        assert band[:, epoch] == pytest.approx([scores[:, epoch].mean(), low, high], abs=0.06)


def test_bands_go_on_with_the_members_that_are_left() -> None:
    scores = np.array([[0.1, 0.2, np.nan], [0.3, np.nan, np.nan]])
    band = mean_bands(scores, rng=np.random.default_rng(0))
    assert band[0, :2] == pytest.approx([0.2, 0.2])
    half = 12.706204736174694 * np.sqrt(0.02 / 2)
    assert band[1:, 0] == pytest.approx([0.2 - half, 0.2 + half])
    assert np.isnan(band[1:, 1]).all()
    assert np.isnan(band[:, 2]).all()
    single = mean_bands(scores[:1], rng=np.random.default_rng(0))
    assert single[0, :2] == pytest.approx([0.1, 0.2])
    assert np.isnan(single[1:]).all()


def test_shares() -> None:
    """By the law of the count: at each end the chance of a count as extreme is 2.5 %."""
    share, low, high = share_and_interval(3, 10)
    assert share == 0.3
    assert stats.binom.sf(2, 10, low) == pytest.approx(0.025)
    assert stats.binom.cdf(3, 10, high) == pytest.approx(0.025)
    assert share_and_interval(0, 10)[1] == 0.0
    assert share_and_interval(0, 10)[2] == pytest.approx(1 - 0.025 ** (1 / 10))


def test_bands_are_as_wide_as_the_members_that_are_left_ask_for() -> None:
    scores = np.random.default_rng(0).normal(size=(12, 3))
    scores[3:, 1], scores[1:, 2] = np.nan, np.nan
    band = mean_bands(scores, rng=np.random.default_rng(0))
    assert band[1:, 1] == pytest.approx(bootstrap_interval(scores[:3, 1], rng=np.random.default_rng(0)))
    assert band[0, 2] == scores[0, 2]
    assert np.isnan(band[1:, 2]).all()


def test_bands_of_thousands_of_members_are_those_of_the_normal_law() -> None:
    """Of 1,000 resamples an end is known to some percent of the half width."""
    scores = np.random.default_rng(0).normal(size=(4000, 20))
    scores[7, 10:] = np.nan
    band = mean_bands(scores, rng=np.random.default_rng(0))
    half = stats.norm.ppf(0.975) * np.nanstd(scores, axis=0) / np.sqrt(np.isfinite(scores).sum(0))
    assert band[1] == pytest.approx(band[0] - half, abs=0.2 * half.max())
    assert band[2] == pytest.approx(band[0] + half, abs=0.2 * half.max())
