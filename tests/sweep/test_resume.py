"""Named sweeps: what is found in their folder, what is left to do, and what a cohort leaves for later."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from initlab.cohort.module import CohortModule
from initlab.cohort.run import train_cohort
from initlab.jobs.data import forget_data
from initlab.jobs.job import Job
from initlab.sweep import journal, worker
from initlab.sweep.writing import write_job
from initlab.tables.job_tables import JobTables
from initlab.tables.store import read_metadata, read_table
from tests.helpers import QUICK, make_job, run
from tests.sweep.helpers import assert_same_tables, first_epochs, tables_of

Patch = pytest.MonkeyPatch


def written(study: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in study.glob("*/members.parquet")}


def test_the_same_command_again_trains_nothing(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"-m init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0
    before = written(study)
    capsys.readouterr()
    assert run(f"-m init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "2 of 2 jobs are finished already" in said
    assert "test accuracy" in said
    assert written(study) == before


def test_more_values_extend_a_study(monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    before = written(study)
    assert run(f"-m init=he,xavier optim.lr=0.1,0.05 {QUICK}", monkeypatch, tmp_path) == 0
    assert "1 of 4 jobs is finished already" in capsys.readouterr().out
    assert run(f"-m init=he,xavier,zeros {QUICK}", monkeypatch, tmp_path) == 0
    # By fingerprint: 0.05 is wine's own rate, and the folders keep the names that they had.
    assert "2 of 3 jobs are finished already" in capsys.readouterr().out
    after = written(study)
    names = ["init=he", "init=he,optim.lr=0.1", "init=xavier,optim.lr=0.05", "init=xavier,optim.lr=0.1", "init=zeros"]
    assert sorted(after) == names
    assert before.items() <= after.items()


def test_resume_false_trains_anew(monkeypatch: Patch, tmp_path: Path) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"-m init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0
    before, first = written(study), read_metadata(study / next(iter(written(study))))["run"]
    assert run(f"-m init=he,xavier {QUICK} resume=false", monkeypatch, tmp_path) == 0
    assert all(written(study)[name] > moment for name, moment in before.items())
    assert {read_metadata(study / name)["run"] for name in before}.isdisjoint({first})


def test_another_configuration_of_the_same_name_is_told_apart(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of the user's own has changed: not by an override, so that the folder is called the same."""
    table = tmp_path / "table.csv"
    rows = [f"{place % 7},{place % 3},{'a' if place % 2 else 'b'}" for place in range(60)]
    command = f"-m data=csv data.path={table} data.target=kind init=he,xavier {QUICK}"
    table.write_text("\n".join(["x,y,kind", *rows]) + "\n")
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    before = written(study)
    table.write_text("\n".join(["x,y,kind", *rows[:-10]]) + "\n")
    forget_data()  # another process would not have it
    for attempt in range(2):
        capsys.readouterr()
        assert run(command, monkeypatch, tmp_path) == 0
        said = capsys.readouterr().out
        assert said.count("table.csv has changed since") == 2 * (attempt == 0)  # then found by fingerprint
        assert ("2 of 2 jobs are finished already" in said) == (attempt == 1)
    assert before.items() <= written(study).items()
    assert len(written(study)) == 4
    for name in written(study):
        assert set(read_table(study / name, "members")["job"]) == {name}


def test_a_damaged_table_is_trained_anew_and_a_later_versions_is_kept(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet as pq

    command = f"-m init=he,xavier,zeros {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    reference = tables_of(study)
    half, later, fine = (next(study.glob(f"init={name}*")) for name in ("he", "xavier", "zeros"))
    content = (half / "history.parquet").read_bytes()
    (half / "history.parquet").write_bytes(content[: len(content) // 2])
    table = pq.ParquetFile(later / "members.parquet").read()  # not read_table: init=xavier would be a partition
    pq.write_table(table.replace_schema_metadata({b"initlab_schema_version": b"99"}), later / "members.parquet")
    before = written(study)
    capsys.readouterr()
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "history.parquet: unreadable" in said
    assert "it is trained anew" in said
    assert "tables of a later version of initlab" in said
    assert "not in the table: " in said
    assert "schema version 99" in said
    after = written(study)
    assert after[fine.name] == before[fine.name]
    assert after[later.name] == before[later.name]
    assert after[half.name] > before[half.name]
    assert len(after) == 4
    assert len(pd.read_csv(study / "summary.csv")) == 3
    pd.testing.assert_frame_equal(read_table(half, "history"), reference[half.name][1], rtol=1e-4)


def test_a_folder_that_holds_no_table_does_not_stop_a_sweep(
    monkeypatch: Patch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "outputs" / "study" / "other"
    other.mkdir(parents=True)
    (other / "members.parquet").write_text("no table")
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert f"not in the table: {Path('outputs/study/other')}" in capsys.readouterr().out
    assert (other / "members.parquet").read_text() == "no table"


class Killed(BaseException):
    """What ends a process, as far as the code that it runs can tell."""


def killed_after(epochs: int) -> Any:
    """A hook that ends training when so many epochs are done."""

    def on_train_epoch_start(module: CohortModule) -> None:
        if module.current_epoch == epochs:
            raise Killed

    return on_train_epoch_start


def killed(_: CohortModule) -> None:
    """A hook that ends everything at once."""
    raise Killed


def run_killed(command: str, monkeypatch: Patch, folder: Path, epochs: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(CohortModule, "on_train_epoch_start", killed_after(epochs))
        with pytest.raises(Killed):
            run(command, patch, folder)


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("data=wine optim=adamw model.dropout=0.3 model.norm=batch", marks=pytest.mark.slow),
        pytest.param("data=digits model.channels=[4,4] optim=momentum model.dropout=0.2", marks=pytest.mark.slow),
        pytest.param("data=wine optim.lr=0.1,0.01 gradient_clip=0.5", marks=pytest.mark.slow),
        "data=wine optim.lr=0.1,0.01 signal.every=2",
    ],
)
def test_a_long_cohort_goes_on_from_its_last_epoch(what: str, monkeypatch: Patch, tmp_path: Path) -> None:
    """Weights, optimizer, batch norm's buffers, dropout's random numbers and all that was measured: to the bit."""
    command = f"-m {what} init=he seeds=2 trainer.max_epochs=5 checkpoint_seconds=0 n_jobs=1 threads=1"
    assert run(f"{command} name=undisturbed", monkeypatch, tmp_path) == 0
    run_killed(f"{command} name=study", monkeypatch, tmp_path, epochs=3)
    epochs = first_epochs(monkeypatch)
    assert run(f"{command} name=study", monkeypatch, tmp_path) == 0
    assert epochs == [3]
    outputs = tmp_path / "outputs"
    assert_same_tables(outputs / "study", outputs / "undisturbed")
    assert not (outputs / "study" / ".cohorts").exists()


def test_a_kill_after_the_last_epoch_repeats_no_more_than_that(monkeypatch: Patch, tmp_path: Path) -> None:
    command = "-m init=he seeds=2 trainer.max_epochs=4 checkpoint_seconds=0 logger=none n_jobs=1"
    assert run(f"{command} name=undisturbed", monkeypatch, tmp_path) == 0
    with monkeypatch.context() as patch:
        patch.setattr(CohortModule, "on_train_end", killed)
        with pytest.raises(Killed):
            run(f"{command} name=study", patch, tmp_path)
    assert list(tmp_path.rglob("checkpoint.ckpt"))
    epochs = first_epochs(monkeypatch)
    assert run(f"{command} name=study", monkeypatch, tmp_path) == 0
    assert epochs == [3]
    assert_same_tables(tmp_path / "outputs" / "study", tmp_path / "outputs" / "undisturbed")


@pytest.mark.slow
def test_an_interrupted_cohort_stays_together_when_a_study_is_extended(monkeypatch: Patch, tmp_path: Path) -> None:
    command = "-m init=he,xavier seeds=2 trainer.max_epochs=4 checkpoint_seconds=0 logger=none n_jobs=1"
    assert run(f"{command} name=undisturbed", monkeypatch, tmp_path) == 0
    run_killed(f"{command} name=study", monkeypatch, tmp_path, epochs=2)
    sizes: list[tuple[int, bool]] = []

    def spy(shares: Any, *arguments: Any, **settings: Any) -> Any:
        sizes.append((sum(len(share.seeds) for share in shares), settings["checkpoint"].found is not None))
        return train_cohort(shares, *arguments, **settings)

    monkeypatch.setattr(worker, "train_cohort", spy)
    more = command.replace("init=he,xavier", "init=zeros,he,xavier")
    assert run(f"{more} name=study", monkeypatch, tmp_path) == 0
    assert sizes == [(4, True), (2, False)]
    study, undisturbed = (tables_of(tmp_path / "outputs" / name) for name in ("study", "undisturbed"))
    assert len(study) == 3
    for name, tables in undisturbed.items():
        for one, other in zip(study[name], tables, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_cohort_is_finished_as_a_whole_or_not_at_all(monkeypatch: Patch, tmp_path: Path) -> None:
    """Killed after the first of its jobs was written: the others come from what was kept, without training."""
    command = f"-m init=he,xavier,zeros {QUICK} n_jobs=1".replace("logger=none", "")
    assert run(command.replace("name=study", "name=undisturbed"), monkeypatch, tmp_path) == 0
    with monkeypatch.context() as patch:
        jobs = list[Job]()

        def write_one(job: Any, *arguments: Any) -> None:
            if jobs:
                raise Killed
            jobs.append(job)
            write_job(job, *arguments)

        patch.setattr(worker, "write_job", write_one)
        with pytest.raises(Killed):
            run(command, patch, tmp_path)
    study = tmp_path / "outputs" / "study"
    assert len(tables_of(study)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(worker, "train_cohort", None)
        assert run(command, patch, tmp_path) == 0
    assert_same_tables(study, tmp_path / "outputs" / "undisturbed")
    assert not (study / ".cohorts").exists()
    assert len(list(study.glob("*/events*"))) == 4  # of the jobs and of the sweep


def test_a_sweep_reads_no_more_than_it_needs(monkeypatch: Patch, tmp_path: Path) -> None:
    """The journal once before training, and what became of a cohort's jobs only where a failure is to stop it."""
    asked = list[list[str]]()
    kept_results = journal.kept_results

    def spy(folder: Path, jobs: Sequence[Job]) -> dict[str, list[JobTables]]:
        asked.append([job.name for job in jobs])
        return kept_results(folder, jobs)

    monkeypatch.setattr(journal, "kept_results", spy)
    monkeypatch.setattr(worker, "outcome", None)
    assert run(f"-m init=he,xavier {QUICK} n_jobs=1", monkeypatch, tmp_path) == 0
    assert asked == [["init=he", "init=xavier"]]


def test_a_checkpoint_that_does_not_fit_is_no_reason_to_fail(monkeypatch: Patch, tmp_path: Path) -> None:
    command = "-m init=he seeds=2 trainer.max_epochs=4 checkpoint_seconds=0 logger=none n_jobs=1"
    assert run(f"{command} name=undisturbed", monkeypatch, tmp_path) == 0
    run_killed(f"{command} name=study", monkeypatch, tmp_path, epochs=2)
    (checkpoint,) = tmp_path.rglob("checkpoint.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert run(f"{command} name=study", monkeypatch, tmp_path) == 0
    assert_same_tables(tmp_path / "outputs" / "study", tmp_path / "outputs" / "undisturbed")


def test_the_fingerprint_is_of_what_decides_results() -> None:
    job = make_job("init=he")
    for same in (
        *("threads=3", "n_jobs=2", "max_members=5", "logger=tensorboard", "resume=false", "name=x"),
        *("seeds=3", "seed=100"),
    ):
        assert make_job("init=he", same).fingerprint == job.fingerprint, same
    for other in (
        "init=xavier",
        "optim.lr=0.3",
        "trainer.max_epochs=1",
        "threshold=0.5",
        "data.split_seed=1",
    ):
        assert make_job("init=he", other).fingerprint != job.fingerprint, other


def test_metadata_says_what_became_of_a_job(monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    (path,) = tmp_path.rglob("metadata.json")
    metadata = json.loads(path.read_text())
    assert metadata["status"] == "finished"
    assert len(metadata["fingerprint"]) == 64
