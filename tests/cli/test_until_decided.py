"""`seeds=auto`, as users run it."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from initlab.cli import run_train
from initlab.jobs.looks import look_sizes
from initlab.tables.store import read_metadata, read_table
from tests.commands import Commands
from tests.helpers import run
from tests.sweep.helpers import assert_same_tables

Patch = pytest.MonkeyPatch
Captured = pytest.CaptureFixture[str]

AUTO = "seeds=auto trainer.max_epochs=2 logger=none report=false name=study"
LONGER = AUTO.replace("epochs=2", "epochs=20")
# After five epochs normal has begun to learn with some seeds only, so that it takes many to tell it from zeros.
CLOSE = f"-m init=he,xavier,normal,zeros {AUTO} margin=0.04 max_seeds=23".replace("epochs=2", "epochs=5")
MORE = "more seeds for normal and zeros"


def seeds_of(folder: Path) -> dict[str, list[int]]:
    """By job, the seeds in its tables."""
    found = sorted((folder / "outputs" / "study").glob("*/members.parquet"))
    return {path.parent.name: list(read_table(path.parent, "members")["seed"]) for path in found}


def looks_said(said: str) -> list[str]:
    return [line for line in said.splitlines() if "decided with" in line]


@pytest.fixture(scope="module")
def undisturbed(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study of several looks, and what was said."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert commands.run(CLOSE, folder) == 0
    return folder, (folder / "said.txt").read_text()


def test_seeds_are_added_where_a_pair_is_undecided(undisturbed: tuple[Path, str]) -> None:
    folder, said = undisturbed
    assert look_sizes(23) == [10, 15, 23]
    seeds = seeds_of(folder)
    assert seeds["init=he"] == seeds["init=xavier"] == list(range(10))
    assert seeds["init=normal"] == seeds["init=zeros"] == list(range(23))
    assert looks_said(said) == [
        f"5 of 6 pairs decided with 10 seeds; 5 {MORE}",
        f"5 of 6 pairs decided with 15 seeds; 8 {MORE}",
        "6 of 6 pairs decided with 23 seeds",
    ]
    assert {read_metadata(path.parent)["looks"] for path in folder.rglob("members.parquet")} == {3}


def test_given_again_it_trains_nothing_and_says_the_same(
    undisturbed: tuple[Path, str], monkeypatch: Patch, capsys: Captured
) -> None:
    folder, said = undisturbed
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    assert run(CLOSE, monkeypatch, folder) == 0
    again = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")} == times
    assert looks_said(again) == looks_said(said)[-1:]
    assert "cohort" not in again
    # Tables and lines are as wide as the terminal; what is said below the table is the same.
    assert again.rsplit("wine: ", 1)[1].split() == said.rsplit("wine: ", 1)[1].split()


@pytest.mark.slow
def test_killed_in_the_middle_of_a_look_it_goes_on_and_ends_the_same(
    commands: Commands, undisturbed: tuple[Path, str], tmp_path: Path
) -> None:
    said = tmp_path / "said.txt"
    for stop, word in ((signal.SIGINT, f"; 5 {MORE}"), (signal.SIGKILL, f"; 8 {MORE}")):
        process = commands.start(CLOSE, tmp_path)
        deadline = time.monotonic() + 120
        while not (said.exists() and word in said.read_text()):
            assert time.monotonic() < deadline, word
            time.sleep(0.005)
        os.kill(process, stop)
        assert commands.wait(process) == (130 if stop == signal.SIGINT else -signal.SIGKILL)
        assert "Traceback" not in (tmp_path / "errors.txt").read_text()
        if stop == signal.SIGINT:
            assert "goes on from here" in " ".join(said.read_text().split())
        assert len(seeds_of(tmp_path)["init=normal"]) < 23
    assert commands.run(CLOSE, tmp_path) == 0
    folder, said_at_once = undisturbed
    assert_same_tables(tmp_path / "outputs" / "study", folder / "outputs" / "study")
    assert looks_said(said.read_text())[-1] == looks_said(said_at_once)[-1]


def test_one_job_gets_the_first_seeds(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"init=he {AUTO}", monkeypatch, tmp_path) == 0
    assert "seeds=auto: one job is compared with nothing, so that 10 seeds are enough" in capsys.readouterr().out
    assert run(f"-m init=he {AUTO}", monkeypatch, tmp_path) == 0
    assert "seeds=auto: nothing to compare, so that 10 seeds are enough" in capsys.readouterr().out
    assert seeds_of(tmp_path) == {"init=he": list(range(10))}


def test_fewer_seeds_than_the_first_look_are_all(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"-m init=he,zeros {AUTO} max_seeds=3", monkeypatch, tmp_path) == 0
    assert set(map(tuple, seeds_of(tmp_path).values())) == {(0, 1, 2)}
    assert "3 seeds tell little" in capsys.readouterr().out


def test_seeds_that_were_there_are_kept_and_looked_at_as_often(
    monkeypatch: Patch, tmp_path: Path, capsys: Captured
) -> None:
    """Without seeds=auto they were for one look; from now on they are for all."""
    plain = LONGER.replace("seeds=auto", "seeds=10")
    assert run(f"-m init=he,zeros {plain}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert {read_metadata(path.parent).get("looks") for path in study.glob("*/members.parquet")} == {1}
    capsys.readouterr()
    assert run(f"-m init=he,zeros {LONGER}", monkeypatch, tmp_path) == 0
    assert looks_said(capsys.readouterr().out) == ["1 of 1 pair decided with 10 seeds"]
    assert {read_metadata(path.parent)["looks"] for path in study.glob("*/members.parquet")} == {9}
    # Others are seeds of their own, which count beside those.
    assert run(f"-m init=he,zeros {LONGER} seed=100", monkeypatch, tmp_path) == 0
    assert looks_said(capsys.readouterr().out) == ["1 of 1 pair decided with 20 seeds"]
    assert set(map(tuple, seeds_of(tmp_path).values())) == {(*range(10), *range(100, 110))}


@pytest.mark.slow
def test_seeds_that_a_look_would_add_may_be_there(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(CLOSE.replace("seeds=auto", "seeds=18"), monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert run(CLOSE, monkeypatch, tmp_path) == 0
    line, last = looks_said(capsys.readouterr().out)
    assert line == f"5 of 6 pairs decided with 15 seeds; 5 {MORE}"
    assert last == "6 of 6 pairs decided with 23 seeds"
    assert len(seeds_of(tmp_path)["init=he"]) == 18


def test_after_some_minutes_nothing_is_added(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"{CLOSE} max_minutes=1e-6", monkeypatch, tmp_path) == 0
    line = "5 of 6 pairs decided with 10 seeds; max_minutes=1e-06 leaves the others open"
    assert looks_said(capsys.readouterr().out) == [line]
    assert set(map(len, seeds_of(tmp_path).values())) == {10}


def test_where_all_diverge_nothing_is_added(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"-m init=he,xavier {AUTO} optim.lr=1e30", monkeypatch, tmp_path) == 0
    assert looks_said(capsys.readouterr().out) == ["1 of 1 pair decided with 10 seeds"]
    assert set(map(len, seeds_of(tmp_path).values())) == {10}


@pytest.mark.slow
def test_a_job_that_fails_at_a_look_gets_no_more(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    """And is tried again by the same command."""
    write = run_train.train_seeds

    def fail_later(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        if "more seeds" in capsys_text():
            (study / "init=normal" / "error.txt").write_text("ArithmeticError: on purpose\n")
            path = study / "init=normal" / "metadata.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "status": "failed"}))

    said: list[str] = []

    def capsys_text() -> str:
        said.append(capsys.readouterr().out)
        return "".join(said)

    study = tmp_path / "outputs" / "study"
    monkeypatch.setattr(run_train, "train_seeds", fail_later)
    assert run(CLOSE, monkeypatch, tmp_path) == 1
    text = capsys_text()
    assert looks_said(text) == [
        f"5 of 6 pairs decided with 10 seeds; 5 {MORE}",
        "5 of 6 pairs decided with 15 seeds; more would not decide the others",
    ]
    monkeypatch.setattr(run_train, "train_seeds", write)
    assert run(CLOSE, monkeypatch, tmp_path) == 0
    assert looks_said(capsys.readouterr().out)[-1] == "6 of 6 pairs decided with 23 seeds"


def test_other_jobs_of_the_study_get_no_seeds(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(CLOSE.replace("he,xavier,normal,zeros", "normal").replace("auto", "10"), monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert run(CLOSE.replace("he,xavier,normal,zeros", "zeros"), monkeypatch, tmp_path) == 0
    assert "seeds=auto: nothing to compare among these jobs" in capsys.readouterr().out
    assert set(map(len, seeds_of(tmp_path).values())) == {10}


@pytest.mark.parametrize("key", ["seed=0,100", "seeds=auto,5"])
def test_one_value_holds_for_all_jobs(key: str, monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    command = f"-m init=he,zeros {AUTO.replace('seeds=auto ', '') if key.startswith('seeds') else AUTO} {key}"
    assert run(command, monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{key.split('=')[0]}: with seeds=auto one value holds for all jobs" in error


def test_a_dry_run_says_what_may_follow(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"{CLOSE} dry_run=true", monkeypatch, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "4 jobs, 40 members" in said
    assert "these are the first 10 seeds; up to 23 where a pair of candidates is undecided" in said
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_hydras_own_launchers_stop_after_the_first_look(monkeypatch: Patch, tmp_path: Path, capsys: Captured) -> None:
    assert run(f"{CLOSE} hydra/launcher=basic", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "jobs in processes of their own get 10 seeds each; the same command with name=study" in said
    assert set(map(len, seeds_of(tmp_path).values())) == {10}
    assert run(CLOSE, monkeypatch, tmp_path) == 0  # it goes on from there
    assert looks_said(capsys.readouterr().out)[-1] == "6 of 6 pairs decided with 23 seeds"


def test_a_pool_ends_the_same(undisturbed: tuple[Path, str], monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"{CLOSE} n_jobs=2", monkeypatch, tmp_path) == 0
    assert seeds_of(tmp_path) == seeds_of(undisturbed[0])


def test_of_learning_rates_the_best_get_more_seeds(monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"{CLOSE} optim.lr=0.0001,0.05", monkeypatch, tmp_path) == 0
    counts = {job: len(seeds) for job, seeds in seeds_of(tmp_path).items()}
    assert {counts[f"init={init},optim.lr=0.0001"] for init in ("he", "xavier", "normal")} == {10}
    assert counts["init=normal,optim.lr=0.05"] == 23
