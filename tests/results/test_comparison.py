"""Paired comparison against other programs, worked examples, and what it promises."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]  # has no stubs
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]  # has no stubs

from initlab.results import comparison
from initlab.results.comparison import effect_size, holm, least_p, seeds_needed, sign_flip_p, superiority

# Darwin's maize, crossed less self-fertilized, in eighths of an inch: Fisher's own example of this test.
DARWIN = np.array([49.0, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])


def test_fishers_own_example() -> None:
    """Fisher 1935, section 21: of 2^15 sums, 863 are as large one way, 1,726 both ways."""
    (p,) = sign_flip_p(DARWIN[None], rng=np.random.default_rng(0))
    assert p == 1_726 / 2**15


def test_more_pairs_are_sampled() -> None:
    twice = np.concatenate([DARWIN, np.zeros(5)])  # which change nothing
    p = sign_flip_p(np.tile(twice, (3, 1)), rng=np.random.default_rng(0))
    assert p == pytest.approx(np.full(3, 1_726 / 2**15), abs=0.007)
    (least,) = sign_flip_p(np.ones((1, 30)), rng=np.random.default_rng(0))
    assert least == least_p(30, 1) == 1e-4
    assert least_p(30, 500) * 500 < 0.05
    assert least_p(10, 7) == 2.0**-9


@pytest.mark.parametrize("seeds", [2, 5, 10, 14])
def test_few_pairs_are_gone_through_exactly(seeds: int) -> None:
    differences = np.random.default_rng(seeds).normal(0.4, 1, (4, seeds)).round(1)
    ours = sign_flip_p(differences, rng=np.random.default_rng(0))
    for row, p in zip(differences, ours, strict=True):
        theirs = stats.permutation_test(
            (row,), lambda x, axis: x.mean(axis), permutation_type="samples", vectorized=True, n_resamples=2**seeds
        )
        assert p == pytest.approx(theirs.pvalue)


def test_the_least_p_is_that_of_the_signs() -> None:
    p = sign_flip_p(np.array([[0.3, 0.1, 0.2, 0.2, 0.4]]), rng=np.random.default_rng(0))
    assert p == pytest.approx(2 / 2**5)
    assert sign_flip_p(np.zeros((1, 8)), rng=np.random.default_rng(0)) == 1.0


def test_holm() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.2, 0.03])
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


@pytest.mark.parametrize(("seeds", "shared"), [(10, 0.0), (10, 0.05), (20, 0.0)])
def test_the_family_wise_error_over_2000_studies_is_within_its_interval_of_5_percent(
    seeds: int, shared: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four initializers that are the same, all six pairs: how often any is found to differ."""
    monkeypatch.setattr(comparison, "SAMPLED", (9_999, 9_999))  # as for six pairs
    rng = np.random.default_rng(seeds)
    studies = 2_000
    scores = rng.normal(0.9, 0.02, (studies, 4, seeds)) + rng.normal(0, shared, (studies, 1, seeds))
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    differences = np.stack([scores[:, i] - scores[:, j] for i, j in pairs], axis=1)
    p = sign_flip_p(differences.reshape(-1, seeds), rng=rng).reshape(studies, len(pairs))
    false = sum(bool((holm(row) < 0.05).any()) for row in p)
    uncorrected = sum(bool((row < 0.05).any()) for row in p)
    upper = stats.binom.ppf(0.975, studies, 0.05)
    assert 0.02 * studies < false <= upper  # Holm is on the safe side of 5 %
    assert uncorrected > 2 * upper  # and without him it is not


def test_one_standard_deviation_is_found_with_20_seeds() -> None:
    rng = np.random.default_rng(3)
    found = sign_flip_p(rng.normal(1, 1, (400, 20)) - rng.normal(0, 1, (400, 20)), rng=rng) < 0.05
    assert found.mean() > 0.8
    with_5 = sign_flip_p(rng.normal(1, 1, (400, 5)) - rng.normal(0, 1, (400, 5)), rng=rng) < 0.05
    assert with_5.mean() == 0  # no more than a test can tell


@pytest.mark.parametrize("pairs", [1, 6, 15, 153])
def test_seeds_needed_are_the_least(pairs: int) -> None:
    seeds = seeds_needed(pairs)
    assert seeds is not None
    assert pairs * 2.0 ** (1 - seeds) <= 0.05 < pairs * 2.0 ** (2 - seeds)


def test_five_seeds_never_suffice() -> None:
    assert seeds_needed(1) == 6


@pytest.mark.parametrize(("pairs", "level", "seeds"), [(4_999, 0.95, 18), (5_000, 0.95, None), (5_995, 0.95, None)])
def test_where_no_number_of_seeds_suffices(pairs: int, level: float, seeds: int | None) -> None:
    """Above 16 seeds p is sampled, and 1 in 100,000 is its least: 5,000 times that is not below 0.05."""
    assert seeds_needed(pairs, level=level) == seeds
    assert all((pairs * least_p(count, pairs, level=level) < 0.05) == (seeds == 18) for count in (18, 100, 1000))


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
