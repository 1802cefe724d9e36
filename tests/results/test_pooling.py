"""Jobs that differ in nothing but seeds: one candidate, each seed once, in every view."""

import numpy as np
import pytest

from initlab.results.analysis import analyse
from initlab.results.pooling import pool_seeds
from initlab.results.study import read_study
from initlab.results.summary import summarize
from tests.results.studies import Cell, study_of, write_study

SCORES = np.random.default_rng(0).uniform(0.3, 0.9, 40)


def cell(init: str, first: int, count: int, shift: float = 0.0) -> Cell:
    """A job of some seeds, whose scores are a function of the seed."""
    changes = {"init.name": init, "seed": first, "seeds": count}
    return Cell(changes, SCORES[first : first + count] + shift, first_seed=first)


OVERLAPPING = [(1, 10), (2, 10), (3, 10)]


def test_overlapping_seeds_count_once_in_every_view() -> None:
    cells = [cell(init, *part, shift) for init, shift in (("he", 0.05), ("zeros", 0.0)) for part in OVERLAPPING]
    whole = analyse(study_of(cell("he", 1, 12, 0.05), cell("zeros", 1, 12)))
    found = analyse(study_of(*cells))
    assert list(found.candidates["candidate"]) == ["he", "zeros"]
    assert list(found.candidates["seeds"]) == [12, 12]
    columns = ["score", "score_low", "score_high", "median", "iqm", "std", "test", "validation"]
    np.testing.assert_allclose(found.candidates[columns], whole.candidates[columns])
    assert found.pairs["seeds"].tolist() == [12]
    assert found.pairs["p"].tolist() == whole.pairs["p"].tolist()
    assert list(found.summary["seeds"]) == [12, 12]
    for job, curve in found.curves.items():
        assert curve.shape == (12, 4)
        last = found.by_job[job].sort_values("member")["val_score"]
        np.testing.assert_allclose(curve[3].to_numpy(np.float64), last)


def test_ten_seeds_three_times_are_no_thirty() -> None:
    """What would be wrong: intervals as of 30 seeds, and a difference shown that 12 seeds do not show."""
    cells = [cell(init, *part, shift) for init, shift in (("he", 0.05), ("zeros", 0.0)) for part in OVERLAPPING]
    members = pool_seeds(study_of(*cells)).members
    assert members.groupby("job")["seed"].apply(list).tolist() == [list(range(1, 13))] * 2
    assert members.groupby("job")["member"].apply(list).tolist() == [list(range(12))] * 2


@pytest.mark.parametrize("largest", [0, 1, 2])
def test_the_job_with_most_seeds_stands_for_all_and_its_numbers_count(largest: int) -> None:
    """A seed that several trained is taken from the job with more seeds, wherever that stands."""
    counts = [9 if place == largest else 3 for place in range(3)]
    cells = [
        Cell({"init.name": "he", "seed": 0, "seeds": count, "name": f"run{place}"}, [0.1 * (place + 1)] * count)
        for place, count in enumerate(counts)
    ]
    pooled = pool_seeds(study_of(*cells))
    assert pooled.members["job"].unique().tolist() == [cells[largest].name]
    assert pooled.members["test_score"].tolist() == [0.1 * (largest + 1)] * 9
    assert pooled.history["job"].unique().tolist() == [cells[largest].name]


def test_seeds_with_a_gap_are_one_candidate_too() -> None:
    study = study_of(cell("he", 0, 5), cell("he", 20, 5), cell("zeros", 0, 5))
    summary = summarize(study).set_index("init")
    assert summary["seeds"].to_dict() == {"he": 10, "zeros": 5}
    expected = np.concatenate([SCORES[:5], SCORES[20:25]]).mean()
    assert summary.loc["he", "test_score_mean"] == pytest.approx(expected)


def test_what_differs_in_more_is_not_pooled() -> None:
    cells = [
        Cell({"init.name": "he", "optim.lr": rate, "seed": seed}, [0.5, 0.6], first_seed=seed)
        for rate in (0.1, 0.2)
        for seed in (0, 2)
    ]
    pooled = pool_seeds(study_of(*cells))
    assert pooled.members.groupby("job").size().tolist() == [4, 4]
    assert sorted(pooled.members.groupby("job")["lr"].first()) == [0.1, 0.2]
    others = [
        Cell({"init.name": "he", "seed": seed}, [0.5], checksum=f"{seed}" * 8, first_seed=seed) for seed in (1, 2)
    ]
    assert len(pool_seeds(study_of(*others)).configs) == 2  # other data


def test_a_pooled_study_stays_as_it_is() -> None:
    study = study_of(*(cell("he", *part) for part in OVERLAPPING), cell("zeros", 0, 10))
    once = pool_seeds(study)
    assert pool_seeds(once) is once
    assert list(once.members["job"].unique()) == [study.members["job"].iloc[0], "init=zeros,seed=0,seeds=10"]


def test_old_studies_from_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, *(cell("he", *part) for part in OVERLAPPING), cell("zeros", 1, 12))
    analysis = analyse(read_study(folder))
    assert analysis.candidates.set_index("candidate")["seeds"].to_dict() == {"he": 12, "zeros": 12}
    name = str(analysis.candidates.set_index("candidate").loc["he", "job"])
    assert analysis.study.folders[name] == folder / name
