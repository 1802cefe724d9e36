"""Ranks across data sets against scipy and the example of the paper that made them usual."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.ranks import critical_difference, data_sets_needed, friedman_statistic, rank_across

# Demšar 2006, table 6: AUC of four variants of C4.5 on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_the_example_of_the_paper() -> None:
    """Mean ranks 3.143, 2.000, 2.893, 1.964, CD = 1.25, F = 3.69; there without a correction for ties, 9.28."""
    ranks = rank_across(DEMSAR, rng=np.random.default_rng(0))
    np.testing.assert_allclose(ranks.mean, [3.143, 2.000, 2.893, 1.964], atol=0.001)
    assert ranks.critical_difference == pytest.approx(1.25, abs=0.005)
    uncorrected = 12 * 14 / (4 * 5) * ((ranks.mean**2).sum() - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert ranks.friedman > uncorrected
    assert (ranks.friedman, ranks.friedman_p) == pytest.approx(tuple(stats.friedmanchisquare(*DEMSAR.T)))
    assert 13 * uncorrected / (14 * 3 - uncorrected) == pytest.approx(3.69, abs=0.01)
    assert ranks.iman_davenport == pytest.approx(13 * ranks.friedman / (14 * 3 - ranks.friedman))
    assert ranks.iman_davenport_p == pytest.approx(stats.f.sf(ranks.iman_davenport, 3, 39))
    assert ranks.permutation_p == pytest.approx(ranks.friedman_p, abs=0.01)


def test_critical_values_are_the_papers() -> None:
    """Demšar 2006, table 5a, q at .05 for 2 to 10 classifiers."""
    published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    for count, q in enumerate(published, start=2):
        assert critical_difference(count, 1) == pytest.approx(q * np.sqrt(count * (count + 1) / 6), rel=5e-4)


def test_perfect_agreement_of_few_data_sets_is_not_certain() -> None:
    """Two data sets order four treatments alike once in 4! times: the F law would say p = 0."""
    ranks = rank_across(np.array([[4.0, 3, 2, 1], [8.0, 6, 4, 2]]), rng=np.random.default_rng(0))
    assert ranks.iman_davenport == np.inf
    assert ranks.permutation_p == pytest.approx(1 / 24, abs=0.006)
    assert not ranks.can_differ


@pytest.mark.parametrize("count", [2, 4, 6, 12])
def test_data_sets_needed_are_the_least(count: int) -> None:
    needed = data_sets_needed(count)
    assert critical_difference(count, needed) < count - 1 <= critical_difference(count, needed - 1)


def test_all_ties() -> None:
    ranks = rank_across(np.ones((5, 3)), rng=np.random.default_rng(0))
    assert ranks.friedman == 0
    assert ranks.permutation_p == 1
    assert list(ranks.mean) == [2, 2, 2]
    assert float(friedman_statistic(np.full((2, 3), 2.0))) == 0


def test_under_the_null_it_errs_in_5_percent() -> None:
    rng = np.random.default_rng(1)
    p = [rank_across(rng.normal(size=(4, 4)), rng=rng).permutation_p for _ in range(300)]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.08
