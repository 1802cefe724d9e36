"""Pairs under one condition: verdicts, and that they say what their intervals say."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.random import Generator
from scipy import stats

from initlab.results.analysis import analyse
from initlab.results.candidates import arrange, choose_rates, find_axes
from initlab.results.comparison import count_pairs
from initlab.results.confidence import LEVEL
from initlab.results.crossed import Estimate, RowScores
from initlab.results.multiplicity import adjusted_p
from initlab.results.pairs import COLUMNS, MOST_COMPARED, MOST_SEEDS, compare_pairs, seeds_to_decide, verdict_of
from initlab.results.pooling import pool_seeds
from initlab.results.scores import counted_rows
from initlab.results.study import Study
from tests.results.studies import Cell, StudyByRow, cell_by_row, inits, study_of


def pairs_of(study: Study, *, level: float = LEVEL) -> pd.DataFrame:
    """All pairs, without the rest of an analysis."""
    axes = find_axes(study.differing)
    return compare_pairs(study, choose_rates(arrange(study, axes), axes), level=level)


def verdicts(study: Study) -> dict[tuple[str, str], str]:
    pairs = analyse(study).pairs
    return dict(zip(zip(pairs["a"], pairs["b"], strict=True), pairs["verdict"], strict=True))


def quick_study(cells: Sequence[Cell]) -> tuple[Study, pd.DataFrame]:
    """A study of initializers on one data set without histories, and its candidates as they come."""
    table = pd.DataFrame([{"candidate": cell.changes["init.name"], "job": cell.name} for cell in cells])
    study = StudyByRow(
        members=pd.concat([cell.members for cell in cells], ignore_index=True),
        history=pd.DataFrame(),
        differing=pd.DataFrame(),
        by_row={cell.name: cell.by_row for cell in cells if cell.by_row is not None},
    )
    return study, table.assign(data="wine", metric=cells[0].metric, setting="")


def random_cells(rng: Generator) -> list[Cell]:
    """Two to five candidates: old or with results by row, of one split or many, some of them alike, some diverging."""
    seeds, tested = int(rng.integers(2, 15)), int(rng.integers(2, 60))
    kind = rng.choice(["alone", "fixed", "splits"])
    metric = str(rng.choice(["accuracy", "r2"]))
    rows = np.stack([np.sort(rng.permutation(3 * tested)[:tested]) for _ in range(seeds)])
    difficulty = rng.normal(0, 1, 3 * tested)[rows if kind == "splits" else rows[:1]]
    center, spread = rng.normal(1, 1), 10 ** rng.uniform(-2, 0.5)
    cells = []
    for k in range(int(rng.integers(2, 6))):
        latent = center + difficulty + spread * rng.normal(size=(seeds, tested)) + rng.choice([0, 0, 0.5, 3])
        scores = (latent > 0).astype(float) if metric == "accuracy" else 0.9 - np.abs(latent) / 3
        lost = [place for place in range(seeds) if rng.random() < rng.choice([0, 0, 0.2])][: seeds - 1]
        cell = cell_by_row(
            {"init.name": f"s{k}"}, scores, rows=rows if kind == "splits" else None, lost=lost, metric=metric
        )
        cells.append(replace(cell, by_row=None) if kind == "alone" else cell)
    return cells


@pytest.mark.slow
def test_verdicts_say_what_intervals_say_over_random_studies() -> None:
    """And p does, and a and b may change places, and what is undecided says how many seeds decide it."""
    rng = np.random.default_rng(0)
    seen: dict[str, int] = {}
    for _ in range(120):
        study, candidates = quick_study(random_cells(rng))
        level, margin = float(rng.choice([0.9, 0.95, 0.99])), float(rng.choice([0.005, 0.01, 0.05, 0.3]))
        looks = int(rng.choice([1, 1, 5]))
        pairs, turned = (
            compare_pairs(study, table, level=level, margin=margin, looks=looks)
            for table in (candidates, candidates[::-1])
        )
        reverse = turned.set_index(["b", "a"])
        for row in pairs.to_dict("records"):
            verdict = row["verdict"]
            seen[verdict] = seen.get(verdict, 0) + 1
            known = not np.isnan(row["low"])
            assert (verdict == "better") == (row["low"] > 0)
            assert (verdict == "worse") == (row["high"] < 0)
            assert (verdict in ("better", "worse")) == (row["p_adjusted"] < 1 - level)
            within = -margin <= row["low"] <= 0 <= row["high"] <= margin
            assert (verdict == "equivalent") == within
            if known:
                assert -1 <= row["low"] <= row["difference"] + 1e-9
                assert row["difference"] - 1e-9 <= row["high"] <= 1
            else:
                assert verdict == "undecided"
            assert row["p"] <= row["p_adjusted"] + 1e-9
            if verdict == "undecided" and known:
                assert row["seeds"] < row["seeds_needed"]
            else:
                assert np.isnan(row["seeds_needed"])
            other = reverse.loc[row["a"], row["b"]]
            assert other["difference"] == pytest.approx(-row["difference"], abs=1e-12)
            assert (other["low"], other["high"]) == pytest.approx((-row["high"], -row["low"]), abs=1e-12, nan_ok=True)
            assert other["p_adjusted"] == pytest.approx(row["p_adjusted"], abs=1e-12)
            assert other["verdict"] == {"better": "worse", "worse": "better"}.get(verdict, verdict)
            assert other["seeds_needed"] == pytest.approx(row["seeds_needed"], nan_ok=True)
    assert min(seen[verdict] for verdict in ("better", "worse", "equivalent", "undecided")) > 30, seen


def test_a_pair_is_compared_seed_by_seed() -> None:
    """The seeds differ far more than the initializers do; only pairing sees that he is better on each."""
    base = np.linspace(0.3, 0.9, 10)
    steps = np.array([0.01, 0.012, 0.011, 0.009, 0.01, 0.013, 0.008, 0.01, 0.011, 0.01])
    pairs = analyse(inits(he=base + steps, xavier=base)).pairs
    (row,) = pairs.to_dict("records")
    assert (row["a"], row["b"], row["verdict"], row["seeds"]) == ("he", "xavier", "better", 10)
    theirs = stats.ttest_rel(base + steps, base)
    assert [row["p"], row["p_adjusted"]] == pytest.approx([theirs.pvalue] * 2)
    assert row["difference"] == pytest.approx(steps.mean())
    assert (row["low"], row["high"]) == pytest.approx(tuple(theirs.confidence_interval()))
    assert row["superiority"] == 1
    assert stats.mannwhitneyu(base + steps, base).pvalue > 0.5


def test_intervals_are_of_all_pairs_of_a_condition_together() -> None:
    rng = np.random.default_rng(0)
    cells = [
        Cell({"init.name": name, "activation.name": activation}, rng.normal(0.8 + 0.01 * k, 0.01, 10))
        for k, name in enumerate(("a", "b", "c", "d"))
        for activation in ("relu", "tanh")
    ]
    pairs = analyse(study_of(*cells)).pairs
    assert len(pairs) == 12
    wider = stats.t.isf(0.025 / 6, 9) / stats.t.isf(0.025, 9)  # of six pairs
    for _, part in pairs.groupby("setting"):
        np.testing.assert_allclose(part["p_adjusted"], adjusted_p(part["p"].to_numpy(), 4))
    for row in pairs.to_dict("records"):
        one, other = (
            next(
                cell
                for cell in cells
                if cell.changes["init.name"] == row[side] and str(cell.changes["activation.name"]) in row["setting"]
            )
            for side in ("a", "b")
        )
        (of_two,) = pairs_of(study_of(one, other)).to_dict("records")
        assert row["high"] - row["low"] == pytest.approx(wider * (of_two["high"] - of_two["low"]), rel=1e-5)


def test_small_differences_are_equivalent_and_large_intervals_undecided() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 10))
    study = inits(he=0.8 + noise[0], xavier=0.8 + noise[1], zeros=[0.1] * 10, ones=0.1 + noise[0] / 100)
    found = {frozenset(pair): verdict for pair, verdict in verdicts(study).items()}
    assert found[frozenset(("he", "xavier"))] == "undecided"
    assert found[frozenset(("zeros", "ones"))] == "equivalent"
    assert found[frozenset(("he", "zeros"))] == "better"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.002, "better"),  # however small
        (-0.5, -0.001, "worse"),
        (-0.01, 0.01, "equivalent"),
        (0.0, 0.01, "equivalent"),
        (0.0, 0.0, "equivalent"),
        (0.0, 0.011, "undecided"),
        (-0.011, 0.0, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_what_an_interval_says(low: float, high: float, verdict: str) -> None:
    assert verdict_of(low, high, 0.01) == verdict


def test_one_seed_decides_nothing() -> None:
    (row,) = pairs_of(inits(he=[0.9], zeros=[0.1])).to_dict("records")
    assert (row["verdict"], row["p"], row["p_adjusted"]) == ("undecided", 1, 1)
    assert np.isnan([row["low"], row["high"], row["seeds_needed"]]).all()


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "undecided"), (4, "undecided"), (5, "better")])
def test_a_few_equal_differences_decide_nothing(seeds: int, verdict: str) -> None:
    """Of 36 rows one makes the difference on two seeds: another split of luck, and it would not."""
    (row,) = pairs_of(inits(he=[1.0] * seeds, xavier=[35 / 36] * seeds)).to_dict("records")
    assert row["verdict"] == verdict


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_the_same_networks_are_equivalent(seeds: int) -> None:
    """An initializer under two names: equal to the last digit, but for rounding."""
    scores = np.linspace(0.7, 0.9, seeds)
    (row,) = pairs_of(inits(he=scores, kaiming=scores + 1e-14)).to_dict("records")
    assert (row["verdict"], row["low"], row["high"], row["p"]) == ("equivalent", 0, 0, 1)
    by_row = np.random.default_rng(0).random((seeds, 50)).round()
    cells = [cell_by_row({"init.name": name}, by_row) for name in ("he", "kaiming")]
    (row,) = pairs_of(study_of(*cells)).to_dict("records")
    assert (row["verdict"], row["low"], row["high"]) == ("equivalent", 0, 0)
    rounded = [cells[0], replace(cells[1], by_row=replace(cells[1].by_row, scores=by_row + 1e-13))]  # type: ignore[type-var]
    (row,) = pairs_of(study_of(*rounded)).to_dict("records")
    assert (row["verdict"], row["low"], row["high"]) == ("equivalent", 0, 0)


def test_equal_scores_of_other_networks_are_no_certainty() -> None:
    """Ten seeds that all get all of 60 rows right, with other losses: other rows may tell them apart."""
    cells = [cell_by_row({"init.name": name}, np.ones((10, 60))) for name in ("he", "xavier")]
    study = study_of(*cells)
    study = replace(study, members=study.members.assign(test_loss=np.linspace(0, 1, 20)))
    (row,) = pairs_of(study).to_dict("records")
    assert row["difference"] == 0
    assert -row["low"] == row["high"] > 1 / 60
    assert row["verdict"] == "undecided"
    assert row["seeds_needed"] == np.inf  # no more seeds, but rows
    assert row["share_of_rows"] == 1


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
    assert (none["seeds"], none["verdict"], none["p"]) == (0, "undecided", 1)
    assert none["p_adjusted"] == pytest.approx(1)
    assert np.isnan([none[name] for name in ("difference", "low", "high", "seeds_needed", "share_of_rows")]).all()


def test_rows_of_common_seeds_are_compared() -> None:
    rng = np.random.default_rng(1)
    scores, spoilt = rng.random((12, 80)).round(), np.arange(80) % 5 > 0
    cells = [
        cell_by_row({"init.name": "he"}, scores),
        cell_by_row({"init.name": "xavier"}, scores[4:] * spoilt, first_seed=4),
    ]
    (row,) = pairs_of(study_of(*cells)).to_dict("records")
    assert row["seeds"] == 8
    assert row["difference"] == pytest.approx(scores[4:].mean() - np.mean(cells[1].scores))
    assert 0 < row["share_of_rows"] < 1


def test_where_a_seed_has_no_results_by_row_seeds_alone_are_compared() -> None:
    rng = np.random.default_rng(1)
    cells = [cell_by_row({"init.name": name}, rng.random((6, 80)).round()) for name in ("he", "xavier")]
    assert cells[0].by_row is not None
    short = replace(cells[0], by_row=cells[0].by_row.of_seeds(np.arange(5)))
    (row,) = pairs_of(study_of(short, cells[1])).to_dict("records")
    assert row["seeds"] == 6
    assert np.isnan(row["share_of_rows"])
    table = analyse(study_of(short, cells[1])).candidates.set_index("candidate")
    assert table.loc["he", "covers"] == "seeds"
    assert table.loc["xavier", "covers"] == "rows"


def test_a_diverged_member_counts_as_zero_and_is_not_dropped() -> None:
    study = inits(sure=[0.6] * 10, lucky=[0.99] * 4 + [np.nan] * 6)
    (row,) = analyse(study).pairs.to_dict("records")
    assert (row["a"], row["b"]) == ("sure", "lucky")
    assert row["difference"] == pytest.approx(0.6 - 0.99 * 0.4)
    assert row["superiority"] == pytest.approx(0.6)


@pytest.mark.parametrize("splits", [False, True])
def test_by_row_it_counts_as_zero_too(splits: bool) -> None:
    rng = np.random.default_rng(2)
    rows = np.stack([rng.permutation(90)[:30] for _ in range(10)]) if splits else None
    chance = np.linspace(0, 1, 90)[rows if rows is not None else np.arange(30) * 3]  # some rows are easier
    sure, lucky = (rng.random((10, 30)) < chance**power for power in (1, 0.02))
    cells = [
        cell_by_row({"init.name": "sure"}, 1.0 * sure, rows=rows),
        cell_by_row({"init.name": "lucky"}, 1.0 * lucky, rows=rows, lost=range(4, 10)),
    ]
    (row,) = pairs_of(study_of(*cells)).to_dict("records")
    expected = sure.mean() - lucky[:4].mean() * 0.4
    assert row["difference"] == pytest.approx(expected)
    assert (row["low"] + row["high"]) / 2 == pytest.approx(expected)  # the same scores by row
    assert 0 < row["share_of_rows"] < 1


def test_a_negative_r2_counts_as_zero_by_row_too() -> None:
    rng = np.random.default_rng(3)
    good, bad = rng.normal(0.5, 0.3, (8, 40)), rng.normal(-0.4, 2, (8, 40))
    cells = [cell_by_row({"init.name": name}, scores, metric="r2") for name, scores in (("good", good), ("bad", bad))]
    (row,) = pairs_of(study_of(*cells)).to_dict("records")
    expected = (good.mean(1) - bad.mean(1).clip(0)).mean()
    assert row["difference"] == pytest.approx(expected)
    assert (row["low"] + row["high"]) / 2 == pytest.approx(expected)


def test_counted_rows_have_counted_means() -> None:
    known = RowScores(np.array([3, 4, 5]), np.array([[0.5, -0.1], [0.2, -0.9], [7.0, 7.0]]), None, 9)
    members = pd.DataFrame({"counted": [0.2, 0.0, 0.0]}, index=[3, 4, 5])
    assert counted_rows(known, members).scores.tolist() == [[0.5, -0.1], [0, 0], [0, 0]]
    assert known.scores[2, 0] == 7


def test_of_very_many_only_those_with_the_best_are_shown() -> None:
    rng = np.random.default_rng(0)
    count = MOST_COMPARED + 5
    pairs = pairs_of(inits(**{f"s{k}": rng.normal(0.5, 0.01, 6) for k in range(count)}))
    assert len(pairs) == count - 1
    assert pairs["a"].nunique() == 1
    np.testing.assert_allclose(pairs["p_adjusted"], adjusted_p(pairs["p"].to_numpy(), count))  # of all of them


def test_leading_is_the_best_and_what_is_not_worse() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 10))
    study = inits(he=0.8 + noise[0], xavier=0.8 + noise[1], zeros=[0.1] * 10)
    table = analyse(study).candidates
    assert dict(zip(table["candidate"], table["leading"], strict=True)) == {"he": True, "xavier": True, "zeros": False}
    assert list(table["standing"]) == ["best", "undecided", "worse"]
    assert list(analyse(study, margin=0.1).candidates["standing"]) == ["best", "equivalent", "worse"]
    few = analyse(inits(he=[0.9, 0.6], zeros=[0.1, 0.1])).candidates
    assert list(few["standing"]) == ["best", "undecided"]


def test_who_is_alone_under_a_condition_is_best_of_nothing() -> None:
    """A scheme that one of two networks cannot have leaves the other alone there."""
    cells = [("post", "deepnorm"), ("post", "xavier_normal"), ("pre", "xavier_normal")]
    scores = {"deepnorm": [0.8, 0.82] * 5, "xavier_normal": [0.3, 0.31] * 5}
    study = study_of(*(Cell({"model.norm": norm, "init.name": name}, scores[name]) for norm, name in cells))
    table = analyse(study).candidates
    of_cell = dict(zip(zip(table["setting"], table["candidate"], strict=True), table["standing"], strict=True))
    assert of_cell == {
        ("model.norm=post", "deepnorm"): "best",
        ("model.norm=post", "xavier_normal"): "worse",
        ("model.norm=pre", "xavier_normal"): "alone",
    }
    each = study_of(*(Cell({"model.norm": norm, "init.name": "he_normal"}, [0.8, 0.82]) for norm in ("post", "pre")))
    assert "alone" not in set(analyse(each).candidates["standing"])


def test_margin_and_level_are_keys() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 20))
    study = inits(he=0.8 + noise[0], xavier=0.79 + noise[1], zeros=[0.1] * 20)
    narrow, wide = analyse(study, level=0.5), analyse(study, level=0.999)
    assert (wide.pairs["high"] - wide.pairs["low"] > narrow.pairs["high"] - narrow.pairs["low"]).all()
    first = {margin: analyse(study, margin=margin).pairs for margin in (0.01, 0.2)}
    assert first[0.01]["low"].equals(first[0.2]["low"])
    assert first[0.01]["verdict"].iloc[0] == "undecided"
    assert first[0.2]["verdict"].iloc[0] == "equivalent"
    assert analyse(study, margin=0.2).margin == 0.2


def test_every_look_is_paid_for() -> None:
    rng = np.random.default_rng(4)
    scores = {name: rng.normal(0.8 + k / 100, 0.02, 12) for k, name in enumerate("abc")}
    cells = [Cell({"init.name": name}, values) for name, values in scores.items()]
    once = analyse(study_of(*cells)).pairs
    five = analyse(study_of(*(replace(cell, metadata={"looks": 5}) for cell in cells))).pairs
    assert (five["high"] - five["low"] > once["high"] - once["low"]).all()
    np.testing.assert_allclose(five["p_adjusted"], np.minimum(1, once["p_adjusted"] * 5))
    of_a_fifth = pairs_of(study_of(*cells), level=0.99)
    np.testing.assert_allclose(five[["low", "high"]], of_a_fifth[["low", "high"]])


@pytest.mark.parametrize("seed", range(100))
def test_the_seeds_said_to_decide_do_and_one_less_does_not(seed: int) -> None:
    """With the half width written out: Student's quantile by Satterthwaite's degrees of freedom."""
    rng = np.random.default_rng(seed)
    seeds, rows, margin = int(rng.integers(2, 60)), int(rng.integers(30, 5_000)), 10 ** rng.uniform(-2.5, -1)
    error = float(rng.choice([0.05, 0.01, 0.001]))
    mean = float(rng.choice([0, margin / 2, margin, 4 * margin]) * rng.choice([-1, 1]))
    of_seeds = 10 ** rng.uniform(-6, -3)
    of_rows = float(rng.choice([np.nan, 0.0, of_seeds / 100, of_seeds]))
    found = Estimate(mean, of_seeds, of_rows, seeds, 0 if np.isnan(of_rows) else rows)

    def decided(number: float) -> bool:
        part, other = of_seeds * seeds / number, np.nan_to_num(of_rows)
        freedom = (part + other) ** 2 / (part**2 / (number - 1) + other**2 / (rows - 1))
        half = stats.t.isf(error / 2, freedom) * (part + other) ** 0.5
        return bool(abs(mean) > half or abs(mean) + half <= margin)

    needed = seeds_to_decide(found, error, margin)
    if np.isinf(needed):
        assert not any(decided(number) for number in (seeds, 100, 1_000, MOST_SEEDS))
    elif needed == seeds:
        assert decided(seeds)
    else:
        assert decided(needed)
        assert not decided(needed - 1)


def test_one_seed_does_not_tell_how_many_decide() -> None:
    assert np.isnan(seeds_to_decide(Estimate(0.1, np.nan, np.nan, 1, 0), 0.05, 0.01))


def test_without_a_second_candidate_there_are_no_pairs() -> None:
    pairs = pairs_of(inits(he=[0.9, 0.8]))
    assert pairs.empty
    assert list(pairs.columns)[3:] == COLUMNS


def test_pooled_jobs_are_compared_by_row() -> None:
    """Ten seeds in two jobs are ten seeds; here their rows are handed over as one."""
    rng = np.random.default_rng(5)
    scores = rng.random((10, 50)).round()
    cells = [
        Cell({"init.name": "he"}, scores[:6].mean(1)),
        Cell({"init.name": "he", "seed": 6}, scores[6:].mean(1), first_seed=6),
        cell_by_row({"init.name": "xavier"}, rng.random((10, 50)).round()),
    ]
    study = pool_seeds(study_of(*cells))
    known = RowScores(np.arange(10), scores, None, 1_000)
    study = replace(study, by_row={**study.by_row, cells[0].name: known})  # type: ignore[attr-defined, call-arg]
    (row,) = pairs_of(study).to_dict("records")
    assert (row["seeds"], row["share_of_rows"] > 0) == (10, True)


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


def test_two_negative_r2_count_the_same() -> None:
    cells = [Cell({"init.name": name}, [score] * 8, metric="r2") for name, score in (("he", -0.2), ("zeros", -3.0))]
    (row,) = analyse(study_of(*cells)).pairs.to_dict("records")
    assert (row["difference"], row["verdict"]) == (0, "equivalent")


def test_many_candidates_can_differ() -> None:
    rng = np.random.default_rng(0)
    names = {f"s{k:02d}": rng.normal(0.9 - 0.02 * k, 0.001, 10) for k in range(33)}
    pairs = pairs_of(inits(**names))
    assert set(pairs["verdict"]) == {"better"}
    assert len(pairs) == 32 < count_pairs(33)


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
