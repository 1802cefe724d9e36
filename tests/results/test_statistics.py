"""Intervals against their definition, and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.statistics import bootstrap_interval, mean_and_interval, mean_bands


def test_the_interval_is_the_bootstrap_distributions() -> None:
    """For two values the bootstrap mean takes three values, with probabilities 1/4, 1/2, 1/4."""
    low, high = bootstrap_interval(np.array([0.0, 1.0]), rng=np.random.default_rng(0))
    assert (low, high) == (0.0, 1.0)
    narrow = bootstrap_interval(np.array([0.0, 1.0]), level=0.4, rng=np.random.default_rng(0))
    assert narrow == (0.5, 0.5)


def test_for_many_seeds_it_is_the_normal_interval() -> None:
    scores = np.random.default_rng(1).normal(0.8, 0.1, 2000)
    low, high = bootstrap_interval(scores, rng=np.random.default_rng(0))
    expected = stats.norm(scores.mean(), scores.std() / np.sqrt(len(scores))).interval(0.95)
    assert (low, high) == pytest.approx(expected, abs=3e-4)


def test_coverage() -> None:
    """A percentile interval over 20 seeds covers the truth somewhat less than 95 % of the time."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        low, high = bootstrap_interval(rng.normal(size=20), rng=rng)
        hits += low < 0 < high
    assert 0.89 < hits / 400 < 0.97


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


def test_bands_are_the_intervals_at_each_epoch() -> None:
    scores = np.random.default_rng(4).normal(size=(12, 5))
    band = mean_bands(scores, rng=np.random.default_rng(0))
    for epoch in range(5):
        low, high = bootstrap_interval(scores[:, epoch], rng=np.random.default_rng(1))
        assert band[:, epoch] == pytest.approx([scores[:, epoch].mean(), low, high], abs=0.03)


def test_bands_go_on_with_the_members_that_are_left() -> None:
    scores = np.array([[0.1, 0.2, np.nan], [0.3, np.nan, np.nan]])
    band = mean_bands(scores, rng=np.random.default_rng(0))
    assert band[0, :2] == pytest.approx([0.2, 0.2])
    assert band[1:, 1] == pytest.approx([0.2, 0.2])
    assert np.isnan(band[:, 2]).all()
    single = mean_bands(scores[:1], rng=np.random.default_rng(0))
    assert single[0, :2] == pytest.approx([0.1, 0.2])
    assert np.isnan(single[1:]).all()
