"""Several pairs at once against scipy's studentized range, and the family-wise error by simulation."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.comparison import all_pairs
from initlab.results.crossed import of_seeds_alone
from initlab.results.multiplicity import adjusted_p, pairwise_significance


@pytest.mark.parametrize("candidates", [2, 3, 4, 9, 20, 110])
def test_it_is_the_range_of_so_many_normal_numbers(candidates: int) -> None:
    p = np.array([0.9, 0.5, 0.1, 0.05, 0.01, 1e-3, 1e-5, 1e-8])
    width = stats.norm.isf(p / 2) * 2**0.5
    theirs = stats.studentized_range.sf(width, candidates, np.inf)
    np.testing.assert_allclose(adjusted_p(p, candidates), theirs, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("candidates", [2, 3, 6, 25])
@pytest.mark.parametrize("significance", [0.5, 0.1, 0.05, 0.01, 0.001, 0.05 / 7])
def test_what_one_pair_may_is_that_turned_around(candidates: int, significance: float) -> None:
    of_pair = pairwise_significance(significance, candidates)
    assert adjusted_p(np.array([of_pair]), candidates) == pytest.approx(significance, rel=1e-6)
    pairs = candidates * (candidates - 1) / 2
    assert significance / pairs <= of_pair * (1 + 1e-9)  # never narrower than by Bonferroni's inequality
    assert of_pair <= significance


def test_tables_have_it() -> None:
    """Tukey's q of 4 and of 10 means at 5 %, infinite degrees of freedom: 3.63 and 4.47."""
    for candidates, q in ((4, 3.63), (10, 4.47)):
        assert pairwise_significance(0.05, candidates) == pytest.approx(2 * stats.norm.sf(q / 2**0.5), rel=0.02)


def test_of_two_candidates_it_is_p_itself() -> None:
    p = np.array([0.0, 1e-12, 0.03, 0.4, 1.0])
    np.testing.assert_allclose(adjusted_p(p, 2), p, rtol=1e-9)
    assert pairwise_significance(0.05, 2) == 0.05


def test_its_ends() -> None:
    assert adjusted_p(np.array([0.0, 1.0]), 5).tolist() == pytest.approx([0, 1], abs=1e-9)
    many = adjusted_p(np.geomspace(1e-12, 1, 200), 7)
    assert (np.diff(many) >= 0).all()
    assert (many <= 1).all()


@pytest.mark.parametrize("shared", [0.0, 0.05])
def test_the_family_wise_error_over_2000_studies(shared: float) -> None:
    """Four initializers that are the same, ten seeds, all six pairs: how often any is found to differ."""
    rng = np.random.default_rng(0)
    studies, seeds, candidates = 2_000, 10, 4
    scores = rng.normal(0.9, 0.02, (studies, candidates, seeds)) + rng.normal(0, shared, (studies, 1, seeds))
    p = np.array([[of_seeds_alone(one[i] - one[j]).p() for i, j in all_pairs(candidates)] for one in scores])
    false = (p < pairwise_significance(0.05, candidates)).any(1).mean()
    assert 0.03 < false < 0.065
    assert (p < 0.05).any(1).mean() > 0.15  # without a correction


def test_one_standard_deviation_is_found_with_20_seeds() -> None:
    rng = np.random.default_rng(3)
    p = [of_seeds_alone(rng.normal(1, 1, 20) - rng.normal(0, 1, 20)).p() for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) > 0.8
