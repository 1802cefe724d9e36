"""Shares of variance against components that are known, and against sums written out by hand."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from initlab.results.division import HIGHER, SEED, TOTAL, Division, Factors, divide_variance, fill

FloatArray = NDArray[np.float64]


def levels_of(sizes: tuple[int, ...]) -> NDArray[np.int64]:
    return np.stack([places.ravel() for places in np.indices(sizes)], axis=1)


def components(means: FloatArray, noise: float) -> dict[Factors | str, float]:
    """Shares of each source, by fitting dummy variables by least squares, smaller models first."""
    sizes, cells = means.shape, means.size
    levels, outcome = levels_of(sizes), means.ravel() - means.mean()

    def explained(model: list[Factors]) -> float:
        columns = [np.ones(cells)]
        for places in model:
            label = np.ravel_multi_index(levels[:, places].T, [sizes[place] for place in places])
            columns += list(np.eye(label.max() + 1)[label].T)
        design = np.stack(columns, axis=1)
        return float(((design @ np.linalg.lstsq(design, outcome, rcond=None)[0]) ** 2).mean())

    alone: list[Factors] = [(place,) for place in range(len(sizes))]
    found: dict[Factors | str, float] = {one: explained([one]) for one in alone}
    for pair in combinations(range(len(sizes)), 2):
        found[pair] = explained([pair]) - sum(found[place,] for place in pair)
    whole = float((outcome**2).mean())
    if len(sizes) > 2:
        found[HIGHER] = whole - sum(found.values())
    for place in range(len(sizes)):
        rest = tuple(other for other in range(len(sizes)) if other != place)
        found[f"{TOTAL}{place}"] = whole - explained([rest])
    return {source: part / (whole + noise) for source, part in {**found, SEED: noise}.items()}


def divided(scores: FloatArray, sizes: tuple[int, ...], seed: int = 0) -> Division:
    found = divide_variance(scores, levels_of(sizes), rng=np.random.default_rng(seed))
    assert found is not None
    return found


def test_sums_are_those_of_models_fitted_one_in_the_other() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(3, 2, 4))
    scores = np.repeat(means.reshape(-1, 1), 3, axis=1)  # without noise nothing has to be taken off
    found = divided(scores, means.shape)
    expected = components(means, 0.0)
    assert found.shares.keys() == expected.keys()
    for source, share in expected.items():
        assert found.shares[source][0] == pytest.approx(share, abs=1e-12), source
    assert found.variance == pytest.approx(means.var())


def test_what_adds_up_has_no_interaction_and_what_only_interacts_no_effect() -> None:
    additive = np.add.outer([0.1, 0.2, 0.5], [0.0, 0.3])
    found = divided(np.repeat(additive.reshape(-1, 1), 2, axis=1), (3, 2))
    assert found.shares[0, 1][0] == pytest.approx(0, abs=1e-12)
    assert found.shares[0,][0] == pytest.approx(np.var([0.1, 0.2, 0.5]) / additive.var())
    crossed = np.repeat([[0.2], [0.8], [0.8], [0.2]], 2, axis=1)
    found = divided(crossed, (2, 2))
    assert [found.shares[source][0] for source in ((0,), (1,), (0, 1))] == pytest.approx([0, 0, 1])
    assert found.shares[f"{TOTAL}0"][0] == pytest.approx(1)
    assert HIGHER not in found.shares


def simulated(
    rng: np.random.Generator, means: FloatArray, spreads: FloatArray, shared: float, seeds: int
) -> FloatArray:
    """Scores whose spread differs between combinations, and which share something on every seed."""
    own = spreads.reshape(-1, 1) * rng.standard_normal((means.size, seeds))
    return means.reshape(-1, 1) + own + shared * rng.standard_normal(seeds)


@pytest.mark.parametrize(
    ("effect", "noise"), [(1.0, 0.2), (0.4, 0.4), (0.05, 0.5)], ids=["large", "medium", "hardly any"]
)
@pytest.mark.parametrize("seeds", [5, *(pytest.param(seeds, marks=pytest.mark.slow) for seeds in (10, 20))])
def test_shares_are_right_on_average_and_intervals_cover_them(effect: float, noise: float, seeds: int) -> None:
    rng = np.random.default_rng([seeds, round(100 * effect)])
    sizes, studies = (4, 3), 150
    means = effect * (rng.normal(size=(4, 1)) + rng.normal(size=(1, 3)) / 2 + rng.normal(size=sizes) / 4)
    spreads, shared = noise * rng.uniform(0.5, 1.5, sizes), noise / 3
    truth = components(means, float((spreads**2).mean()) + shared**2)
    shares: dict[Factors | str, list[FloatArray]] = {source: [] for source in truth}
    variances = []
    for study in range(studies):
        found = divided(simulated(rng, means, spreads, shared, seeds), sizes, study)
        variances.append(found.variance)
        for source, share in found.shares.items():
            shares[source].append(share)
    for source, true in truth.items():
        values, low, high = np.array(shares[source]).T
        # The components are right on average; their ratio to the whole nearly is, as the whole is estimated, too.
        parts = values * variances
        expected = true * (means.var() + float((spreads**2).mean()) + shared**2)
        assert abs(parts.mean() - expected) < 5 * parts.std() / studies**0.5, source
        assert np.mean((low <= true + 1e-9) & (true <= high + 1e-9)) >= 0.88, source


def test_squares_of_means_would_not_be_right_on_average() -> None:
    """What is taken off is not little: of pure noise the plain sums give the factors a fifth of the variance."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(200, 12, 4))
    plain = scores.mean(2).var(1).mean() / scores.var((1, 2)).mean()
    assert plain > 0.2
    ours = [sum(divided(one, (4, 3)).shares[source][0] for source in ((0,), (1,), (0, 1))) for one in scores]
    assert abs(np.mean(ours)) < 4 * np.std(ours) / 200**0.5


def test_missing_combinations_are_filled_by_least_squares() -> None:
    """The oracle fits dummy variables to what is there, and predicts the rest."""
    rng = np.random.default_rng(1)
    sizes = (3, 3, 3)
    levels = levels_of(sizes)
    there = rng.permutation(27)[:22]
    scores = rng.normal(size=(22, 2))
    columns = [np.ones(27)]
    for places in [*combinations(range(3), 1), *combinations(range(3), 2)]:
        label = np.ravel_multi_index(levels[:, places].T, [3] * len(places))
        columns += list(np.eye(3 ** len(places))[label].T)
    design = np.stack(columns, axis=1)
    rank = np.linalg.matrix_rank(design)
    assert np.linalg.matrix_rank(design[there]) == rank  # all of it can be told from what is there
    predicted = design @ np.linalg.lstsq(design[there], scores, rcond=None)[0]
    table = fill(scores, levels[there], sizes).reshape(2, -1).T
    np.testing.assert_allclose(table[there], scores)
    absent = np.setdiff1d(np.arange(27), there)
    np.testing.assert_allclose(table[absent], predicted[absent], atol=1e-6)


def test_a_missing_combination_of_what_adds_up_changes_nothing() -> None:
    additive = np.add.outer([0.1, 0.2, 0.5], [0.0, 0.3, 0.4]).reshape(-1, 1).repeat(2, axis=1)
    levels = levels_of((3, 3))
    whole = divided(additive, (3, 3))
    found = divide_variance(additive[1:], levels[1:], rng=np.random.default_rng(0))
    assert found is not None
    assert found.filled == 1
    for source, share in whole.shares.items():
        assert found.shares[source][0] == pytest.approx(share[0], abs=1e-6), source


def test_there_may_be_nothing_to_divide() -> None:
    rng = np.random.default_rng(0)
    levels = levels_of((2, 3))
    assert divide_variance(np.full((6, 4), 0.7), levels, rng=rng) is None
    diagonal = np.array([[0, 0], [1, 1], [2, 2]])  # 3 of 9 combinations: a list of jobs is no crossed study
    assert divide_variance(rng.random((3, 4)), diagonal, rng=rng) is None
    with pytest.raises(ValueError, match="2 seeds"):
        divide_variance(rng.random((6, 1)), levels, rng=rng)


def test_a_factor_of_one_value_has_no_share() -> None:
    scores = np.array([[0.1, 0.2], [0.6, 0.7]])
    found = divide_variance(scores, np.array([[0, 0], [1, 0]]), rng=np.random.default_rng(0))
    alone = divide_variance(scores, np.array([[0], [1]]), rng=np.random.default_rng(0))
    assert found is not None
    assert alone is not None
    assert found.shares[1,][0] == pytest.approx(0)
    assert found.shares[0, 1][0] == pytest.approx(0)
    assert found.shares[0,][0] == pytest.approx(alone.shares[0,][0])


def test_few_seeds_have_shares_and_no_intervals() -> None:
    rng = np.random.default_rng(0)
    assert np.isnan(divided(rng.random((4, 4)), (2, 2)).shares[0,][1:]).all()
    assert np.isfinite(divided(rng.random((4, 5)), (2, 2)).shares[0,]).all()


def test_equal_generators_give_equal_intervals() -> None:
    scores = np.random.default_rng(0).random((6, 8))
    first, second, other = (divided(scores, (2, 3), seed).shares[0,] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
