"""What is found in a job's folder, and what a run leaves there."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from initlab.jobs.job import Job
from initlab.sweep import writing
from initlab.sweep.folders import State, forget_failure, outcome, reason_of, write_failure
from initlab.sweep.naming import place_jobs
from initlab.sweep.writing import write_job
from initlab.tables.job_tables import JobTables
from initlab.tables.store import finished_jobs, read_config, read_metadata, read_table
from initlab.tracking.callback import JobTracking
from tests.helpers import make_job
from tests.sweep.helpers import half, made_up_tables, of_later_version, whole

RUN = "this run"
TRACEBACK = "Traceback (most recent call last):\n  File ...\nArithmeticError: broken on purpose\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return make_job("init=he", "seeds=2", output_dir=tmp_path)


def finish(job: Job, run: str = RUN, *, signal: bool = False) -> JobTables:
    """Write a job as a run does that has trained it."""
    tables = made_up_tables(whole(job), signal=signal)
    write_job(job, tables, JobTracking(job, None), run)
    return tables


def place(job: Job) -> tuple[Job, State, str | None]:
    (placed,) = place_jobs([job])
    return placed.job, placed.state, placed.note


def changed(job: Job, batch_size: int = 7) -> Job:
    """Another configuration in the folder of a job."""
    other = make_job("init=he", "seeds=2", f"batch_size={batch_size}", output_dir=Path(job.config.output_dir))
    return replace(other, name=job.name)


def test_a_folder_is_open_until_a_job_is_finished_in_it(job: Job) -> None:
    assert place(job) == (job, "open", None)
    job.folder.mkdir(parents=True)
    (job.folder / "history.parquet").write_text("half")
    (job.folder / "notes.txt").write_text("a user's own")
    assert place(job) == (job, "open", None)
    finish(job)
    assert place(job) == (job, "finished", None)
    assert (job.folder / "notes.txt").exists()


def test_a_job_that_failed_later_keeps_what_it_had(job: Job) -> None:
    """More of its seeds were to be trained: those that were there count, and metadata.json still tells of them."""
    finish(job)
    before = read_metadata(job.folder)
    write_failure(job.with_seeds(range(9)), TRACEBACK, "a later run")
    (placed,) = place_jobs([job])
    assert (placed.job, placed.state, placed.trained) == (job, "finished", frozenset({0, 1}))
    assert read_metadata(job.folder) == {**before, "status": "failed", "run": "a later run"}
    assert outcome(job, "a later run") == "failed"
    assert finished_jobs(job.study_folder) == [job.folder]
    forget_failure(job)
    assert read_metadata(job.folder) == {**before, "run": "a later run"}
    assert not (job.folder / "error.txt").exists()


@pytest.mark.parametrize("name", ["members", "history"])
def test_a_damaged_table_is_trained_anew(name: str, job: Job) -> None:
    finish(job)
    half(job.folder / f"{name}.parquet")
    found, state, note = place(job)
    assert (found, state) == (job, "damaged")
    assert note is not None
    assert f"{job.folder / name}.parquet: unreadable (" in note
    assert note.endswith("; it is trained anew")
    assert "remove" not in note  # of what the user need not do


def test_the_results_of_something_else_stay_and_this_goes_beside_them(job: Job) -> None:
    other = changed(job)
    finish(other)
    before = (other.folder / "members.parquet").read_bytes()
    for state in ("open", "finished"):
        found, beside, note = place(job)
        assert beside == state
        assert found.name == f"{job.name}-{job.fingerprint[:8]}"
        assert (found.fingerprint, found.study_folder) == (job.fingerprint, job.study_folder)
        said = (
            f"{job.name}: that folder holds the results of another configuration, or of other data, and stays as it "
            f"is; this goes to {found.name}"
        )
        assert note == (said if state == "open" else None)  # once: then it is found where it is
        finish(found)
    assert (other.folder / "members.parquet").read_bytes() == before


def test_a_folder_beside_may_be_taken_too(job: Job) -> None:
    finish(changed(job))
    beside, *_ = place(job)
    finish(replace(changed(job, 9), name=beside.name))
    found, state, note = place(job)
    assert found.name == f"{beside.name}-2"
    assert state == "open"
    assert note is not None
    assert note.endswith(f"this goes to {found.name}")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("a later version", "tables of a later version of initlab"),
        ("no fingerprint", "results that do not say what they are of"),
        ("no metadata", "results that do not say what they are of"),
    ],
)
def test_what_cannot_be_told_to_be_this_job_stays(what: str, reason: str, job: Job) -> None:
    finish(job)
    metadata = job.folder / "metadata.json"
    if what == "a later version":
        of_later_version(job.folder / "history.parquet")
    elif what == "no metadata":
        metadata.unlink()
    else:
        known = json.loads(metadata.read_text())
        del known["fingerprint"]
        metadata.write_text(json.dumps(known))
    found, state, note = place(job)
    assert (found.name, state) == (f"{job.name}-{job.fingerprint[:8]}", "open")
    assert note is not None
    assert f"that folder holds {reason}, and stays as it is" in note


@pytest.mark.parametrize("signal", [False, True])
def test_a_finished_job_is_written_as_a_whole(signal: bool, job: Job) -> None:
    write_failure(job, TRACEBACK, "a former run")
    tables = finish(job, signal=signal)
    names = {"config.yaml", "metadata.json", "members.parquet", "history.parquet"}
    assert {path.name for path in job.folder.iterdir()} == names | ({"signal.parquet"} if signal else set())
    for name in ("members", "history"):
        table = read_table(job.folder, name)
        pd.testing.assert_frame_equal(table, getattr(tables, name)[table.columns], check_dtype=False)
    assert read_config(job.folder) == job.resolved
    metadata = read_metadata(job.folder)
    assert metadata["status"] == "finished"
    assert metadata["run"] == RUN
    assert metadata["fingerprint"] == job.fingerprint
    assert metadata["data_checksum"] == job.data.checksum
    assert metadata["seeds"] == [0, 1]
    assert outcome(job, RUN) == "finished"


def test_an_outcome_is_of_one_run(job: Job) -> None:
    assert outcome(job, RUN) is None
    finish(job, "a former run")
    assert outcome(job, RUN) is None
    assert outcome(job, "a former run") == "finished"
    write_failure(job, TRACEBACK, RUN)
    assert outcome(job, RUN) == "failed"
    assert outcome(job, "a former run") is None
    finish(job)
    assert outcome(job, RUN) == "finished"
    (job.folder / "members.parquet").unlink()
    assert outcome(job, RUN) == "failed"


@pytest.mark.parametrize("step", ["write_description", "write_table", "finish"])
@pytest.mark.parametrize("former", [False, True])
def test_a_job_that_cannot_be_written_is_not_finished(
    step: str, former: bool, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step fails; and what a former run has written stays whole."""
    if former:
        finish(job, "a former run")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(JobTracking if step == "finish" else writing, step, full)
    with pytest.raises(OSError, match="disk full"):
        finish(job)
    assert (job.folder / "members.parquet").exists() == former
    assert outcome(job, RUN) != "finished"
    assert outcome(job, "a former run") == ("finished" if former else None)
    assert place(job) == (job, "finished" if former else "open", None)
    assert not list(job.folder.glob(".*"))


def test_a_failure_is_kept_with_its_reason_and_configuration(job: Job) -> None:
    assert reason_of(job) == "see above"  # nothing could be written
    write_failure(job, TRACEBACK, RUN)
    said = (job.folder / "error.txt").read_text()
    assert said.startswith(TRACEBACK)
    assert "name: he_normal" in said
    assert reason_of(job) == "ArithmeticError: broken on purpose"
    assert read_metadata(job.folder)["status"] == "failed"
    assert read_metadata(job.folder)["fingerprint"] == job.fingerprint
    assert outcome(job, RUN) == "failed"


def test_a_failure_that_cannot_be_written_is_said(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.study_folder.mkdir(parents=True)
    job.folder.write_text("a file where the folder should be")
    write_failure(job, TRACEBACK, RUN)
    assert capsys.readouterr().err == f"{job.name}:\n{TRACEBACK}"
