"""Every data set, a regression, and a data set of one's own, as users run them."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from initlab.config.files import CONF
from initlab.tables.store import read_failure, read_table
from tests.helpers import QUICK, make_job, run

EMBEDDED = ("wine", "digits", "teacher", "spirals")
ALL = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))


@pytest.mark.parametrize("name", ALL)
def test_every_data_set_composes_and_brings_its_recipe(name: str) -> None:
    job = make_job(f"data={name}")
    assert job.key_columns["data"] == name
    assert job.config.trainer.max_epochs >= 5
    assert make_job(f"data={name}", "trainer.max_epochs=2").config.trainer.max_epochs == 2


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_sets_train_an_epoch(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = f"data={name} seeds=2 trainer.max_epochs=1 logger=none name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    (row,) = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv").to_dict("records")
    assert np.isfinite(row["test_score_mean"])


@pytest.mark.parametrize(
    "name",
    ["mnist", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fashion_mnist", "kmnist")), "wine_quality"],
)
def test_data_sets_from_files_train_an_epoch(
    name: str, small_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = f"data={name} data.dir={small_data} seeds=2 trainer.max_epochs=1 logger=none name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    assert len(pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")) == 1


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two initializers on numbers to fit."""
    folder = tmp_path_factory.mktemp("regression")
    with pytest.MonkeyPatch.context() as patch:
        command = "-m data=teacher data.rows=800 data.outputs=2 init=zeros,he seeds=3 trainer.max_epochs=4 name=study"
        assert run(f"{command} report=true", patch, folder) == 0
    return folder / "outputs" / "study"


def test_a_regression_is_summarized(regression: Path) -> None:
    summary = pd.read_csv(regression / "summary.csv")
    assert list(summary["init"]) == ["he_normal", "zeros"]
    assert set(summary["metric"]) == {"r2"}
    for _, row in summary.iterrows():
        members = read_table(regression / row["job"], "members")
        assert set(members["metric"]) == set(read_table(regression / row["job"], "history")["metric"]) == {"r2"}
        assert row["test_score_mean"] == pytest.approx(members["test_score"].mean())
        assert row["test_score_low"] <= row["test_score_mean"] <= row["test_score_high"]
    best, zeros = summary["test_score_mean"]
    assert best > 0.4
    # All that zeros learn is the mean of the training targets.
    assert zeros == pytest.approx(0, abs=0.05)
    assert summary.loc[1, "test_loss_mean"] == pytest.approx(1, abs=0.25)


def test_a_regression_draws_curves(regression: Path) -> None:
    with Image.open(regression / "figures" / "curves.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


def test_a_regression_logs_r2(regression: Path) -> None:
    (folder,) = regression.glob("*init=he*")
    events = EventAccumulator(str(folder))
    events.Reload()
    scalars = set(events.Tags()["scalars"])
    assert {
        "val_r2/mean",
        "val_r2/low",
        "val_r2/high",
        "train_r2/mean",
        "val_loss/mean",
        "final/test_r2",
        "final/best_val_r2",
    } <= scalars
    assert not [name for name in scalars if "accuracy" in name or "score" in name]
    history = read_table(folder, "history")
    val = history[history["split"] == "val"].groupby("epoch")["score"].mean()
    np.testing.assert_allclose([event.value for event in events.Scalars("val_r2/mean")], val, rtol=1e-5)
    members = read_table(folder, "members")
    assert events.Scalars("final/test_r2")[-1].value == pytest.approx(members["test_score"].mean())


@pytest.mark.slow
def test_a_mixed_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"-m data=wine,teacher init=zeros,he {QUICK}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "wine: 113 rows to train on, 29 to validate, 36 to test on, split anew for each seed.\n" in said
    assert said.count("Knowing only the commonest class scores 0.389.") == 1  # below the scores
    assert said.count("Predicting the mean scores an R² of -0.0") == 1
    assert "test score" in said
    assert [line.split()[2] for line in said.splitlines() if line.startswith((" wine ", " teacher "))] == [
        "R²", "R²", "accuracy", "accuracy",
    ]  # fmt: skip
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert list(summary["metric"]) == ["r2", "r2", "accuracy", "accuracy"]


def test_one_table_as_classes_and_as_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=120), "b": rng.choice(["x", "y"], 120)})
    table["grade"] = (table["a"] > 0).astype(int) + (table["b"] == "x")
    table.to_csv(tmp_path / "grades.csv", index=False)
    command = f"-m data=csv data.path=grades.csv data.target=grade data.task=auto,regression {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert "grades: target grade taken as 3 classes; data.task=regression to fit its number." in said
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert dict(zip(summary["data.task"], summary["metric"], strict=True)) == {"auto": "accuracy", "regression": "r2"}


OWN = """
from sklearn.datasets import make_circles

from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset


def rings(*, rows: int = 100, test_fraction: float = 0.2, val_fraction: float = 0.2) -> Dataset:
    inputs, labels = make_circles(rows, random_state=0)
    return assemble(
        (inputs, labels), test_fraction, val_fraction=val_fraction, split_seed=0, stratify=True,
        standardize=True, note=f"{rows} points on two circles",
    )


def no_data_set() -> int:
    return 3


def broken() -> Dataset:
    raise KeyError("nothing here")
"""
RINGS = """
# @package _global_
defaults: [{/model: mlp}, {/optim: adam}, _self_]
data: {name: rings, _target_: mine.rings, rows: 200}
batch_size: 32
trainer: {max_epochs: 20}
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a data set of one's own, as `initlab.data.dataset` describes it."""
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "my_conf" / "data").mkdir(parents=True)
    (tmp_path / "my_conf" / "data" / "rings.yaml").write_text(RINGS.lstrip())
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_data_set_of_ones_own(own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"--config-dir my_conf -m data=rings,wine init=he {QUICK}", monkeypatch, own) == 0
    said = capsys.readouterr().out
    assert "rings: 128 rows to train on, 32 to validate, 40 to test on, split anew for each seed." in said
    assert "rings: 200 points on two circles" in said.splitlines()
    assert len(pd.read_csv(own / "outputs" / "study" / "summary.csv")) == 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("data=rings data.row=3", "data.row: unknown key of data=rings; did you mean rows?"),
        ("data=rings data.rows=many", "data.rows=many: expected a whole number"),
        ("data=rings +data.test_fraction=2", "data.test_fraction=2: expected a share in (0, 1)"),
        ("data=rings data._target_=mine.no_data_set ~data.rows", "expected a function that returns an initlab.data"),
    ],
)
def test_what_can_be_wrong_with_it_is_one_line(
    command: str, message: str, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"--config-dir my_conf {command} {QUICK}", monkeypatch, own) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_fault_in_it_is_shown_where_it_is(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its jobs fail with a traceback; those on other data train."""
    broken = "data=rings data._target_=mine.broken ~data.rows"
    assert run(f"--config-dir my_conf {broken} {QUICK}", monkeypatch, own) == 1
    assert "1 of 1 job failed; the traceback is in " in capsys.readouterr().err
    (error,) = (own / "outputs" / "study").glob("*/error.txt")
    assert "data._target_=mine.broken: KeyError: 'nothing here' (mine.py, line " in read_failure(error.parent)
    assert ", in broken" in error.read_text()
    both = f"-m --config-dir my_conf data=rings data._target_=mine.rings,mine.broken ~data.rows {QUICK}"
    assert run(both.replace("name=study", "name=both"), monkeypatch, own) == 1
    assert len(list((own / "outputs" / "both").glob("*/members.parquet"))) == 1


def test_the_documented_example_is_this_one() -> None:
    from initlab.data import dataset

    described = textwrap.dedent(dataset.__doc__ or "")
    for line in ("--config-dir my_conf data=rings", "defaults: [{/model: mlp}, {/optim: adam}, _self_]",
                 "data=function data.call=mine.rings"):  # fmt: skip
        assert line in described
