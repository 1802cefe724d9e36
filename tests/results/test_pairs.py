"""Pairs under one condition."""

import numpy as np
import pytest
from scipy import stats

from initlab.results.analysis import analyse
from initlab.results.comparison import holm, seeds_needed
from initlab.results.pairs import MOST_COMPARED
from initlab.results.study import Study
from tests.results.studies import Cell, inits, study_of


def verdicts(study: Study) -> dict[tuple[str, str], str]:
    pairs = analyse(study).pairs
    return dict(zip(zip(pairs["a"], pairs["b"], strict=True), pairs["verdict"], strict=True))


def test_a_pair_is_compared_seed_by_seed() -> None:
    """The seeds differ far more than the initializers do; only pairing sees that he is better on each."""
    base = np.linspace(0.3, 0.9, 10)
    steps = np.array([0.01, 0.012, 0.011, 0.009, 0.01, 0.013, 0.008, 0.01, 0.011, 0.01])
    pairs = analyse(inits(he=base + steps, xavier=base)).pairs
    (row,) = pairs.to_dict("records")
    assert (row["a"], row["b"], row["verdict"], row["seeds"]) == ("he", "xavier", "better", 10)
    assert row["p"] == row["p_holm"] == pytest.approx(2 / 2**10)
    assert row["difference"] == pytest.approx(steps.mean())
    assert 0.009 < row["low"] < steps.mean() < row["high"] < 0.012
    assert row["superiority"] == 1
    assert stats.mannwhitneyu(base + steps, base).pvalue > 0.5


def test_holm_is_over_all_pairs_of_a_condition() -> None:
    rng = np.random.default_rng(0)
    cells = [
        Cell({"init.name": name, "activation.name": activation}, rng.normal(0.8 + 0.01 * k, 0.01, 10))
        for k, name in enumerate(("a", "b", "c", "d"))
        for activation in ("relu", "tanh")
    ]
    pairs = analyse(study_of(*cells)).pairs
    assert len(pairs) == 12
    for _, part in pairs.groupby("setting"):
        np.testing.assert_allclose(part["p_holm"], holm(part["p"].to_numpy()))


def test_a_tie_is_called_a_tie_and_equal_scores_equal() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 10))
    study = inits(he=0.8 + noise[0], xavier=0.8 + noise[1], zeros=[0.1] * 10, ones=[0.1] * 10)
    found = {frozenset(pair): verdict for pair, verdict in verdicts(study).items()}
    assert found[frozenset(("he", "xavier"))] == "tie"
    assert found[frozenset(("zeros", "ones"))] == "equal"
    assert found[frozenset(("he", "zeros"))] == "better"


@pytest.mark.parametrize("seeds", [1, 5])
def test_too_few_seeds_leave_it_open(seeds: int) -> None:
    assert set(verdicts(inits(he=[0.9] * seeds, zeros=[0.1] * seeds)).values()) == {"open"}


def test_with_too_many_pairs_for_the_seeds_it_is_open_too() -> None:
    scores = {f"s{k:02d}": np.full(6, 0.9 - 0.05 * k) for k in range(5)}
    assert set(verdicts(inits(**scores)).values()) == {"open"}
    assert set(verdicts(inits(**{name: scores[name] for name in ("s00", "s01")})).values()) == {"better"}


def test_pairs_are_compared_on_the_seeds_that_both_have() -> None:
    better = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97]
    cells = [
        Cell({"init.name": "he"}, [*better, 0.1, 0.1]),  # seeds 0 to 9
        Cell({"init.name": "xavier"}, [0.0, 0.0, *[0.5] * 6], first_seed=2),  # seeds 2 to 9
        Cell({"init.name": "late"}, [0.2, 0.3], first_seed=50),
    ]
    pairs = {frozenset((row["a"], row["b"])): row for row in analyse(study_of(*cells)).pairs.to_dict("records")}
    row = pairs[frozenset(("he", "xavier"))]
    assert row["seeds"] == 8
    assert row["difference"] == pytest.approx(np.mean([0.92, 0.93, 0.44, 0.45, 0.46, 0.47, -0.4, -0.4]))
    none = pairs[frozenset(("he", "late"))]
    assert (none["seeds"], none["verdict"], none["p_holm"]) == (0, "open", 1)
    assert np.isnan(none["difference"])


def test_a_diverged_member_counts_as_zero_and_is_not_dropped() -> None:
    study = inits(sure=[0.6] * 10, lucky=[0.99] * 4 + [np.nan] * 6)
    (row,) = analyse(study).pairs.to_dict("records")
    assert (row["a"], row["b"]) == ("sure", "lucky")
    assert row["difference"] == pytest.approx(0.6 - 0.99 * 0.4)
    assert row["superiority"] == pytest.approx(0.6)


def test_of_very_many_only_those_with_the_best_are_shown() -> None:
    rng = np.random.default_rng(0)
    count = MOST_COMPARED + 5
    pairs = analyse(inits(**{f"s{k}": rng.normal(0.5, 0.01, 6) for k in range(count)})).pairs
    assert len(pairs) == count - 1
    assert pairs["a"].nunique() == 1
    assert (pairs["p_holm"] == 1).all()  # 300 pairs


def test_leading_is_the_best_and_what_was_not_shown_to_be_worse() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 10))
    table = analyse(inits(he=0.8 + noise[0], xavier=0.8 + noise[1], zeros=[0.1] * 10)).candidates
    assert dict(zip(table["candidate"], table["leading"], strict=True)) == {"he": True, "xavier": True, "zeros": False}
    assert list(table["standing"]) == ["best", "tied", "worse"]
    few = analyse(inits(he=[0.9, 0.8], zeros=[0.1, 0.1])).candidates
    assert list(few["standing"]) == ["best", "open"]


def test_equal_tables_give_equal_numbers() -> None:
    rng = np.random.default_rng(0)
    study = inits(a=rng.normal(0.5, 0.1, 20), b=rng.normal(0.5, 0.1, 20), c=rng.normal(0.6, 0.1, 20))
    first, second = analyse(study), analyse(study)
    assert first.pairs.equals(second.pairs)
    assert first.candidates.equals(second.candidates)


def test_ranks_over_data_sets_average_over_other_axes() -> None:
    scores = {"he": 0.9, "xavier": 0.8, "zeros": 0.1}
    cells = [
        Cell({"data.name": data, "init.name": init, "activation.name": activation}, [score, score])
        for data in ("a", "b", "c")
        for activation in ("relu", "tanh")
        for init, score in (scores if activation == "relu" else {**scores, "he": 0.5}).items()
    ]
    cells.append(Cell({"data.name": "a", "init.name": "lsuv", "activation.name": "relu"}, [0.99, 0.99]))
    found = analyse(study_of(*cells))
    assert found.ranks is not None
    # lsuv, which is not everywhere, takes no rank from the others.
    assert dict(zip(found.ranked, found.ranks.mean, strict=True)) == {"he": 1.5, "xavier": 1.5, "zeros": 3.0}
    assert found.ranks.data_sets == 3


def test_equal_is_what_was_measured_not_what_counts() -> None:
    """Two negative R² both count as 0, and are not the same for that."""
    cells = [Cell({"init.name": name}, [score] * 8, metric="r2") for name, score in (("he", -0.2), ("zeros", -3.0))]
    (row,) = analyse(study_of(*cells)).pairs.to_dict("records")
    assert (row["difference"], row["verdict"]) == (0, "tie")


def test_many_candidates_can_differ_if_there_are_seeds_enough() -> None:
    rng = np.random.default_rng(0)
    names = {f"s{k:02d}": rng.normal(0.9 - 0.02 * k, 0.001, 20) for k in range(33)}
    assert set(verdicts(inits(**names)).values()) == {"better"}


@pytest.mark.parametrize("count", [4, 9, 25])
def test_the_seeds_that_are_said_to_be_needed_suffice(count: int) -> None:
    seeds = seeds_needed(count * (count - 1) // 2)
    assert seeds is not None
    for given, verdict in ((seeds, "better"), (seeds - 1, "open")):
        scores = {f"s{k:02d}": np.linspace(0.9, 0.91, given) - 0.03 * k for k in range(count)}
        assert set(verdicts(inits(**scores)).values()) == {verdict}


def test_rounding_makes_no_ranks() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.55, 0.7])
    cells = [
        Cell({"data.name": f"d{d}", "init.name": init}, scores[order])
        for d in range(8)
        for init, order in (("a", slice(None)), ("b", slice(None, None, -1)))
    ]
    found = analyse(study_of(*cells))
    assert found.ranks is not None
    assert list(found.ranks.mean) == [1.5, 1.5]
    assert found.ranks.permutation_p == 1
