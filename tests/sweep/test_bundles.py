"""Jobs of large cohorts, whose tables stand together: all that a study is for works as with a folder a job."""

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from initlab.cli.run_report import main as report
from initlab.jobs import building
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from initlab.modules.stack import Network
from initlab.results.study import Study, read_study
from initlab.sweep import worker
from initlab.tables.bundles import bundled_jobs
from initlab.tables.store import finished_jobs, read_config, read_metadata, read_table
from tests.commands import Commands
from tests.helpers import run

SWEEP = "-m init=he,zeros optim.lr=0.1,0.01,0.001 trainer.max_epochs=2 logger=none n_jobs=1"
NOT_THE_SAME = {"run", "command", "name"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three jobs are enough for a bundle."""
    monkeypatch.setattr(worker, "BUNDLED", 3)


def files_of(study: Path) -> list[str]:
    """The files of a study's jobs, without what is the study's own."""
    own = {".lock", "summary.csv"}
    return sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file() and path.name not in own)


BUNDLE = ["history.parquet", "jobs.jsonl", "members.parquet", "rows.parquet"]


def bundle(number: int) -> list[str]:
    return [f"jobs/{number:04}/{name}" for name in BUNDLE]


def assert_same_study(folder: Path, other: Path) -> Study:
    """Two studies read alike."""
    found, expected = read_study(folder), read_study(other)
    for one, another in ((found.members, expected.members), (found.history, expected.history)):
        ours, theirs = (table.drop(columns="seconds", errors="ignore") for table in (one, another))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    pd.testing.assert_frame_equal(found.differing, expected.differing)
    for known, wanted in ((found.configs, expected.configs), (found.metadata, expected.metadata)):
        assert list(known) == list(wanted)
        for job, own in known.items():
            assert list(own) == list(wanted[job])
            assert {key for key, value in own.items() if value != wanted[job][key]} <= NOT_THE_SAME
    for job in found.configs:
        rows, others = found.row_scores(job), expected.row_scores(job)
        assert rows is not None
        assert others is not None
        assert rows.scores.tolist() == others.scores.tolist()
    assert not found.unreadable
    return found


def test_a_bundle_holds_what_folders_would(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit; the same command then finds it finished, and a report and its selections read it."""
    assert run(f"{SWEEP} seeds=2 name=bundled", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "bundled"
    assert files_of(study) == bundle(1)
    monkeypatch.setattr(worker, "BUNDLED", 100)
    assert run(f"{SWEEP} seeds=2 name=plain", monkeypatch, tmp_path) == 0
    found = assert_same_study(study, tmp_path / "outputs" / "plain")
    assert found.metadata["init=zeros,optim.lr=0.1"]["outlook"] == "not trainable"
    job = study / "init=he,optim.lr=0.01"
    assert not job.exists()
    assert finished_jobs(study)[1] == job
    assert read_config(job)["optim"]["lr"] == 0.01
    assert list(read_table(job, "members")["seed"]) == read_metadata(job)["seeds"] == [0, 1]
    assert set(read_table(job, "history")["job"]) == {job.name}
    capsys.readouterr()
    monkeypatch.setattr(worker, "train_cohort", None)
    assert run(f"{SWEEP} seeds=2 name=bundled", monkeypatch, tmp_path) == 0
    assert "6 of 6 jobs are finished already" in capsys.readouterr().out
    chosen = ["--select", "init=he_normal", "--output", str(tmp_path / "report")]
    monkeypatch.setattr("sys.argv", ["initlab.report", str(study), *chosen])
    report()
    assert "3 of 6 jobs" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.slow
def test_seeds_and_jobs_are_added_to_a_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Many to another bundle, in place of the first where that has nothing more; a few to folders of their own."""
    study, plain = tmp_path / "outputs" / "bundled", tmp_path / "outputs" / "plain"
    more = SWEEP.replace("he,zeros", "he,zeros,xavier")
    single = "-m init=he optim.lr=0.1,0.3 trainer.max_epochs=2 logger=none n_jobs=1"
    files = ("config.yaml", "metadata.json", *(name for name in BUNDLE if name.endswith("parquet")))
    own = [f"init=he,optim.lr={rate}/{name}" for rate in (0.1, 0.3) for name in files]
    for name in ("bundled", "plain"):
        monkeypatch.setattr(worker, "BUNDLED", 3 if name == "bundled" else 100)
        assert run(f"{SWEEP} seeds=2 name={name}", monkeypatch, tmp_path) == 0
        assert run(f"{SWEEP} seeds=1 seed=3 name={name}", monkeypatch, tmp_path) == 0
        if name == "bundled":
            assert files_of(study) == bundle(2)
        assert run(f"{single} seeds=5 name={name}", monkeypatch, tmp_path) == 0
        if name == "bundled":
            assert files_of(study) == sorted([*own, *bundle(2)])
        assert run(f"{more} seeds=3 name={name}", monkeypatch, tmp_path) == 0
    assert {one.folder.name for one in bundled_jobs(study).values()} == {"0002", "0003"}
    found = assert_same_study(study, plain)
    seeds = found.members.groupby("job")["seed"].apply(list)
    assert seeds["init=he,optim.lr=0.1"] == [0, 1, 2, 3, 4]
    assert seeds["init=zeros,optim.lr=0.1"] == [0, 1, 2, 3]
    assert seeds["init=xavier,optim.lr=0.1"] == [0, 1, 2]


def test_a_damaged_bundle_is_trained_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"{SWEEP} seeds=2 name=study", monkeypatch, tmp_path) == 0
    study, whole = tmp_path / "outputs" / "study", tmp_path / "outputs" / "whole"
    shutil.copytree(study, whole)
    for name in ("jobs.jsonl", "members.parquet"):
        path = max(study.glob(f"jobs/*/{name}"))
        path.write_bytes(path.read_bytes()[:100])
        assert run(f"{SWEEP} seeds=2 name=study", monkeypatch, tmp_path) == 0
        assert_same_study(study, whole)


@pytest.mark.slow
def test_a_job_in_a_bundle_may_fail_and_be_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its results stay, and what its folder says of the failure goes when it has succeeded."""
    assert run(f"{SWEEP} seeds=2 name=study", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    with monkeypatch.context() as patch:
        patch.setattr(worker, "train_cohort", None)
        assert run(f"{SWEEP} seeds=3 name=study", monkeypatch, tmp_path) == 1
    found = read_study(study)
    assert len(found.failed) == 6
    assert len(found.members) == 12
    assert read_metadata(study / "init=he,optim.lr=0.1")["status"] == "failed"
    assert run(f"{SWEEP} seeds=2 name=study", monkeypatch, tmp_path) == 0  # nothing is left to do: it has not failed
    assert not read_study(study).failed
    assert read_metadata(study / "init=he,optim.lr=0.1")["status"] == "finished"
    assert run(f"{SWEEP} seeds=3 name=study", monkeypatch, tmp_path) == 0
    assert files_of(study) == bundle(2)
    assert len(read_study(study).members) == 18


def test_the_files_of_a_large_cohort_do_not_grow_with_its_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor do the networks that are built: those that start alike are built once."""
    monkeypatch.setattr(worker, "BUNDLED", 100)
    built: list[int] = []
    build = building.build_members

    def spy(job: Job, members: Sequence[Member], **others: Any) -> list[Network]:
        built.extend(member.seed for member in members)
        return build(job, members, **others)

    monkeypatch.setattr("initlab.cohort.networks.build_members", spy)
    rates = ",".join(f"{rate / 1000:g}" for rate in range(1, 61))
    command = f"-m init=he,xavier optim.lr={rates} seeds=1 trainer.max_epochs=1 logger=none name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert files_of(study) == bundle(1)
    assert built == [0, 0]  # of he, and of xavier
    first, *others = (study / "jobs" / "0001" / "jobs.jsonl").read_text().splitlines()
    assert len(others) == len(finished_jobs(study)) == 120
    assert json.loads(first)["config"]["name"] == "study"
    assert max(map(len, others)) < 1200
    assert not list(study.glob("init=*"))


JOBS = [f"init={init} trainer.max_epochs=2 n_jobs=1" for init in ("he", "xavier")]
# Before which step on the disk a run is killed, how many seeds are asked for, and what bundles there are then.
KILLS = [
    ("os.rename *jobs/.begun.*/members.parquet", 2, []),
    ("os.rename *jobs/.begun.*/jobs.jsonl", 2, []),
    ("os.rename *jobs/0001", 2, []),
    ("os.rename *summary.csv", 2, ["0001"]),
    ("os.rename *jobs/0002", 3, ["0001"]),
    ("os.rename *jobs/.begun.0001", 3, ["0001", "0002"]),
    ("os.rename *summary.csv", 3, ["0001", "0002"]),
]


def with_seeds(seeds: int) -> list[str]:
    return [f"{job} seeds={seeds}" for job in JOBS]


@pytest.mark.slow
def test_a_kill_while_a_bundle_is_written_leaves_all_of_it_or_none(commands: Commands, tmp_path: Path) -> None:
    study = tmp_path / "outputs" / "test"
    for before, seeds, bundles in KILLS:
        process = commands.start_study(with_seeds(seeds), tmp_path, before=before, bundled=2)
        assert commands.wait(process) == -signal.SIGKILL, before
        assert sorted(path.name for path in study.glob("jobs/[0-9]*")) == bundles, before
    assert commands.wait(commands.start_study(with_seeds(3), tmp_path, bundled=2)) == 0
    (tmp_path / "plain").mkdir()
    for seeds in (2, 3):
        assert commands.wait(commands.start_study(with_seeds(seeds), tmp_path / "plain")) == 0
    assert_same_study(study, tmp_path / "plain" / "outputs" / "test")
    assert not (study / ".cohorts").exists()
    assert not list(study.rglob(".begun*"))


@pytest.mark.slow
def test_writing_a_bundle_may_be_killed_before_any_step_on_the_disk(commands: Commands, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    for folder, bundled in ((plain, 0), (tmp_path / "bundled", 2)):
        folder.mkdir()
        for seeds in (2, 3):
            assert commands.wait(commands.start_study(with_seeds(seeds), folder, bundled=bundled)) == 0
    steps = len((tmp_path / "bundled" / "steps.txt").read_text().splitlines())
    assert steps > 10
    for seeds in (2, 3):
        for number in range(1, steps + 1):
            folder = tmp_path / f"{seeds}-{number}"
            folder.mkdir()
            if seeds == 3:
                assert commands.wait(commands.start_study(with_seeds(2), folder, bundled=2)) == 0
            process = commands.start_study(with_seeds(seeds), folder, before="*", number=number, bundled=2)
            if commands.wait(process) == 0:
                continue
            for again in range(seeds, 4):
                assert commands.wait(commands.start_study(with_seeds(again), folder, bundled=2)) == 0, number
            assert_same_study(folder / "outputs" / "test", plain / "outputs" / "test")
            assert not list((folder / "outputs").rglob(".begun*"))
            shutil.rmtree(folder)
