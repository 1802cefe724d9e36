"""What is kept of a cohort until its jobs are written."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.sweep import journal
from initlab.sweep.cohorts import Cohort, cut
from initlab.tables.store import write_metadata
from tests.helpers import make_job
from tests.sweep.helpers import half, made_up_tables, of_later_version, whole


@pytest.fixture
def he(tmp_path: Path) -> Job:
    """A job of four members."""
    return make_job("init=he", "seeds=4", output_dir=tmp_path)


@pytest.fixture
def xavier(tmp_path: Path) -> Job:
    """A job of three members, whose seeds start at 5."""
    return make_job("init=xavier", "seeds=3", "seed=5", output_dir=tmp_path)


def changed(job: Job) -> Job:
    """Another configuration in the folder of a job."""
    return replace(
        make_job(*job.name.split(","), "batch_size=7", output_dir=Path(job.config.output_dir)), name=job.name
    )


def members_of(cohort: Cohort) -> list[tuple[str, int]]:
    return [(share.job.name, seed) for share in cohort.shares for seed in share.seeds]


def keep(cohort: Cohort, *, signal: bool = False) -> Path:
    folder = journal.open_folder(cohort)
    journal.keep_results(cohort, made_up_tables(*cohort.shares, signal=signal))
    return folder


def written(job: Job) -> None:
    """Make a job's folder say that all its seeds are in its tables."""
    write_metadata(job.folder, {"seeds": list(job.seeds)})


def interrupt(cohort: Cohort) -> Path:
    folder = journal.open_folder(cohort)
    journal.checkpoint_of(folder).write_text("a checkpoint")
    return folder


def test_a_cohort_has_a_folder_that_says_who_is_in_it(he: Job, xavier: Job) -> None:
    cohort = Cohort((Share(he, range(1, 3)), whole(xavier)))
    for _ in range(2):  # a second run finds it
        folder = journal.open_folder(cohort)
    assert folder == journal.folder_of(cohort) == he.study_folder / ".cohorts" / cohort.folder_name
    assert journal.checkpoint_of(folder).parent == journal.progress_of(cohort).parent == folder
    assert json.loads((folder / "manifest.json").read_text()) == [
        {"job": he.name, "fingerprint": he.fingerprint, "seeds": [1, 2]},
        {"job": xavier.name, "fingerprint": xavier.fingerprint, "seeds": [5, 6, 7]},
    ]
    journal.forget(folder)
    assert not folder.exists()
    journal.forget(folder)


@pytest.mark.parametrize("signal", [False, True])
def test_what_was_kept_comes_back_job_by_job(signal: bool, he: Job, xavier: Job) -> None:
    shares = (Share(he, range(1, 3)), whole(xavier))
    keep(Cohort(shares), signal=signal)
    kept = journal.kept_results(he.study_folder, [he, xavier])
    assert list(kept) == [he.name, xavier.name]
    for share in shares:
        (found,), expected = kept[share.job.name], made_up_tables(share, signal=signal)
        assert list(found.members["seed"]) == list(share.seeds)
        for one, other in zip((found.members, found.history), (expected.members, expected.history), strict=True):
            pd.testing.assert_frame_equal(one.reset_index(drop=True), other[one.columns], check_dtype=False)
        assert (found.signal is None) == (expected.signal is None) == (not signal)
        if found.signal is not None:
            assert list(found.signal["seed"]) == list(share.seeds)
            assert set(found.signal["job"]) == {share.job.name}


def test_only_what_was_measured_of_this_very_job_is_used(he: Job, xavier: Job) -> None:
    keep(Cohort((whole(he), whole(xavier))))
    assert list(journal.kept_results(he.study_folder, [changed(he), xavier])) == [xavier.name]
    assert list(journal.kept_results(he.study_folder, [he])) == [he.name]
    assert journal.kept_results(he.study_folder / "elsewhere", [he]) == {}


def test_no_member_comes_back_twice(he: Job) -> None:
    for seeds in (range(2), range(1, 4), range(2, 4), range(4)):
        keep(Cohort((Share(he, seeds),)))
    parts = journal.kept_results(he.study_folder, [he])[he.name]
    members = [member for part in parts for member in part.members["member"]]
    assert len(members) == len(set(members)) > 0
    assert all(set(part.history["member"]) == set(part.members["member"]) for part in parts)


@pytest.mark.parametrize("damage", ["no members", "half a history", "half a signal", "a later version"])
def test_what_is_not_whole_is_as_if_it_were_not_there(damage: str, he: Job, xavier: Job) -> None:
    """The members are written last: without them a cohort has not been kept."""
    keep(Cohort((whole(xavier),)))
    folder = keep(Cohort((whole(he),)), signal=True)
    if damage == "no members":
        (folder / "members.parquet").unlink()
    elif damage == "a later version":
        of_later_version(folder / "members.parquet")
    else:
        half(folder / f"{damage.removeprefix('half a ')}.parquet")
    assert list(journal.kept_results(he.study_folder, [he, xavier])) == [xavier.name]


def missing(*jobs: Job, without: tuple[int, ...] = ()) -> dict[str, tuple[Job, set[int]]]:
    return {job.name: (job, set(job.seeds) - set(without)) for job in jobs}


def test_an_interrupted_cohort_is_found_with_its_members_in_their_order(he: Job, xavier: Job) -> None:
    cohort = Cohort((Share(xavier, range(6, 8)), Share(he, range(1, 3))))
    interrupt(cohort)
    journal.open_folder(cut([whole(he)], 99)[0])  # without a checkpoint
    (found,) = journal.interrupted_cohorts(he.study_folder, missing(he, xavier))
    assert members_of(found) == members_of(cohort)
    assert found.folder_name == cohort.folder_name  # so that it finds its checkpoint
    assert [share.job for share in found.shares] == [xavier, he]


def test_a_checkpoint_is_of_use_only_if_all_its_members_are_still_to_be_trained(he: Job, xavier: Job) -> None:
    interrupt(Cohort((whole(he), Share(xavier, range(5, 7)))))
    folder = he.study_folder
    assert len(journal.interrupted_cohorts(folder, missing(he, xavier))) == 1
    assert len(journal.interrupted_cohorts(folder, missing(he, xavier, without=(7,)))) == 1  # is not in it
    assert journal.interrupted_cohorts(folder, missing(he, xavier, without=(6,))) == []
    assert journal.interrupted_cohorts(folder, missing(he)) == []
    assert journal.interrupted_cohorts(folder, missing(changed(he), xavier)) == []
    assert journal.interrupted_cohorts(folder, {}) == []


def test_no_member_is_in_two_interrupted_cohorts(he: Job) -> None:
    for seeds in (range(3), range(2, 4), range(4)):
        interrupt(Cohort((Share(he, seeds),)))
    found = journal.interrupted_cohorts(he.study_folder, missing(he))
    members = [member for cohort in found for member in members_of(cohort)]
    assert len(members) == len(set(members)) > 0


def test_a_damaged_manifest_makes_a_folder_worthless(he: Job, xavier: Job) -> None:
    damaged, fine = interrupt(Cohort((whole(he),))), interrupt(Cohort((whole(xavier),)))
    (damaged / "manifest.json").write_text('[{"job":')
    (found,) = journal.interrupted_cohorts(he.study_folder, missing(he, xavier))
    assert found.shares[0].job is xavier
    assert not damaged.exists()
    assert fine.exists()


def test_tidying_removes_what_nobody_will_want(he: Job, xavier: Job) -> None:
    both, one = keep(Cohort((whole(he), whole(xavier)))), keep(Cohort((whole(he),)))
    (both.parent / "gpu-0-somewhere.lock").touch()
    (both.parent / "half made").mkdir()
    written(he.with_seeds([0, 1, 2]))
    journal.tidy(he.study_folder, {he.name}, beside_others=True)
    assert one.exists()  # a seed of it is in no table
    written(he)
    written(xavier)
    journal.tidy(he.study_folder, {he.name}, beside_others=True)
    left = {path.name for path in both.parent.iterdir()}
    assert left == {both.name, "gpu-0-somewhere.lock", "half made"}
    assert not one.exists()
    journal.tidy(he.study_folder, {he.name}, beside_others=False)
    assert [path.name for path in both.parent.iterdir()] == [both.name]
    journal.tidy(he.study_folder, {he.name, xavier.name}, beside_others=False)
    assert not both.parent.exists()
    journal.tidy(he.study_folder, {he.name}, beside_others=False)  # nothing is there


def test_after_an_interruption_only_what_can_go_on_is_kept(he: Job, xavier: Job) -> None:
    begun, interrupted = journal.open_folder(Cohort((whole(he),))), interrupt(Cohort((whole(xavier),)))
    (begun.parent / "gpu-0-somewhere.lock").touch()
    (begun.parent / "half made").mkdir()
    assert journal.forget_useless(he.study_folder)
    assert [path.name for path in begun.parent.iterdir()] == [interrupted.name]
    journal.checkpoint_of(interrupted).unlink()
    assert not journal.forget_useless(he.study_folder)
    assert not begun.parent.exists()


def test_what_is_trained_anew_is_forgotten_with_all_who_trained_beside_it(he: Job, xavier: Job) -> None:
    both, one = keep(Cohort((whole(he), whole(xavier)))), keep(Cohort((whole(he),)))
    journal.forget_jobs(he.study_folder, [xavier])
    assert one.exists()
    assert not both.exists()
