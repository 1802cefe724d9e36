"""What is left of a sweep is trained as it would have been: by the same cohorts, on as many cores."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from initlab.base import memory
from initlab.cohort.run import train_cohort
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.sweep import cost, plan, worker
from initlab.sweep.cohorts import Cohort
from initlab.sweep.plan import Schedule, make_schedule
from initlab.tables.job_tables import JobTables
from tests.helpers import make_job, run
from tests.sweep.helpers import made_up_tables, tables_of

CORES = 8


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("initlab.base.threads.usable_cores", lambda: CORES)


FORKS = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """A program of convolutions and a dense one, two jobs of each."""
    return jobs_of(tmp_path, "n_jobs=2")


def jobs_of(folder: Path, *overrides: str) -> list[Job]:
    return [
        make_job(f"data={data}", f"init={init}", "seeds=4", "trainer.accelerator=cpu", *overrides, output_dir=folder)
        for data in ("wine", "digits")
        for init in ("he", "xavier")
    ]


def schedule_of(jobs: Sequence[Job], left: Sequence[Job], kept: Sequence[Share] = ()) -> Schedule:
    tables: dict[str, list[JobTables]] = {}
    for share in kept:
        tables.setdefault(share.job.name, []).append(made_up_tables(share))
    return make_schedule(jobs, left, tables, most_workers=CORES)


def names_of(cohorts: Sequence[Cohort]) -> list[str]:
    return sorted(cohort.folder_name for cohort in cohorts)


def members_of(schedule: Schedule) -> list[tuple[str, int]]:
    return sorted(
        (share.job.name, seed) for cohort in schedule.cohorts for share in cohort.shares for seed in share.seeds
    )


def test_every_rest_of_a_sweep_is_trained_by_the_cohorts_and_on_the_cores_of_the_whole(jobs: list[Job]) -> None:
    whole = schedule_of(jobs, jobs)
    assert (whole.workers, whole.cores) == (2, 4)
    assert [cohort.members for cohort in whole.cohorts] != [len(job.seeds) for job in jobs]
    for last in range(len(whole.cohorts)):
        rest = whole.cohorts[last:]
        names = {share.job.name for cohort in rest for share in cohort.shares}
        done = [share for cohort in whole.cohorts[:last] for share in cohort.shares if share.job.name in names]
        resumed = schedule_of(jobs, [job for job in jobs if job.name in names], done)
        assert names_of(resumed.cohorts) == names_of(rest)
        assert resumed.workers == min(2, len(rest))
        assert resumed.cores == 4


@pytest.mark.parametrize(("n_jobs", "workers", "cores"), [("1", 1, 8), ("3", 3, 2), ("-1", 8, 1), ("auto", 8, 1)])
def test_a_single_cohort_that_is_left_has_the_cores_that_it_would_have_had(
    n_jobs: str, workers: int, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cost, "WORTH_WORKERS", 0.0)
    for module in (plan, memory):
        monkeypatch.setattr(module, "free_memory", lambda _: 2**40)
    jobs = jobs_of(tmp_path, f"n_jobs={n_jobs}")
    whole = schedule_of(jobs, jobs)
    assert (whole.workers, whole.cores) == (workers, cores)
    done = [Share(jobs[3], range(3))]
    last = schedule_of(jobs, jobs[3:], done)
    assert members_of(last) == [(jobs[3].name, 3)]
    assert (last.workers, last.cores) == (1, cores)


def test_little_memory_leaves_cores_idle_rather_than_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As another run may find more of it."""
    monkeypatch.setattr(cost, "WORTH_WORKERS", 0.0)
    for module in (plan, memory):
        monkeypatch.setattr(module, "free_memory", lambda _: 7 * memory.PROCESS_MEMORY)
    jobs = jobs_of(tmp_path, "n_jobs=auto")
    schedule = schedule_of(jobs, jobs)
    assert (schedule.workers, schedule.cores) == (2, 1)


@FORKS
def test_cohorts_do_not_depend_on_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is left of a sweep trains as it would have, though there be less memory now."""
    job = make_job(
        "experiment=classic_wine", "seeds=1600", "compile=true", "trainer.accelerator=cpu", output_dir=tmp_path
    )
    found = set()
    for room in (8, 4, 2):
        monkeypatch.setattr(plan, "room_for_workers", lambda room=room: room)
        schedule = schedule_of([job], [job])
        assert schedule.workers == room
        found.add((tuple(names_of(schedule.cohorts)), schedule.cores))
    assert len(found) == 1


def test_fewer_cohorts_than_workers_share_the_cores(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, "n_jobs=8")[:2]
    schedule = schedule_of(jobs, jobs)
    assert (len(schedule.cohorts), schedule.workers, schedule.cores) == (1, 1, 8)


def test_what_is_new_in_a_study_trains_together(jobs: list[Job], tmp_path: Path) -> None:
    """Beside a finished job of its program, whose cohort is not what it would have been."""
    new = make_job("data=wine", "init=zeros", "seeds=6", "trainer.accelerator=cpu", "n_jobs=2", output_dir=tmp_path)
    more = make_job("data=wine", "init=ones", "seeds=2", "trainer.accelerator=cpu", "n_jobs=2", output_dir=tmp_path)
    schedule = schedule_of([jobs[0], new, jobs[1], more], [new, more])
    assert [cohort.members for cohort in schedule.cohorts] == [8]
    assert members_of(schedule) == sorted((job.name, seed) for job in (new, more) for seed in job.seeds)


@pytest.mark.slow
def test_the_last_cohort_of_a_sweep_ends_the_same_in_the_main_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To the bit, though the others are finished, and a pool is not worth it for one."""
    command = "-m data=digits model.channels=[4,4] init=he,xavier seeds=1 trainer.max_epochs=3 logger=none n_jobs=4"
    assert run(f"{command} name=study", monkeypatch, tmp_path) == 0
    study, cores = tmp_path / "outputs" / "study", list[int]()
    before = tables_of(study)
    shutil.rmtree(study / "data=digits,init=xavier")

    def spy(*arguments: Any, **settings: Any) -> Any:
        cores.append(settings["cores"])
        return train_cohort(*arguments, **settings)

    monkeypatch.setattr(worker, "train_cohort", spy)
    assert run(f"{command} name=study", monkeypatch, tmp_path) == 0
    assert cores == [CORES // 2]  # two cohorts at a time
    for one, other in zip(tables_of(study)["data=digits,init=xavier"], before["data=digits,init=xavier"], strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize(
    ("seeds", "overrides", "members", "workers"),
    [
        (1_000, (), [1_000] * 4, 4),
        (1_000, ("n_jobs=1",), [1_000] * 4, 1),
        (300, (), [600] * 2, 1),  # less work than worker processes are worth
        (1_000, ("max_members=5000",), [4_000], 1),
        pytest.param(100, ("compile=true",), [200] * 2, 2, marks=FORKS),  # whose step takes what its members take
        pytest.param(1_000, ("compile=true",), [500] * 8, 8, marks=FORKS),
        (1_000, ("compile=true", "n_jobs=1"), [1_000] * 4, 1),
        (25, ("compile=true",), [100], 1),
    ],
)
def test_many_small_networks_are_shared_among_workers(
    seeds: int, overrides: tuple[str, ...], members: list[int], workers: int, tmp_path: Path
) -> None:
    job = make_job(
        "experiment=classic_wine", f"seeds={4 * seeds}", "trainer.accelerator=cpu", *overrides, output_dir=tmp_path
    )
    schedule = schedule_of([job], [job])
    assert [cohort.members for cohort in schedule.cohorts] == members
    assert schedule.workers == workers
    assert dict(schedule.members) == {job.program: 4 * seeds}
