"""What the factors of a study are, and how much each makes of the variance of its scores."""

from typing import Any

import numpy as np
import pytest

from initlab.results.analysis import analyse
from initlab.results.variance_shares import VarianceShares, variance_shares
from tests.results.studies import Cell, study_of

NOISE = np.random.default_rng(0).normal(0, 0.01, (64, 6))


def cell(number: int, score: float, **changes: Any) -> Cell:
    """A job with six seeds around a score; of a key, `__` stands for the dot."""
    return Cell({key.replace("__", "."): value for key, value in changes.items()}, score + NOISE[number])


def shares_of(*cells: Cell) -> list[VarianceShares]:
    return variance_shares(analyse(study_of(*cells)))


def grid(data: str = "wine") -> list[Cell]:
    """Initializers × learning rates; the second makes nine times the variance of the first."""
    return [
        cell(number, 0.5 + init * 0.05 + rate * 0.15, data__name=data, init__name=f"s{init}", optim__lr=10.0**-rate)
        for number, (init, rate) in enumerate((init, rate) for init in (-1, 1) for rate in (-1, 1))
    ]


def test_factors_have_the_names_and_shares_that_they_were_made_with() -> None:
    (found,) = shares_of(*grid())
    assert found.factors == {"initializer": 2, "learning rate": 2}
    assert (found.data, found.metric, found.seeds, found.combinations, found.filled) == ("wine", "accuracy", 6, 4, 0)
    shares = found.sources.set_index("source")["share"]
    whole = 0.05**2 + 0.15**2 + 0.01**2
    assert list(shares.index[:2]) == ["learning rate", "initializer"]
    assert shares["learning rate"] == pytest.approx(0.15**2 / whole, abs=0.02)
    assert shares["initializer"] == pytest.approx(0.05**2 / whole, abs=0.02)
    assert shares.sum() == pytest.approx(1)
    assert set(found.sources.set_index("source")["factors"].items()) == {
        ("learning rate", 1), ("initializer", 1), ("initializer × learning rate", 2), ("seed", 0),
    }  # fmt: skip


def test_data_sets_are_divided_together_and_each_by_itself() -> None:
    found = shares_of(*grid("wine"), *(Cell(one.changes, one.scores) for one in grid("digits")))
    assert [one.data for one in found] == ["", "digits", "wine"]
    assert found[0].factors == {"data set": 2, "initializer": 2, "learning rate": 2}
    assert found[0].sources.set_index("source")["share"]["data set"] == pytest.approx(0, abs=0.01)


def test_scores_of_two_kinds_are_never_divided_together() -> None:
    other = [Cell(one.changes, one.scores, metric="r2") for one in grid("teacher")]
    found = {(one.data, one.metric) for one in shares_of(*grid("wine"), *other)}
    assert found == {("teacher", "r2"), ("wine", "accuracy")}


def test_a_key_that_only_some_initializers_have_is_a_part_of_the_initializer() -> None:
    inits: list[dict[str, Any]] = [
        {"init__name": "he"},
        {"init__name": "normal", "init__std": 0.1},
        {"init__name": "normal", "init__std": 1.0},
    ]
    cells = [
        cell(3 * place + depth, 0.2 * place + 0.01 * depth, model__depth=depth, **init)
        for place, init in enumerate(inits)
        for depth in (1, 2)
    ]
    (found,) = shares_of(*cells)
    assert found.factors == {"initializer": 3, "model.depth": 2}


def test_keys_of_an_initializer_that_are_crossed_are_factors_by_themselves() -> None:
    cells = [
        cell(3 * sigma + depth, 0.2 * sigma + 0.1 * depth, init__sigma_w=float(sigma), model__depth=depth)
        for sigma in (1, 2, 3)
        for depth in (1, 2)
    ]
    (found,) = shares_of(*cells)
    assert found.factors == {"init.sigma_w": 3, "model.depth": 2}


def test_a_key_that_follows_from_another_is_no_factor() -> None:
    cells = [
        cell(number, 0.1 * number, init__name=init, model__depth=depth, model__width=10 * depth)
        for number, (init, depth) in enumerate((init, depth) for init in ("he", "zeros") for depth in (1, 2))
    ]
    (found,) = shares_of(*cells)
    assert found.factors == {"initializer": 2, "model.depth": 2}


def test_what_was_not_crossed_is_not_divided() -> None:
    assert shares_of(*(cell(n, 0.2 * n, init__name=f"s{n}") for n in range(3))) == []  # one factor
    diagonal = [cell(n, 0.2 * n, init__name=f"s{n}", activation__name=f"a{n}", model__depth=n % 2) for n in range(3)]
    assert shares_of(*diagonal) == []
    equal = [Cell({"init.name": i, "optim.lr": r}, [0.5] * 4) for i in ("he", "zeros") for r in (0.1, 1.0)]
    assert shares_of(*equal) == []
    single = [Cell({"init.name": i, "optim.lr": r}, [0.5 + r]) for i in ("he", "zeros") for r in (0.1, 0.2)]
    assert shares_of(*single) == []


def test_only_seeds_that_all_jobs_have_count() -> None:
    more = [Cell(one.changes, [*one.scores, 0.0, 1.0]) if place else one for place, one in enumerate(grid())]
    (found,), (same,) = shares_of(*more), shares_of(*grid())
    assert found.seeds == 6
    np.testing.assert_allclose(found.sources["share"], same.sources["share"])


def test_what_diverged_counts_as_nothing() -> None:
    lost, zero = grid(), grid()
    lost[0], zero[0] = Cell(lost[0].changes, [np.nan] * 6), Cell(zero[0].changes, [0.0] * 6)
    (found,), (same,) = shares_of(*lost), shares_of(*zero)
    np.testing.assert_allclose(found.sources["share"], same.sources["share"])


def test_a_job_that_is_missing_is_filled_in_and_counted() -> None:
    cells = [
        cell(3 * init + depth, 0.1 * init + 0.05 * depth, init__name=f"s{init}", model__depth=depth)
        for init in range(3)
        for depth in range(3)
    ]
    (found,) = shares_of(*cells[1:])
    assert (found.combinations, found.filled) == (9, 1)
    shares = found.sources.set_index("source")["share"]
    assert shares["initializer"] == pytest.approx(0.8 * (1 - shares["seed"]), abs=0.03)
