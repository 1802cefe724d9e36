"""Looks at a study until it is decided."""

from pathlib import Path

import numpy as np
import pytest

from initlab.jobs.looks import look_sizes
from initlab.results.analysis import analyse
from initlab.results.crossed import of_seeds_alone
from initlab.results.multiplicity import pairwise_significance
from initlab.results.pairs import verdict_of
from initlab.results.sequential import Look, look_at, seen_with
from initlab.results.study import Study, read_study
from initlab.tables.schema import ROWS
from initlab.tables.store import write_table
from tests.results.studies import Cell, study_of, write_study


def spread(mean: float, by: float, seeds: int = 10, seed: int = 0) -> np.ndarray:
    """Scores of exactly a mean and a standard deviation."""
    values = np.random.default_rng(seed).normal(size=seeds)
    return np.asarray(mean + by * (values - values.mean()) / values.std(ddof=1))


def looked(*cells: Cell, **options: object) -> Look:
    return look_at(analyse(study_of(*cells)), **{"most": 200, **options})  # type: ignore[arg-type]


def cell(init: str, scores: np.ndarray, **changes: object) -> Cell:
    described = {"looks": 9}
    return Cell({"init.name": init, **{k.replace("_", "."): v for k, v in changes.items()}}, scores, metadata=described)


ZEROS = cell("zeros", spread(0.3, 0.01, seed=1))
HE = cell("he", spread(0.9, 0.01, seed=2))
XAVIER = cell("xavier", spread(0.912, 0.01, seed=3))


def test_only_jobs_of_open_pairs_get_more_seeds() -> None:
    look = looked(ZEROS, HE, XAVIER)
    assert (look.pairs, look.decided, look.seeds) == (3, 2, 10)
    assert list(look.helped) == ["init=xavier", "init=he"]
    assert look.words == "2 of 3 pairs decided with 10 seeds"
    assert look.going_on(5) == "2 of 3 pairs decided with 10 seeds; 5 more seeds for xavier and he"


def test_with_the_best_alone_others_may_stay_open() -> None:
    lower = cell("lower", spread(0.312, 0.01, seed=4))
    assert looked(ZEROS, lower, HE).helped == ["init=lower", "init=zeros"]
    assert looked(ZEROS, lower, HE, interest="best").helped == []
    assert looked(ZEROS, lower, HE, XAVIER, interest="best").helped == ["init=xavier", "init=he"]


def test_one_candidate_has_no_pairs() -> None:
    look = looked(HE)
    assert (look.pairs, look.seeds, list(look.helped)) == (0, 0, [])


def test_where_all_diverged_all_are_equivalent() -> None:
    lost = np.full(10, np.nan)
    look = looked(cell("zeros", lost), cell("he", lost))
    assert (look.pairs, look.decided) == (1, 1)


def test_each_condition_has_its_own_pairs() -> None:
    cells = [
        cell(init, scores, activation_name=activation)
        for activation, of_xavier in (("relu", 0.912), ("tanh", 0.95))
        for init, scores in (("he", spread(0.9, 0.01, seed=2)), ("xavier", spread(of_xavier, 0.01, seed=3)))
    ]
    look = looked(*cells)
    assert (look.pairs, look.decided, look.conditions) == (2, 1, 2)
    assert sorted(look.helped) == ["init=he,activation=relu", "init=xavier,activation=relu"]
    assert look.going_on(5) == "1 of 2 pairs decided with 10 seeds; 5 more seeds for 2 jobs"


def test_of_a_candidate_its_best_rate_alone_gets_more_seeds() -> None:
    cells = [
        cell(init, spread(mean - (rate != 0.1) * 0.2, 0.01, seed=seed), optim_lr=rate)
        for seed, (init, mean) in enumerate({"he": 0.9, "xavier": 0.912}.items())
        for rate in (0.01, 0.1, 1.0)
    ]
    look = looked(*cells)
    assert (look.pairs, look.decided) == (1, 0)
    assert list(look.helped) == ["init=xavier,optim.lr=0.1", "init=he,optim.lr=0.1"]


def test_of_very_many_candidates_the_pairs_with_the_best_count() -> None:
    cells = [cell(f"scheme{k}", spread(0.9 - 0.02 * k, 0.01, seed=k)) for k in range(25)]
    look = looked(*cells)
    assert look.pairs == 24
    assert next(iter(look.helped)) == "init=scheme0"
    assert 0 < len(look.helped) < 6


def test_a_long_list_is_a_number() -> None:
    names = [f"a_long_name_{k}" for k in range(6)]
    look = Look(pairs=15, decided=0, seeds=10, helped=names, names=names, conditions=1)
    assert look.going_on(5) == "0 of 15 pairs decided with 10 seeds; 5 more seeds for 6 jobs"


def test_jobs_of_other_commands_and_failed_ones_get_no_seeds() -> None:
    jobs = [one.name for one in (ZEROS, HE)]
    look = looked(ZEROS, HE, XAVIER, jobs=jobs)
    assert (look.pairs, look.decided, list(look.helped)) == (1, 1, [])
    look = looked(ZEROS, HE, XAVIER, failed=["init=he"])
    assert (look.pairs, look.decided, list(look.helped)) == (3, 2, [])


def test_what_more_seeds_will_hardly_decide_gets_none() -> None:
    def wide(seeds: int) -> Look:
        return looked(cell("he", spread(0.6, 0.2, seeds, seed=2)), cell("xavier", spread(0.6, 0.2, seeds, seed=3)))

    assert set(wide(10).helped) == {"init=he", "init=xavier"}  # what looks equal with 10 seeds may differ
    assert (wide(150).decided, list(wide(150).helped)) == (0, [])  # with 50 more it hardly will
    assert looked(HE, XAVIER, most=10).helped == []


def decided_at(differences: np.ndarray, candidates: int, margin: float) -> str:
    """The verdict that a study with `seeds=auto` ends with on a pair of whose members these are the differences."""
    sizes = look_sizes(len(differences))
    error = pairwise_significance(0.05 / len(sizes), candidates)
    for size in sizes:
        low, high = of_seeds_alone(differences[:size]).interval(1 - error)
        if (verdict := verdict_of(low, high, margin)) != "undecided":
            return verdict
    return "undecided"


STUDIES = 400


def test_under_the_null_hardly_any_study_ever_calls_one_of_four_better() -> None:
    """At any look and of any pair: 5 % at most, plus what chance adds to the share of so many studies."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(STUDIES):
        scores = rng.normal(0, 0.1, (1, 200)) + rng.normal(0, 0.05, (4, 200))
        verdicts = {decided_at(scores[i] - scores[j], 4, 0.001) for i in range(4) for j in range(i)}
        wrong += bool(verdicts & {"better", "worse"})
    assert wrong / STUDIES <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / STUDIES)


def test_at_the_margin_hardly_any_pair_is_ever_called_equivalent() -> None:
    rng = np.random.default_rng(1)
    verdicts = [decided_at(rng.normal(0.01, 0.03, 200), 2, 0.01) for _ in range(5 * STUDIES)]
    assert verdicts.count("equivalent") / len(verdicts) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(verdicts))
    assert verdicts.count("worse") == 0
    assert verdicts.count("better") > 0.5 * len(verdicts), "the test has no power"


def test_a_look_judges_as_the_simulation_does() -> None:
    """Through the tables: with the level of each look, of all pairs."""
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 0.02, 60)
    scores = {name: 0.7 + shared + rng.normal(0, 0.02, 60) for name in ("he", "xavier", "zeros", "normal")}
    looks = len(look_sizes(60))
    cells = [Cell({"init.name": name}, values, metadata={"looks": looks}) for name, values in scores.items()]
    study = study_of(*cells)
    for size in look_sizes(60):
        pairs = analyse(seen_with(study, 0, size)).pairs
        error = pairwise_significance(0.05 / looks, 4)
        for a, b, low, high in pairs[["a", "b", "low", "high"]].to_numpy():
            expected = of_seeds_alone(scores[a][:size] - scores[b][:size]).interval(1 - error)
            assert (low, high) == pytest.approx(expected)


def with_rows(folder: Path, cells: list[Cell], seeds: int, tested: int) -> Study:
    """A study whose members' scores are means over the same test rows."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 1, tested)
    study = write_study(folder, *cells)
    for one in cells:
        scores = np.clip(0.5 + 0.1 * rows + rng.normal(0, 0.1, (seeds, tested)), 0, 1).astype(np.float32)
        members = one.members.assign(test_score=scores.mean(1).astype(float))
        write_table(study / one.name, "members", members)
        table = members[["job", "member", "seed"]].assign(rows=None, scores=list(scores))
        assert list(table.columns) == ROWS.names
        write_table(study / one.name, "rows", table)
    return read_study(study)


def test_an_earlier_look_is_the_same_once_there_are_more_seeds(tmp_path: Path) -> None:
    def study(seeds: int) -> Study:
        made = [
            Cell({"init.name": name}, np.full(15, 0.5)[:seeds], metadata={"training_rows": 90, "looks": 9})
            for name in ("he", "xavier", "zeros")
        ]
        return with_rows(tmp_path / str(seeds), made, seeds, 40)

    whole = study(15)
    first = seen_with(whole, 0, 10)
    assert set(first.members["seed"]) == set(range(10))
    for job in ("init=he", "init=xavier"):
        known, all_known = first.row_scores(job), whole.row_scores(job)
        assert known is not None
        assert all_known is not None
        assert list(known.seeds) == list(range(10))
        np.testing.assert_array_equal(known.scores, all_known.scores[:10])
    pairs = analyse(first).pairs
    assert (pairs["seeds"] == 10).all()
    assert (pairs["rows"] == 40).all(), "rows are left out"
    assert (pairs["of_rows"] >= 0).all()
    members, history = first.members, first.history
    assert set(history["member"]) == set(members["member"])
    assert seen_with(whole, 0, 15) is whole
    # Seeds before the first one of the command are seen at all looks.
    assert set(seen_with(whole, 5, 5).members["seed"]) == set(range(10))
