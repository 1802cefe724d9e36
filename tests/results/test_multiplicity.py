"""Several pairs at once: the family-wise error by simulation."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.comparison import all_pairs
from initlab.results.crossed import of_seeds_alone
from initlab.results.multiplicity import adjusted_p, pairwise_significance


@pytest.mark.parametrize("candidates", [2, 3, 6, 25])
@pytest.mark.parametrize("significance", [0.5, 0.1, 0.05, 0.01, 0.001, 0.05 / 7])
def test_what_one_pair_may_is_that_turned_around(candidates: int, significance: float) -> None:
    of_pair = pairwise_significance(significance, candidates)
    assert adjusted_p(np.array([of_pair]), candidates) == pytest.approx(significance, rel=1e-6)
    pairs = candidates * (candidates - 1) / 2
    assert of_pair == pytest.approx(significance / pairs)


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
@pytest.mark.parametrize(("candidates", "seeds", "studies"), [(4, 10, 2_000), (4, 2, 2_000), (20, 3, 300)])
def test_the_family_wise_error(candidates: int, seeds: int, studies: int, shared: float) -> None:
    """Initializers that are the same, all pairs: how often any is found to differ."""
    rng = np.random.default_rng(0)
    scores = rng.normal(0.9, 0.02, (studies, candidates, seeds)) + rng.normal(0, shared, (studies, 1, seeds))
    first, second = np.array(all_pairs(candidates)).T
    differences = scores[:, first] - scores[:, second]
    t = differences.mean(-1) / (differences.std(-1, ddof=1) / seeds**0.5)
    p = 2 * stats.t.sf(np.abs(t), seeds - 1)
    assert [of_seeds_alone(one).p() for one in differences[0]] == pytest.approx(list(p[0]))
    false = (p < pairwise_significance(0.05, candidates)).any(1).mean()
    assert 0.025 < false < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5
    assert (p < 0.05).any(1).mean() > 0.15  # without a correction


def test_one_standard_deviation_is_found_with_20_seeds() -> None:
    rng = np.random.default_rng(3)
    p = [of_seeds_alone(rng.normal(1, 1, 20) - rng.normal(0, 1, 20)).p() for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) > 0.8
