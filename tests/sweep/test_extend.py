"""More seeds extend a job: what was trained stays to the bit, and nothing is trained twice."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from initlab.base.console import open_console
from initlab.cli.run_train import train_seeds
from initlab.cohort.run import train_cohort
from initlab.jobs.job import Job
from initlab.results.study import read_study
from initlab.results.summary import summarize
from initlab.sweep import worker
from initlab.sweep.crew import training_crew
from initlab.sweep.naming import place_jobs
from initlab.sweep.plan import make_plan
from initlab.sweep.run import Run
from initlab.tables.store import read_config, read_metadata, read_table, write_metadata
from tests.helpers import QUICK, make_job, run
from tests.sweep.helpers import tables_of

Patch = pytest.MonkeyPatch
EXACTLY: dict[str, Any] = {"check_exact": True}
NEARLY: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def trained(monkeypatch: Patch) -> list[tuple[str, int]]:
    """Each job and seed that trains from now on."""
    found: list[tuple[str, int]] = []

    def spy(shares: Any, *arguments: Any, **settings: Any) -> Any:
        found.extend((share.job.name, seed) for share in shares for seed in share.seeds)
        return train_cohort(shares, *arguments, **settings)

    monkeypatch.setattr(worker, "train_cohort", spy)
    return found


def command(seeds: str, name: str = "study", more: str = "") -> str:
    return f"{seeds} trainer.max_epochs=2 signal.every=1 logger=none report=false n_jobs=1 name={name} {more}"


def rows_of_seeds(tables: Sequence[pd.DataFrame], seeds: Sequence[int]) -> list[pd.DataFrame]:
    """The rows of some members of a job's tables, without what extending changes: the members' numbers."""
    members = tables[0]
    numbers = dict(zip(members["member"], members["seed"], strict=True))
    found = []
    for table in tables:
        seed = table["member"].map(numbers)
        rows = table.assign(member=seed)[seed.isin(seeds)].drop(columns="job")
        keys = [key for key in ("epoch", "split", "member", "position") if key in rows]
        found.append(rows.sort_values(keys, ignore_index=True))
    return found


def assert_same(
    one: Sequence[pd.DataFrame], other: Sequence[pd.DataFrame], seeds: Sequence[int], how: dict[str, Any]
) -> None:
    for left, right in zip(rows_of_seeds(one, seeds), rows_of_seeds(other, seeds), strict=True):
        assert len(left) > 0
        if how is NEARLY:  # of theory: it is for the weights of those that trained together
            predicted = [column for column in left if str(column).startswith("predicted")]
            left, right = left.drop(columns=predicted), right.drop(columns=predicted)
        pd.testing.assert_frame_equal(left, right, **how)


def assert_in_order(tables: Sequence[pd.DataFrame], seeds: Sequence[int]) -> None:
    """A job's tables are of these seeds: each member's number is its place among them."""
    members, history, signal = tables
    assert list(members["seed"]) == sorted(seeds)
    assert list(members["member"]) == list(range(len(seeds)))
    assert set(history["member"]) == set(range(len(seeds)))
    numbers = signal.drop_duplicates("member").set_index("member")["seed"]
    assert numbers.sort_index().to_dict() == dict(enumerate(sorted(seeds)))


def test_more_seeds_are_added_and_the_others_kept(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: list[tuple[str, int]]
) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"-m init=he,xavier {command('seeds=3')}", monkeypatch, tmp_path) == 0
    before = tables_of(study)
    trained.clear()
    capsys.readouterr()
    assert run(f"-m init=he,xavier {command('seeds=5')}", monkeypatch, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "2 jobs are extended: 4 networks with new seeds are added to 6 that are kept" in said
    assert sorted(trained) == [(f"init={init}", seed) for init in ("he", "xavier") for seed in (3, 4)]
    trained.clear()
    assert run(f"init=he {command('seeds=2 seed=100')}", monkeypatch, tmp_path) == 0
    assert trained == [("init=he", 100), ("init=he", 101)]
    after = tables_of(study)
    assert list(after) == list(before) == ["init=he", "init=xavier"]
    for name in before:
        assert_same(after[name], before[name], range(3), EXACTLY)
    assert_in_order(after["init=he"], [0, 1, 2, 3, 4, 100, 101])
    assert_in_order(after["init=xavier"], range(5))
    assert read_metadata(study / "init=he")["seeds"] == [0, 1, 2, 3, 4, 100, 101]
    assert (read_config(study / "init=he")["seed"], read_config(study / "init=he")["seeds"]) == (0, 7)
    assert dict(pd.read_csv(study / "summary.csv")[["init", "seeds"]].to_numpy()) == {
        "he_normal": 7,
        "xavier_normal": 5,
    }
    # Fewer train nothing, and drop nothing.
    trained.clear()
    files = {path: path.read_bytes() for path in study.glob("*/*.parquet")}
    assert run(f"-m init=he,xavier {command('seeds=2')}", monkeypatch, tmp_path) == 0
    assert "2 of 2 jobs are finished already" in capsys.readouterr().out
    assert trained == []
    assert {path: path.read_bytes() for path in study.glob("*/*.parquet")} == files


def test_earlier_seeds_stand_before_later_ones(monkeypatch: Patch, tmp_path: Path) -> None:
    """Those that were first keep their rows, and get other numbers."""
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {command('seeds=2 seed=100')}", monkeypatch, tmp_path) == 0
    before = tables_of(study)["init=he"]
    assert run(f"init=he {command('seeds=3 seed=7')}", monkeypatch, tmp_path) == 0
    after = tables_of(study)["init=he"]
    assert_in_order(after, [7, 8, 9, 100, 101])
    assert_same(after, before, [100, 101], EXACTLY)


@pytest.mark.parametrize(
    ("size", "how"),
    [("max_members=2", EXACTLY), pytest.param("", NEARLY, marks=pytest.mark.slow)],
    ids=["cohorts of two", "one"],
)
@pytest.mark.parametrize("data", ["wine", pytest.param("digits", marks=pytest.mark.slow)])
def test_in_two_steps_is_as_at_once(
    data: str, size: str, how: dict[str, Any], monkeypatch: Patch, tmp_path: Path
) -> None:
    """To the bit where cohorts are of one size: a member's result does not depend on which other seeds there are."""
    more = f"init=he,lsuv data={data} {size} threads=1"
    for seeds in (2, 4):
        assert run(f"-m {command(f'seeds={seeds}', 'steps', more)}", monkeypatch, tmp_path) == 0
    assert run(f"-m {command('seeds=4', 'once', more)}", monkeypatch, tmp_path) == 0
    steps, once = (tables_of(tmp_path / "outputs" / name) for name in ("steps", "once"))
    assert list(steps) == list(once)
    for name, tables in once.items():
        assert_in_order(steps[name], range(4))
        assert_same(steps[name], tables, range(4), how)


def test_a_sweep_over_seeds_is_their_union(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: list[tuple[str, int]]
) -> None:
    assert run(f"-m init=he {command('seeds=2,4')}", monkeypatch, tmp_path) == 0
    assert "2 jobs are 1: " in capsys.readouterr().out
    assert trained == [("init=he", seed) for seed in range(4)]
    assert list(tables_of(tmp_path / "outputs" / "study")) == ["init=he"]


def test_each_job_in_a_process_of_its_own_extends_the_same_folder(monkeypatch: Patch, tmp_path: Path) -> None:
    """As Hydra's own launchers run them: each of them knows of one value of `seeds` alone."""
    for launcher in ("basic", "vectorized"):
        more = f"hydra/launcher={launcher}"
        assert run(f"-m init=he {command('seed=0,4 seeds=2', launcher, more)}", monkeypatch, tmp_path) == 0
    basic, vectorized = (tables_of(tmp_path / "outputs" / name) for name in ("basic", "vectorized"))
    assert list(basic) == list(vectorized) == ["init=he"]
    assert_in_order(basic["init=he"], [0, 1, 4, 5])
    assert_same(basic["init=he"], vectorized["init=he"], [0, 1, 4, 5], NEARLY)


def test_trained_anew_means_all_that_is_asked_for(
    monkeypatch: Patch, tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    assert run(f"init=he {command('seeds=3')}", monkeypatch, tmp_path) == 0
    trained.clear()
    assert run(f"init=he {command('seeds=2', more='resume=false')}", monkeypatch, tmp_path) == 0
    assert trained == [("init=he", 0), ("init=he", 1)]
    assert_in_order(tables_of(tmp_path / "outputs" / "study")["init=he"], [0, 1])


def test_what_fails_on_its_way_to_more_seeds_keeps_those_it_has(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {command('seeds=2')}", monkeypatch, tmp_path) == 0
    before = tables_of(study)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "train_cohort", None)
        assert run(f"init=he {command('seeds=3')}", patch, tmp_path) == 1
    assert (study / "init=he" / "error.txt").exists()
    for one, other in zip(tables_of(study)["init=he"], before["init=he"], strict=True):
        pd.testing.assert_frame_equal(one, other, **EXACTLY)
    found = read_study(study)
    assert list(summarize(found)["seeds"]) == [2]
    assert list(found.failed) == ["init=he"]
    capsys.readouterr()
    assert run(f"init=he {command('seeds=3')}", monkeypatch, tmp_path) == 0
    assert "1 job is extended: 1 network with new seeds is added to 2 that are kept" in capsys.readouterr().out
    assert not (study / "init=he" / "error.txt").exists()
    assert_in_order(tables_of(study)["init=he"], range(3))


def test_kept_weights_go_with_their_members(monkeypatch: Patch, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    study, once = tmp_path / "outputs" / "study", tmp_path / "outputs" / "once"
    for seeds in ("seeds=2 seed=2", "seeds=2"):
        assert run(f"init=he {command(seeds, more='save=all')}", monkeypatch, tmp_path) == 0
    assert run(f"init=he {command('seeds=4', 'once', 'save=all')}", monkeypatch, tmp_path) == 0
    held, expected = (load_file(folder / "init=he" / "weights.safetensors") for folder in (study, once))
    assert held.keys() == expected.keys()
    for name, tensor in expected.items():
        assert held[name].allclose(tensor, rtol=1e-3, atol=1e-5), name


def test_the_best_of_all_seeds_is_kept(monkeypatch: Patch, tmp_path: Path) -> None:
    from safetensors import safe_open

    study, once = tmp_path / "outputs" / "study", tmp_path / "outputs" / "once"
    for seeds in ("seeds=2 seed=2", "seeds=4"):
        assert run(f"init=he {command(seeds, more='save=best')}", monkeypatch, tmp_path) == 0
    assert run(f"init=he {command('seeds=4', 'once', 'save=best')}", monkeypatch, tmp_path) == 0
    found = []
    for folder in (study, once):
        with safe_open(folder / "init=he" / "weights.safetensors", framework="pt") as held:
            found.append((held.metadata()["best"], sorted(held.keys())))
    assert found[0] == found[1]
    assert read_table(study / "init=he", "members")["val_score"].idxmax() == int(found[0][0])


def as_before(folder: Path, job: Job, name: str) -> Path:
    """Make a job's folder one that an earlier version wrote, with the seeds in its name and fingerprint."""
    metadata = read_metadata(folder)
    seed, seeds = metadata["seeds"][0], len(metadata["seeds"])
    del metadata["results_version"]
    write_metadata(folder, {**metadata, "fingerprint": job.fingerprint_with_seeds(seed, seeds)})
    return folder.rename(folder.with_name(name))


def test_a_job_of_an_old_study_is_found_and_extended(
    monkeypatch: Patch, tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {command('seeds=3')}", monkeypatch, tmp_path) == 0
    job = make_job("init=he", "trainer.max_epochs=2", "signal.every=1")
    old = as_before(study / "init=he", job, "init=he,seeds=3")
    before, files = tables_of(study)[old.name], {path: path.read_bytes() for path in old.iterdir()}
    trained.clear()
    assert run(f"init=he {command('seeds=2')}", monkeypatch, tmp_path) == 0
    assert {path: path.read_bytes() for path in old.iterdir()} == files
    assert run(f"init=he {command('seeds=4')}", monkeypatch, tmp_path) == 0
    assert trained == [(old.name, 3)]
    assert list(tables_of(study)) == [old.name]
    assert_in_order(tables_of(study)[old.name], range(4))
    assert_same(tables_of(study)[old.name], before, range(3), EXACTLY)
    assert read_metadata(old)["fingerprint"] == job.fingerprint


def test_folders_of_one_job_with_other_seeds_become_one(
    monkeypatch: Patch, tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    study = tmp_path / "outputs" / "study"
    job = make_job("init=he", "trainer.max_epochs=2", "signal.every=1")
    for seeds, name in (("seed=0 seeds=2", "init=he,seed=0,seeds=2"), ("seed=9 seeds=3", "init=he,seed=9,seeds=3")):
        assert run(f"init=he {command(seeds, 'other')}", monkeypatch, tmp_path) == 0
        old = as_before(tmp_path / "outputs" / "other" / "init=he", job, name)
        study.mkdir(exist_ok=True)
        old.rename(study / name)
    before = tables_of(study)
    trained.clear()
    assert run(f"-m init=he {command('seed=0,9 seeds=2')}", monkeypatch, tmp_path) == 0
    assert trained == []
    assert run(f"-m init=he {command('seed=0,9 seeds=3')}", monkeypatch, tmp_path) == 0
    assert [seed for _, seed in trained] == [2]
    whole = [0, 1, 2, 9, 10, 11]
    (name,) = {name for name, _ in trained}
    assert all(set(table["job"]) == {name} for table in tables_of(study)[name])
    assert_in_order(tables_of(study)[name], whole)
    for former in before.values():
        assert_same(tables_of(study)[name], former, list(former[0]["seed"]), EXACTLY)
    summary = pd.read_csv(study / "summary.csv")
    assert list(summary["seeds"]) == [6]
    assert read_study(study).unreadable == []


def test_results_of_an_earlier_version_give_way_to_those_of_now(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str], trained: list[tuple[str, int]]
) -> None:
    """Where the same configuration gave other results then: in one line each, and with one row."""
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    path = study / "init=he" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["results_version"]
    path.write_text(json.dumps({**metadata, "fingerprint": "0" * 64}))
    trained.clear()
    capsys.readouterr()
    assert run(f"init=he {QUICK.replace('seeds=3', 'seeds=2')}", monkeypatch, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    beside = f"init=he-{make_job('init=he', 'trainer.max_epochs=2').fingerprint[:8]}"
    assert (
        f"that folder holds the results of an earlier version of initlab, and stays as it is; this goes to {beside}"
        in said
    )
    assert f"made by an earlier version of initlab, so that {beside} counts in its place" in said
    assert trained == [(beside, 0), (beside, 1)]
    assert list(pd.read_csv(study / "summary.csv")["seeds"]) == [2]


def test_seeds_that_several_studies_have_of_a_job_count_once(monkeypatch: Patch, tmp_path: Path) -> None:
    for seeds, name in (("seeds=2", "a"), ("seed=1 seeds=3", "b"), ("seed=1 seeds=1", "c")):
        assert run(f"init=he {command(seeds, name)}", monkeypatch, tmp_path) == 0
    study = read_study(*(tmp_path / "outputs" / name for name in "abc"))
    assert list(summarize(study)["seeds"]) == [4]
    (line,) = study.unreadable
    assert line.endswith("c/init=he: the same job as another's; counted once")


def test_given_seeds_of_given_jobs_are_trained_within_one_command(
    tmp_path: Path, trained: list[tuple[str, int]]
) -> None:
    """What looks at results and asks for more: each time no more than what is missing, beside what is there."""
    jobs = [
        make_job(f"init={init}", "seeds=2", "trainer.max_epochs=1", "n_jobs=1", output_dir=tmp_path)
        for init in ("he", "zeros")
    ]
    plan = make_plan(place_jobs(jobs), {}, [])
    he, zeros = (job.name for job in plan.whole)
    a_run, console = Run(uuid.uuid4().hex), open_console()
    for wanted, new in (
        ({he: [0, 1], zeros: [0, 1]}, [(he, 0), (he, 1), (zeros, 0), (zeros, 1)]),
        ({he: range(4), zeros: []}, [(he, 2), (he, 3)]),
        ({he: range(4)}, []),
        ({he: [7], zeros: [1, 7]}, [(he, 7), (zeros, 7)]),
    ):
        trained.clear()
        train_seeds(plan, wanted, a_run, console, training_crew())
        assert trained == new
    assert list(read_table(jobs[0].folder, "members")["seed"]) == [0, 1, 2, 3, 7]
    assert list(read_table(jobs[1].folder, "members")["seed"]) == [0, 1, 7]
    # Another command takes it from there.
    again = make_plan(place_jobs([job.with_seeds([7, 8]) for job in jobs]), {}, [])
    assert [(job.name, job.seeds) for job in again.jobs] == [(he, (8,)), (zeros, (8,))]
