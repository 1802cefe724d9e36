"""Which folder a job has: stable under extension, by fingerprint, and telling apart what differs."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from initlab.jobs.job import Job
from initlab.sweep.checks import distinct_jobs
from initlab.sweep.naming import place_jobs, pool_seeds
from initlab.tables.store import read_config, read_metadata, read_table
from tests.helpers import QUICK, make_job, run
from tests.sweep.helpers import tables_of

Patch = pytest.MonkeyPatch
COMMAND = f"init=he,xavier batch_size=16 {QUICK} n_jobs=1"


def names(study: Path) -> list[str]:
    return sorted(path.parent.name for path in study.glob("*/members.parquet"))


def test_constants_stand_in_the_configuration_alone(monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"-m {COMMAND}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert names(study) == ["init=he", "init=xavier"]
    for name in names(study):
        assert set(read_table(study / name, "members")["job"]) == {name}
        assert read_config(study / name)["batch_size"] == 16


@pytest.mark.parametrize("launcher", ["vectorized", pytest.param("basic", marks=pytest.mark.slow)])
def test_old_long_names_are_found_and_kept(launcher: str, monkeypatch: Patch, tmp_path: Path) -> None:
    """Of a study that an earlier version has written, and in whatever process a job runs."""
    assert run(f"-m {COMMAND}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    old = "batch_size=16,init=he,seeds=3,trainer.max_epochs=2"
    (study / "init=he").rename(study / old)
    before = (study / old / "members.parquet").stat().st_mtime_ns
    assert run(f"-m {COMMAND.replace('xavier', 'zeros')} hydra/launcher={launcher}", monkeypatch, tmp_path) == 0
    assert names(study) == [old, "init=xavier", "init=zeros"]
    assert (study / old / "members.parquet").stat().st_mtime_ns == before
    assert not (study / "init=he").exists()


def test_another_value_of_a_constant_is_told_apart(monkeypatch: Patch, tmp_path: Path) -> None:
    study = tmp_path / "outputs" / "study"
    for size in (16, 32, 16):
        assert run(f"-m {COMMAND.replace('16', str(size))}", monkeypatch, tmp_path) == 0
    assert names(study) == ["init=he", "init=he,batch_size=32", "init=xavier", "init=xavier,batch_size=32"]
    assert {name: read_config(study / name)["batch_size"] for name in names(study)} == {
        "init=he": 16, "init=he,batch_size=32": 32, "init=xavier": 16, "init=xavier,batch_size=32": 32,
    }  # fmt: skip


def test_the_name_of_an_interrupted_cohort_is_kept(tmp_path: Path) -> None:
    job = make_job("init=he", "seeds=2", output_dir=tmp_path)
    folder = job.study_folder / ".cohorts" / "0123456789abcdef"
    folder.mkdir(parents=True)
    entry = {"job": "an older name", "fingerprint": job.fingerprint, "seeds": [0, 1]}
    (folder / "manifest.json").write_text(json.dumps([entry]))
    (found,) = place_jobs([replace(job, name="init=he")])
    assert found.job.name == "an older name"
    # And what it was begun under is nobody else's.
    other = replace(make_job("init=he", "batch_size=9", output_dir=tmp_path), name="an older name", typed=())
    (beside,) = place_jobs([other])
    assert beside.job.name == f"an older name-{other.fingerprint[:8]}"


def test_one_job_under_two_names_trains_once(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-m init=he,he_normal,kaiming_normal {QUICK}", monkeypatch, tmp_path) == 0
    assert names(tmp_path / "outputs" / "study") == ["init=he"]
    assert "init=he_normal, init=kaiming_normal: the same as init=he, and trained once" in capsys.readouterr().out


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_hydras_launcher_gives_the_same_names(launcher: str, monkeypatch: Patch, tmp_path: Path) -> None:
    assert (
        run(
            f"-m init=he,xavier optim.lr=0.1,0.2 batch_size=16 hydra/launcher={launcher} {QUICK}", monkeypatch, tmp_path
        )
        == 0
    )
    study = tmp_path / "outputs" / "study"
    assert names(study) == [f"init={init},optim.lr={rate}" for init in ("he", "xavier") for rate in ("0.1", "0.2")]


SPLIT = """
import sys
from initlab.base.errors import OwnCodeError
from initlab.sweep.naming import split_faulty

class Broken:
    @property
    def fingerprint(self):
        raise OwnCodeError("data: on purpose")

class Fine:
    fingerprint = "0123"

jobs = [Broken(), Fine()]
fine, ((faulty, error),) = split_faulty(jobs)
sys.exit(not (fine == jobs[1:] and faulty is jobs[0] and "on purpose" in str(error)))
"""


@pytest.mark.slow
def test_jobs_whose_data_cannot_be_had_are_found_without_assertions_too() -> None:
    assert subprocess.run([sys.executable, "-O", "-c", SPLIT], check=False).returncode == 0


def jobs_of_seeds(*seeds: tuple[int, int]) -> list[Job]:
    return [make_job("init=he", f"seed={first}", f"seeds={count}") for first, count in seeds]


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ([(1, 10), (2, 10), (3, 10)], [*range(1, 13)]),
        ([(0, 3), (3, 3)], [*range(6)]),
        ([(0, 5), (0, 8)], [*range(8)]),
        ([(5, 2), (0, 2)], [0, 1, 5, 6]),
    ],
)
def test_jobs_that_differ_in_seeds_are_one(seeds: list[tuple[int, int]], expected: list[int]) -> None:
    (job,) = distinct_jobs(jobs_of_seeds(*seeds))
    assert list(job.seeds) == expected
    assert (job.resolved["seed"], job.resolved["seeds"]) == (expected[0], len(expected))
    assert (job.config.seed, job.config.seeds) == (expected[0], len(expected))


def test_a_single_job_is_left_as_it_is() -> None:
    jobs = [*jobs_of_seeds((0, 3)), make_job("init=xavier", "seeds=3")]
    assert pool_seeds(jobs) == jobs


def test_hydras_way_to_repeat_is_one_candidate(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = QUICK.replace("seeds=3", "seeds=2")
    assert run(f"-m init=he,zeros seed=1,2,3 {command}", monkeypatch, tmp_path) == 0
    assert "6 jobs are 2" in capsys.readouterr().out
    study = tmp_path / "outputs" / "study"
    assert names(study) == ["init=he", "init=zeros"]
    assert list(read_table(study / "init=he", "members")["seed"]) == [1, 2, 3, 4]
    assert read_metadata(study / "init=he")["seeds"] == [1, 2, 3, 4]
    alone = run(
        f"init=he seed=1 {command.replace('seeds=2', 'seeds=4').replace('study', 'alone')}", monkeypatch, tmp_path
    )
    assert alone == 0
    one, other = tables_of(study)["init=he"], tables_of(tmp_path / "outputs" / "alone")["init=he"]
    assert one[0]["test_score"].to_numpy() == pytest.approx(other[0]["test_score"].to_numpy(), rel=1e-4)


def test_seeds_with_a_gap_are_one_job(monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"-m init=he seed=0,100 {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert names(study) == ["init=he"]
    members = read_table(study / "init=he", "members")
    assert list(members["seed"]) == [0, 1, 2, 100, 101, 102]
    assert list(members["member"]) == [0, 1, 2, 3, 4, 5]
    assert read_metadata(study / "init=he")["seeds"] == [0, 1, 2, 100, 101, 102]
