"""What is compared, at which learning rate, with what apart from what."""

import numpy as np
import pandas as pd
import pytest

from initlab.results.candidates import arrange, choose_rates, find_axes
from initlab.results.study import Study
from tests.results.studies import Cell, inits, study_of


def candidates(study: Study) -> pd.DataFrame:
    axes = find_axes(study.differing)
    return choose_rates(arrange(study, axes), axes)


def rates(scores: dict[float, float], test: dict[float, float] | None = None, *, init: str) -> list[Cell]:
    """A job of two equal seeds for each learning rate."""
    test = scores if test is None else test
    return [
        Cell({"init.name": init, "optim.lr": rate}, [test[rate]] * 2, val=[score] * 2)
        for rate, score in scores.items()
    ]  # fmt: skip


def test_the_initializer_is_compared_where_it_differs() -> None:
    cells = [
        Cell({"data.name": d, "init.name": i, "init.gain": g, "activation.name": a, "optim.lr": r}, [0.5, 0.6])
        for d in ("wine", "digits") for i in ("he", "xavier") for g in (1, 2) for a in ("relu", "tanh") for r in (1, 2)
    ]  # fmt: skip
    axes = find_axes(study_of(*cells).differing)
    assert (axes.compared, axes.conditions, axes.tuned) == (("init", "init.gain"), ("activation",), ("optim.lr",))
    table = candidates(study_of(*cells))
    assert len(table) == 2 * 2 * 4
    assert set(table["candidate"]) == {
        "he, init.gain=1",
        "he, init.gain=2",
        "xavier, init.gain=1",
        "xavier, init.gain=2",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"activation.name": ("relu", "tanh"), "optim.lr": (0.1, 1.0)}, (("activation",), (), ("optim.lr",))),
        ({"optim.lr": (0.1, 1.0)}, (("optim.lr",), (), ())),
        ({"data.name": ("wine", "digits")}, ((), (), ())),
        ({"model.depth": (1, 2), "activation.name": ("relu", "tanh")}, (("activation", "model.depth"), (), ())),
    ],
)
def test_else_whatever_does_is(changes: dict[str, tuple[object, ...]], expected: tuple[object, ...]) -> None:
    keys = list(changes)
    cells = [
        Cell(dict(zip(keys, values, strict=True)), [0.5, 0.6])
        for values in np.array(np.meshgrid(*changes.values(), indexing="ij"), dtype=object).reshape(len(keys), -1).T
    ]
    axes = find_axes(study_of(*cells).differing)
    assert (axes.compared, axes.conditions, axes.tuned) == expected


def test_the_best_rate_is_chosen_on_validation_and_reported_on_test() -> None:
    validation, test = {0.01: 0.7, 0.1: 0.9, 1.0: 0.8}, {0.01: 0.75, 0.1: 0.6, 1.0: 0.99}
    study = study_of(*rates(validation, test, init="he"), *rates({0.1: 0.5}, init="zeros"))
    row = candidates(study).set_index("candidate").loc["he"]
    assert (row["rate"], row["test"], row["validation"]) == (0.1, 0.6, 0.9)
    assert not row["at_edge"]


def test_a_rate_at_which_one_diverged_is_not_chosen_by_its_survivors() -> None:
    cells = [
        Cell({"init.name": "he", "optim.lr": 1.0}, [0.99, np.nan], val=[0.99, np.nan]),
        Cell({"init.name": "he", "optim.lr": 0.1}, [0.7, 0.7]),
        Cell({"init.name": "zeros", "optim.lr": 0.1}, [0.1, 0.1]),
    ]
    assert candidates(study_of(*cells)).set_index("candidate").loc["he", "rate"] == 0.1


def test_the_range_of_good_rates_is_around_the_best() -> None:
    scores = {1e-4: 0.9, 1e-3: 0.5, 1e-2: 0.899, 1e-1: 0.905, 1.0: 0.897, 10.0: 0.2}
    study = study_of(*rates(scores, init="he"), *rates({0.1: 0.5}, init="zeros"))
    row = candidates(study).set_index("candidate").loc["he"]
    assert (row["lowest"], row["highest"]) == (1e-2, 1.0)  # 1e-4 is as good, but not beside them
    assert row["decades"] == pytest.approx(2)


@pytest.mark.parametrize(("best", "edge"), [(0.01, True), (0.1, False), (1.0, True)])
def test_an_edge_is_said(best: float, edge: bool) -> None:
    scores = {rate: 0.9 if rate == best else 0.5 for rate in (0.01, 0.1, 1.0)}
    study = study_of(*rates(scores, init="he"), *rates({0.1: 0.5}, init="zeros"))
    assert candidates(study).set_index("candidate").loc["he", "at_edge"] == edge


def test_two_rates_have_no_middle_that_could_be_better() -> None:
    study = study_of(*rates({0.01: 0.5, 0.1: 0.9}, init="he"), *rates({0.1: 0.5}, init="zeros"))
    row = candidates(study).set_index("candidate").loc["he"]
    assert row["rate"] == 0.1
    assert not row["at_edge"]


def test_what_never_learns_has_no_range_and_no_edge() -> None:
    nan = np.nan
    cells = [Cell({"init.name": "ones", "optim.lr": rate}, [nan, nan]) for rate in (0.01, 0.1, 1.0)]
    study = study_of(*cells, *rates({0.1: 0.5}, init="zeros"))
    row = candidates(study).set_index("candidate").loc["ones"]
    assert np.isnan(row["decades"])
    assert not row["at_edge"]


def test_data_of_one_name_and_different_rows_are_kept_apart() -> None:
    cells = [
        Cell({"init.name": init, "seeds.of": sum_}, [0.5, 0.6], checksum=sum_)
        for init in ("he", "zeros")
        for sum_ in ("aaaaaaaa", "bbbbbbbb")
    ]
    table = candidates(study_of(*cells))
    assert sorted(set(table["data"])) == ["wine (aaaaaa)", "wine (bbbbbb)"]


def test_data_whose_own_keys_say_how_their_rows_differ_keep_their_name() -> None:
    """Sequences of several lengths are one data set in several settings, and their scores are on one axis."""
    cells = [
        Cell({"init.name": init, "data.steps": steps}, [0.5, 0.6], checksum=f"{steps}" * 8)
        for init in ("he", "zeros")
        for steps in (9, 10)
    ]
    table = candidates(study_of(*cells))
    assert set(table["data"]) == {"wine"}
    assert list(table["setting"].unique()) == ["data.steps=9", "data.steps=10"]
    more = [Cell({**cell.changes, "seeds.of": "b"}, cell.scores, checksum="b" * 8) for cell in cells]
    assert all("(" in data for data in candidates(study_of(*cells, *more))["data"])  # steps do not say why these differ


def test_one_scheme_under_two_names_is_one_candidate() -> None:
    study = inits(he=[0.5, 0.6], kaiming_normal=[0.5, 0.6])
    same = study.differing.assign(init="he_normal")
    assert list(candidates(Study(study.members, study.history, same))["candidate"]) == ["he_normal"]


def test_of_jobs_that_differ_in_their_seeds_the_one_with_most_counts() -> None:
    cells = [
        Cell({"init.name": init, "optim.lr": rate, "seeds": seeds}, [score * rate] * seeds)
        for init, score in (("he", 0.9), ("zeros", 0.1))
        for rate in (0.1, 0.5, 1.0)
        for seeds in (5, 8)
    ]
    study = study_of(*cells)
    assert "seeds" not in study.differing
    table = candidates(study)
    assert list(table["candidate"]) == ["he", "zeros"]
    assert list(table["rates"]) == [3, 3]
    assert all("seeds=8" in job for job in table["job"])


def test_rounding_does_not_choose_a_rate() -> None:
    """Means of the same scores in another order differ in their last digit; of equal ones the middle is meant."""
    scores = np.random.default_rng(0).uniform(0.3, 0.9, 30)
    cells = [
        Cell({"init.name": "he", "optim.lr": rate}, np.random.default_rng(k).permutation(scores))
        for k, rate in enumerate((0.001, 0.01, 0.1, 1.0, 10.0))
    ]
    table = candidates(study_of(*cells, Cell({"init.name": "zeros", "optim.lr": 0.1}, [0.1] * 30)))
    row = table.set_index("candidate").loc["he"]
    assert row["rate"] == 0.1
    assert not row["at_edge"]


def test_a_parameter_that_only_others_have_is_not_named() -> None:
    cells = [Cell({"init.name": "he"}, [0.5, 0.5])]
    cells += [Cell({"init.name": "normal", "init.std": std}, [0.5, 0.6]) for std in (0.1, 1.0)]
    assert sorted(candidates(study_of(*cells))["candidate"]) == ["he", "normal, init.std=0.1", "normal, init.std=1"]
