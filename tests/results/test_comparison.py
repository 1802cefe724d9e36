"""How far apart two candidates are, in words that need no unit, against other programs."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]  # has no stubs

from initlab.results.comparison import all_pairs, count_pairs, effect_size, superiority


def test_superiority() -> None:
    share, low, high = superiority(np.array([0.1] * 7 + [-0.1] * 3))
    assert share == 0.7
    assert (low, high) == pytest.approx(proportion_confint(7, 10, method="wilson"))
    share, low, high = superiority(np.array([0.1, 0.0, 0.0, 0.0]))
    assert share == 0.625
    assert low < 0.625 < high
    assert superiority(np.zeros(10))[0] == 0.5
    assert superiority(np.ones(10))[1:] == pytest.approx(proportion_confint(10, 10, method="wilson"))


def test_intervals_of_superiority_cover() -> None:
    rng = np.random.default_rng(4)
    truth = stats.norm.cdf(0.5 / np.sqrt(2))
    hits = [low <= truth <= high for _, low, high in map(superiority, rng.normal(0.5, np.sqrt(2), (3_000, 20)))]
    assert 0.93 < np.mean(hits) < 0.98


def test_effect_size() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
    assert effect_size(a, b) == pytest.approx(-2.0)
    assert effect_size(a, a) == 0.0
    same = np.full(10, 0.9722222)
    assert effect_size(same, same - 0.1) == np.inf  # though the standard deviation of the floats is 1e-16
    assert effect_size(same - 0.1, same) == -np.inf
    assert np.isnan(effect_size(np.array([0.5]), np.array([0.4])))
    assert effect_size(np.array([0.5]), np.array([0.5])) == 0


def test_pairs() -> None:
    assert list(all_pairs(3)) == [(0, 1), (0, 2), (1, 2)]
    assert all(len(all_pairs(count)) == count_pairs(count) for count in range(7))
