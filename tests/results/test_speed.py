"""Epochs to a threshold against Kaplan and Meier, and the interval against the law of order statistics."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.speed import epochs_to_threshold, median_epochs, share_reached
from tests.results.studies import Cell


def test_shares_are_kaplan_and_meiers() -> None:
    rng = np.random.default_rng(0)
    epochs = rng.integers(1, 30, 40).astype(float)
    epochs[rng.random(40) < 0.3] = np.inf
    seen = epochs[np.isfinite(epochs)]
    censored = stats.CensoredData(uncensored=seen, right=np.full(40 - len(seen), 30.0))
    expected = stats.ecdf(censored).cdf.evaluate(np.arange(31))
    np.testing.assert_allclose(share_reached(epochs, 30), expected)


def test_those_that_never_reach_it_are_not_dropped() -> None:
    epochs = np.array([1.0, 2.0, 3.0, np.inf, np.inf, np.inf, np.inf])
    assert median_epochs(epochs)[0] == np.inf
    assert median_epochs(np.array([1.0, 2.0, np.inf]))[0] == 2
    members = Cell({}, [0.95, np.nan, 0.5, 0.92]).members
    np.testing.assert_array_equal(epochs_to_threshold(members), [2, np.inf, np.inf, 2])


@pytest.mark.parametrize("seeds", [6, 10, 20])
def test_the_interval_covers_the_median(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    hits = []
    for sample in rng.exponential(size=(4_000, seeds)):
        _, low, high = median_epochs(np.where(sample > 1.5, np.inf, sample))
        hits.append(low <= np.log(2) <= high)
    exact = 1 - 2 * stats.binom.cdf(int(stats.binom.ppf(0.025, seeds, 0.5)) - 1, seeds, 0.5)
    assert np.mean(hits) == pytest.approx(exact, abs=0.01)
    assert exact >= 0.95


def test_too_few_have_no_interval() -> None:
    assert np.isnan(median_epochs(np.arange(5.0))[1:]).all()
