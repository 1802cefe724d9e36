"""What each tracker is told of a job, against the job's tables."""

import importlib
import json
import sqlite3
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from initlab.cohort import compiled
from initlab.results.intervals import student_interval
from initlab.sweep import worker
from initlab.tables.store import read_table
from initlab.tracking.callback import JobTracking
from tests.helpers import make_job, run, train

SWEEP = "-m init=zeros,he seeds=3 trainer.max_epochs=2 name=study"
NAMES = [f"init={name}" for name in ("he", "zeros")]


def expected_rows(folder: Path) -> dict[int, dict[str, float]]:
    """What a tracker should have been told of a job, by epoch, from its tables and by another computation."""
    history, members = read_table(folder, "history"), read_table(folder, "members")
    metric = members["metric"].iloc[0]
    rows: dict[int, dict[str, float]] = {}
    for _, part in history.groupby(["epoch", "split"]):
        epoch, split = int(part["epoch"].iloc[0]), str(part["split"].iloc[0])
        for column, name in {"loss": "loss", "score": metric, "gradient_norm": "gradient_norm"}.items():
            values = part[column].dropna().to_numpy(np.float64)
            if len(values):
                interval = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95) if np.ptp(values) else None
                ends = [values.mean(), *(interval or [values.mean()] * 2)]
                tags = [f"{split}_{name}/{end}" for end in ("mean", "low", "high")]
                rows.setdefault(epoch, {}).update(zip(tags, ends, strict=True))
    final = {name: members[name].mean() for name in ("test_score", "test_loss", "val_loss", "train_loss", "auc")}
    final["best_val_score"] = history[history["split"] == "val"].groupby("member")["score"].max().mean()
    rows[2] |= {f"final/{name.replace('score', metric)}": float(value) for name, value in final.items()}
    rows[2]["final/diverged"] = 0.0
    return rows


def assert_same_rows(found: Mapping[int, Mapping[Any, float]], folder: Path) -> None:
    expected = expected_rows(folder)
    assert list(expected) == [0, 1, 2]
    assert set(found) == set(expected)
    for epoch, row in expected.items():
        assert found[epoch] == pytest.approx(row, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0, np.nan], [3.0, np.inf], [2.0, 2.0], [np.nan, np.nan]])
def test_a_live_interval_is_students(values: list[float]) -> None:
    finite = [value for value in values if np.isfinite(value)]
    expected: list[Any] = [np.mean(finite)] * 3 if finite else [np.nan] * 3
    if len(set(finite)) > 1:
        interval = scipy.stats.ttest_1samp(np.array(finite), 0).confidence_interval(0.95)
        expected[1:] = [interval.low, interval.high]
    assert student_interval(np.array(values)) == pytest.approx(expected, nan_ok=True)


def test_csv_has_a_row_an_epoch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for _ in range(2):  # the second time in place of the first
        assert run(f"{SWEEP} logger=csv resume=false", monkeypatch, tmp_path) == 0
    for name in NAMES:
        folder = tmp_path / "outputs" / "study" / name
        table = pd.read_csv(folder / "csv" / "metrics.csv").groupby("step").first().reset_index()
        found = {int(row.pop("step")): row for row in (row.dropna().to_dict() for _, row in table.iterrows())}
        assert_same_rows(found, folder)
        parameters = yaml.safe_load((folder / "csv" / "hparams.yaml").read_text())
        assert parameters["init"] == {"init=he": "he_normal", "init=zeros": "zeros"}[name.split(",")[0]]
        assert parameters["seeds"] == 3
        assert not {"name", "output_dir", "logger.name"} & set(parameters)


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: LevelDB's log format, after a header of 7 bytes."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")

    data, place, parts = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield messages.Record.FromString(parts)
            parts = b""


def wandb_run(path: Path) -> tuple[str, str, dict[str, object], dict[int, dict[str, float]]]:
    """A run's project, name, configuration and history."""
    project, name = "", ""
    config: dict[str, object] = {}
    rows: dict[int, dict[str, float]] = {}
    for record in wandb_records(path):
        if record.HasField("run"):
            project, name = record.run.project, record.run.display_name
        if record.HasField("config"):
            config |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.config.update}
        if record.HasField("history"):
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            step = row.pop("trainer/global_step")
            rows[step] = {tag: value for tag, value in row.items() if not tag.startswith("_")}
    return project, name, config, rows


@pytest.mark.slow
def test_wandb_has_a_run_a_job_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_MODE", "WANDB_SILENT", "WANDB_ERROR_REPORTING"):  # set by it, and unset again
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert run(f"{SWEEP} logger=wandb", monkeypatch, tmp_path) == 0
    assert capfd.readouterr().err == ""
    for job in NAMES:
        folder = tmp_path / "outputs" / "study" / job
        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        project, name, config, rows = wandb_run(path)
        assert (project, name) == ("study", job)
        assert config["init"] == read_table(folder, "members")["init"].iloc[0]
        assert config["trainer.max_epochs"] == 2
        assert_same_rows(rows, folder)


def mlflow_runs(store: Path) -> dict[str, tuple[str, str, dict[str, str], dict[int, dict[str, float]]]]:
    """Status, experiment, parameters and metrics of each run, by its name, read from the store itself."""
    runs = {}
    connection = sqlite3.connect(store)
    query = "select run_uuid, runs.name, status, experiments.name from runs join experiments using (experiment_id)"
    for identity, name, status, experiment in connection.execute(query).fetchall():
        assert name not in runs
        parameters = dict(connection.execute("select key, value from params where run_uuid = ?", (identity,)))
        rows: dict[int, dict[str, float]] = {}
        metrics = connection.execute("select step, key, value from metrics where run_uuid = ?", (identity,))
        for step, key, value in metrics:
            rows.setdefault(step, {})[key] = value
        runs[name] = (status, experiment, parameters, rows)
    connection.close()
    return runs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|alembic|sqlalchemy|pydantic)")
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # which MLflow keeps for later
def test_mlflow_has_a_run_a_job_in_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    assert run(f"{SWEEP} logger=mlflow", monkeypatch, tmp_path) == 0
    runs = mlflow_runs(tmp_path / "outputs" / "mlflow.db")
    assert set(runs) == set(NAMES)
    for name, (status, experiment, parameters, rows) in runs.items():
        folder = tmp_path / "outputs" / "study" / name
        assert (status, experiment) == ("FINISHED", "study")
        assert parameters["init"] == read_table(folder, "members")["init"].iloc[0]
        assert parameters["model.depth"] == "2"
        assert_same_rows(rows, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]  # no mlruns/ where the command ran


@pytest.mark.slow
def test_workers_may_make_mlflows_store_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = "-m init=zeros,he model.depth=1,2 seeds=2 trainer.max_epochs=2 name=study n_jobs=2 logger=mlflow"
    assert run(command, monkeypatch, tmp_path) == 0
    assert len(mlflow_runs(tmp_path / "outputs" / "mlflow.db")) == 4


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert run(f"init=he logger={package} name=study", monkeypatch, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"pip install 'initlab[{package}]'" in line


def test_a_former_runs_events_alone_are_removed(tmp_path: Path) -> None:
    job = make_job("seeds=2", "logger=tensorboard", output_dir=tmp_path)
    kept = [job.folder / "notes.txt", job.folder / "more" / "events.out.tfevents.1"]
    former = [job.folder / "events.out.tfevents.1.host", job.folder / "hparams.yaml"]
    for path in (*kept, *former):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    JobTracking(job, slice(0, 2))
    assert [path.exists() for path in (*kept, *former)] == [True, True, False, False]


def logged(tracking: JobTracking, folder: Path) -> EventAccumulator:
    """What TensorBoard was told, with all histograms."""
    (logger,) = tracking._live
    assert isinstance(logger, TensorBoardLogger)
    logger.experiment.close()
    events = EventAccumulator(str(folder), size_guidance={"histograms": 0})
    events.Reload()
    return events


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_gradients_are_those_of_the_last_step(engine: str, tmp_path: Path) -> None:
    """Of one step an epoch, plain SGD: a gradient is what the weights lost, divided by the learning rate."""
    plain = ("batch_size=200", "optim=sgd", "optim.lr=0.5", "optim.weight_decay=0", f"engine={engine}")
    job = make_job("seeds=4", "trainer.max_epochs=1", *plain, "logger=tensorboard", output_dir=tmp_path)
    tracking = JobTracking(job, slice(1, 3))
    module = train(job, callbacks=[tracking])
    events = logged(tracking, job.folder)
    names = [tag for tag in events.Tags()["histograms"] if tag.startswith("gradients/")]
    assert len(names) == len(module.stack.parameters)
    starts = [job.build_member(member).state_dict() for member in job.members()[1:3]]
    for tag in names:
        name = tag.removeprefix("gradients/")
        lost = (torch.stack([start[name] for start in starts]) - module.stack.parameters[name].detach()[1:3]) / 0.5
        (event,) = events.Histograms(tag)
        assert event.step == 1
        found = event.histogram_value
        assert (found.min, found.max, found.num) == pytest.approx(
            (float(lost.min()), float(lost.max()), lost.numel()), rel=1e-3, abs=1e-5
        )


def test_gradients_are_logged_early_and_at_the_end(tmp_path: Path) -> None:
    job = make_job("seeds=2", "trainer.max_epochs=3", "logger=tensorboard", output_dir=tmp_path)
    tracking = JobTracking(job, slice(0, 2))
    train(job, callbacks=[tracking])
    events = logged(tracking, job.folder)
    assert [event.step for event in events.Histograms("gradients/hidden.0.weight")] == [1, 3]
    assert [event.step for event in events.Histograms("weights/hidden.0.weight")] == [0, 3]


@pytest.mark.parametrize(
    "options",
    [
        ("batch_size=15",),  # a last batch that is filled up
        ("batch_size=56",),  # two steps an epoch, of which the second is the one that is compiled
        ("batch_size=10000",),  # a step an epoch
        ("batch_size=15", "model.norm=batch", "gradient_clip=0.1"),  # one that is not compiled
        ("batch_size=43", "model.norm=batch", "model.dropout=0.2", "gradient_clip=0.1"),  # none
    ],
)
def test_a_compiled_cohort_logs_the_gradients_of_the_same_steps(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INITLAB_COMPILED", str(tmp_path / "programs"))
    monkeypatch.setattr(compiled, "compile_program", lambda program, *_: program.forward)
    found, ends = {}, {}
    for choice in ("true", "false"):
        job = make_job(
            *("seeds=2", "trainer.max_epochs=3", "trainer.precision=64-true", "model.hidden=[6]", *options),
            *(f"compile={choice}", "logger=tensorboard"),
            output_dir=tmp_path / choice,
        )
        tracking = JobTracking(job, slice(0, 2))
        module = train(job, callbacks=[tracking])
        events = logged(tracking, job.folder)
        found[choice] = {
            (tag, event.step): (event.histogram_value.min, event.histogram_value.max, event.histogram_value.sum_squares)
            for tag in events.Tags()["histograms"]
            for event in events.Histograms(tag)
        }
        ends[choice] = {**module.stack.parameters, **module.stack.buffers}
        assert module.compiled == (choice == "true")
    assert {step for tag, step in found["true"] if tag.startswith("gradients/")} == {1, 3}
    assert found["true"].keys() == found["false"].keys()
    for place, numbers in found["true"].items():
        assert numbers == pytest.approx(found["false"][place], rel=1e-6, abs=1e-12), place
    for name, value in ends["true"].items():
        torch.testing.assert_close(value, ends["false"][name], rtol=1e-7, atol=1e-9)


# Nothing is that much better than the first epoch: all members stop after the third.
STOPS = ("seeds=2", "trainer.max_epochs=6", "early_stopping.patience=2", "early_stopping.min_delta=1000")


def test_the_last_gradients_are_logged_where_all_members_stop_early(tmp_path: Path) -> None:
    job = make_job(*STOPS, "logger=tensorboard", output_dir=tmp_path)
    tracking = JobTracking(job, slice(0, 2))
    assert train(job, callbacks=[tracking]).epochs == [3, 3]
    events = logged(tracking, job.folder)
    for kind, steps in {"gradients": [1, 3], "weights": [0, 3]}.items():
        assert [event.step for event in events.Histograms(f"{kind}/hidden.0.weight")] == steps


@pytest.mark.parametrize("live", [True, False])
def test_a_job_that_stops_early_is_told_as_its_tables_have_it(
    live: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To the last epoch, at which the final metrics stand; whether the logger was open meanwhile or not."""
    monkeypatch.setattr(worker, "LIVE_LOGS", 1 if live else 0)
    assert run(f"init=he {' '.join(STOPS)} logger=csv name=study", monkeypatch, tmp_path) == 0
    folder = tmp_path / "outputs" / "study" / "init=he"
    assert list(read_table(folder, "members")["epochs"]) == [3, 3]
    table = pd.read_csv(folder / "csv" / "metrics.csv").groupby("step").first()
    assert list(table.index) == list(range(7))
    assert list(table.index[table["final/test_loss"].notna()]) == [6]
    history = read_table(folder, "history")
    expected = history[history["split"] == "val"].groupby("epoch")["loss"].mean()
    assert table["val_loss/mean"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)
    assert len(set(table["val_loss/mean"][3:])) == 1
