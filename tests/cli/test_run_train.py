"""The command line, as users run it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from sklearn.model_selection import train_test_split
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from initlab.config.files import CONF
from initlab.data.module import InMemoryData
from initlab.data.tabular import WINE_QUALITY_FILE, WINE_QUALITY_ROWS
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import read_table
from tests.commands import Commands
from tests.fixtures import ROOT, write_wines
from tests.helpers import QUICK, make_job, run


def test_a_job_run_again_replaces_its_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("init=he seeds=2 trainer.max_epochs=2 name=study", monkeypatch, tmp_path) == 0
    (logs,) = tmp_path.rglob("*init=he*/events.out.tfevents.*")
    events = EventAccumulator(str(logs.parent))
    events.Reload()
    assert [event.step for event in events.Scalars("val_accuracy/mean")] == [0, 1, 2]


@pytest.fixture(scope="module")
def main_job(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the main command leaves behind and prints, run as a process of its own from an empty folder."""
    folder = tmp_path_factory.mktemp("main")
    code = commands.run("-m init=zeros,normal,xavier,he report=true", folder)
    assert (code, (folder / "errors.txt").read_text()) == (0, "")
    (study,) = (folder / "outputs").iterdir()
    return study, (folder / "said.txt").read_text()


def test_the_main_job_prints_a_table_best_first(main_job: tuple[Path, str]) -> None:
    _, said = main_job
    assert "test accuracy" in said
    rows = [
        line.split()[0]
        for line in said.splitlines()
        if line.startswith((" zeros", " normal", " xavier", " he"))  # a row of the table; sentences are not indented
    ]
    assert sorted(rows) == ["he_normal", "normal", "xavier_normal", "zeros"]
    assert rows[-1] == "zeros"


def test_the_start_page_shows_what_the_main_job_prints(main_job: tuple[Path, str]) -> None:
    """But for its numbers, which differ between machines, and with them who is ahead."""
    _, said = main_job
    page = (ROOT / "docs" / "start.md").read_text()
    sample, *_ = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    starts = ("wine:", "mean [", "zeros learned", "Intervals are for")
    lines = [line for line in said.splitlines() if line.startswith(starts)]
    assert len(lines) == len(starts) + 1  # two begin with the data set
    for line in lines:
        assert without_numbers(line) in without_numbers(sample)


def without_numbers(text: str) -> str:
    """Words with one space between, and 0 for each number."""
    return re.sub(r"\d+(\.\d+)?", "0", " ".join(text.split()))


def test_the_main_job_leaves_tables(main_job: tuple[Path, str]) -> None:
    study, _ = main_job
    jobs = {path.name for path in study.iterdir() if path.is_dir()} - {"figures", "tables", "_all jobs"}
    assert jobs == {f"init={name}" for name in ("zeros", "normal", "xavier", "he")}
    for name in jobs:
        members, history = read_table(study / name, "members"), read_table(study / name, "history")
        assert list(members) == MEMBERS.names
        assert list(history) == HISTORY.names
        assert list(members["seed"]) == list(range(10))
        assert set(members["job"]) == {name}
        last = history[(history["split"] == "val") & (history["epoch"] == 30)]
        assert list(last["score"]) == list(members["val_score"])
        config = yaml.safe_load((study / name / "config.yaml").read_text())
        assert config["seeds"] == 10
        metadata = json.loads((study / name / "metadata.json").read_text())
        assert metadata["seeds"] == list(range(10))
        assert {"torch", "lightning", "initlab"} <= set(metadata["versions"])
        assert metadata["device"]


def test_the_main_jobs_summary_is_the_members_tables(main_job: tuple[Path, str]) -> None:
    study, _ = main_job
    summary = pd.read_csv(study / "summary.csv").set_index("init")
    assert list(summary["seeds"]) == [10] * 4
    for name, row in zip(summary.index, summary.to_dict("records"), strict=True):
        members = read_table(study / row["job"], "members")
        assert row["test_score_mean"] == pytest.approx(members["test_score"].mean())
        assert row["test_loss_low"] <= row["test_loss_mean"] <= row["test_loss_high"]
        assert row["diverged"] == 0
        assert set(members["init"]) == {name}
    # Knowing only the commonest class: what zeros can learn.
    assert summary.loc["zeros", "test_score_mean"] == pytest.approx(14 / 36)
    assert summary["test_score_low"]["xavier_normal"] > 0.9


def test_the_main_job_draws_curves(main_job: tuple[Path, str]) -> None:
    with Image.open(main_job[0] / "figures" / "curves.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


def test_the_main_job_logs_to_tensorboard(main_job: tuple[Path, str]) -> None:
    study, _ = main_job
    events = EventAccumulator(str(study / "init=he"), size_guidance={"tensors": 0, "histograms": 0})
    events.Reload()
    members, history = (read_table(study / "init=he", name) for name in ("members", "history"))
    scalars = events.Tags()["scalars"]
    assert {f"{split}_{metric}/{key}" for split in ("train", "val") for metric in ("loss", "accuracy")
            for key in ("mean", "low", "high")} <= set(scalars)  # fmt: skip
    val = history[history["split"] == "val"].groupby("epoch")["score"]
    logged = events.Scalars("val_accuracy/mean")
    assert [event.step for event in logged] == list(range(31))
    np.testing.assert_allclose([event.value for event in logged], val.mean(), rtol=1e-5)
    half = val.std(ddof=1) / 10**0.5 * 2.2621571627  # Student's t of 9 degrees of freedom, from a table
    for end, expected in {"low": val.mean() - half, "high": val.mean() + half}.items():
        found = [event.value for event in events.Scalars(f"val_accuracy/{end}")]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert [event.step for event in events.Histograms("weights/hidden.0.weight")] == [0, 30]
    assert events.Scalars("final/test_accuracy")[-1].value == pytest.approx(members["test_score"].mean())
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/session_end_info" in events.summary_metadata


def test_one_job_without_a_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert len(pd.read_csv(study / "summary.csv")) == 1
    folder = study / "init=he"
    assert len(read_table(folder, "members")) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]


def test_hydras_own_launcher_gives_the_same_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One cohort of two jobs against two cohorts."""
    tables = {}
    for launcher in ("vectorized", "basic"):
        folder = tmp_path / launcher
        folder.mkdir()
        assert run(f"-m init=he,xavier hydra/launcher={launcher} {QUICK}", monkeypatch, folder) == 0
        study = folder / "outputs" / "study"
        assert len(pd.read_csv(study / "summary.csv")) == 2
        tables[launcher] = pd.concat(
            read_table(path.parent, "members") for path in sorted(study.glob("*/members.parquet"))
        )
    pd.testing.assert_frame_equal(
        tables["vectorized"].drop(columns="seconds"), tables["basic"].drop(columns="seconds"), rtol=1e-4
    )


@pytest.mark.filterwarnings("default::initlab.base.errors.InitializationWarning")
def test_what_an_initializer_does_not_reach_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"init=lsuv init.base=torch_default init.bias=torch_default init.tolerance=1e-9 init.tries=2 {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("initlab: ")
    assert "init=lsuv: the output's standard deviation is not 1 in hidden.0 (" in line
    assert line.endswith("(and 2 more like this in its networks)")  # one a network


@pytest.mark.filterwarnings("always::initlab.base.errors.InitializationWarning")
def test_what_is_so_of_all_of_a_jobs_networks_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three networks of two cells each, which are trained and, as they learn nothing, looked at again."""
    data = "data=adding data.rows=200 data.steps=5 model=rnn model.depth=2 model.width=8 optim.lr=1e-9"
    command = f"{data} activation=tanh init=irnn seeds=3 trainer.max_epochs=1 name=study report=false"
    assert run(command, monkeypatch, tmp_path) == 0
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert line.endswith(": init=irnn is made for activation=relu: with tanh the identity does not keep a state")
    assert "Predicting the mean scores" in shown.out


def test_a_diverged_job_is_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-m optim.lr=0.05,1e6 init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert "3 of 3" in capsys.readouterr().out
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv").set_index("optim.lr")
    assert summary["diverged"].to_dict() == {1e6: 3, 0.05: 0}
    assert np.isnan(summary["test_score_mean"][1e6])


def test_one_failing_job_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that fails only once it trains."""
    (tmp_path / "fragile.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Fragile(nn.Module):\n"
        "    def __init__(self, input_shape, out_features, activation, *, breaks: bool = False):\n"
        "        super().__init__()\n"
        "        self.linear, self.breaks = nn.Linear(13, out_features), breaks\n"
        "    def forward(self, inputs):\n"
        "        if self.breaks and torch.is_grad_enabled():\n"
        "            raise ArithmeticError('broken on purpose')\n"
        "        return self.linear(inputs)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    command = f"-m model._target_=fragile.Fragile +model.breaks=true,false init=he {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "initlab: 1 of 2 jobs failed" in said.err
    study = tmp_path / "outputs" / "study"
    (finished,) = study.glob("*/members.parquet")
    (failed,) = study.glob("*/error.txt")
    assert "breaks=False" in finished.parent.name
    assert "broken on purpose" in failed.read_text()
    assert len(pd.read_csv(study / "summary.csv")) == 1


# What to type beside the name, and how many jobs that is.
EXPERIMENTS = {
    "classic_wine": ("-m init=zeros,normal,xavier,he", 4),
    "classic_mnist": ("-m init=normal,he", 2),
    "trainability_map": ("model.depth=2,3 init.sigma_w=1.1,1.4", 4),
    # of eight the four that exist
    "post_norm_depth": ("model.depth=1 model.width=4 optim.lr=0.01 data.max_characters=2000", 4),
    "zero_branch_depth": ("model.depth=2,3 model.width=4 init=he,zero_branch optim.lr=0.01", 4),
    "irnn_adding": ("data.steps=5,7 data.rows=60 activation=relu optim.lr=0.001 model.width=4", 4),
    "chrono_copy": ("data.steps=11,12 data.rows=60 init=chrono,xavier optim.lr=0.01 model.width=4", 4),
    "width_transfer": ("model.width=32,64 optim.lr=0.002,0.004,0.008", 12),
    "coord_check": ("model.width=64,80", 4),
}


def test_every_experiment_is_tried() -> None:
    assert set(EXPERIMENTS) == {path.stem for path in (CONF / "experiment").glob("*.yaml")}


LONGER = ("post_norm_depth", "zero_branch_depth", "irnn_adding", "coord_check")


@pytest.mark.parametrize(
    "experiment", [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in EXPERIMENTS]
)
def test_every_experiment_trains(
    experiment: str,
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(small_data))
    typed, jobs = EXPERIMENTS[experiment]
    command = f"{typed} experiment={experiment} seeds=2 trainer.max_epochs=1 logger=none report=false name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    assert len(pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")) == jobs
    stay = experiment.startswith("classic") or experiment == "post_norm_depth"  # with one split for all seeds
    assert ("for other seeds and other test rows; the training rows stay." in capsys.readouterr().out) == stay


@pytest.mark.slow
def test_classic_wine_without_signal_knows_the_majority_only(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(real_data))
    assert run("experiment=classic_wine init=zeros seeds=2 logger=none name=study", monkeypatch, tmp_path) == 0
    assert "choose nothing by them" in capsys.readouterr().out
    (path,) = (tmp_path / "outputs" / "study").glob("*/members.parquet")
    members = read_table(path.parent, "members")
    assert list(members["test_score"]) == [179 / 320] * 2
    assert members["test_loss"].to_numpy() == pytest.approx(np.full(2, 0.7049), abs=5e-4)


def test_wine_without_signal_knows_the_majority_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As above, of made-up wines: what is left of the network is the output's bias, which torch trains alone."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(WINE_QUALITY_ROWS, 11)).round(3), rng.choice([5, 6], 1599, p=[0.7, 0.3])])
    write_wines(tmp_path / WINE_QUALITY_FILE, table)
    monkeypatch.setenv("INITLAB_DATA", str(tmp_path))
    command = "experiment=classic_wine init=zeros seeds=2 trainer.max_epochs=5 logger=none name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    assert "choose nothing by them" in capsys.readouterr().out
    (path,) = (tmp_path / "outputs" / "study").glob("*/members.parquet")
    members = read_table(path.parent, "members")
    train, test = (
        torch.from_numpy(part[:, -1] > 5).long() for part in train_test_split(table, test_size=0.2, random_state=42)
    )
    assert list(members["test_score"]) == [float((test == 0).double().mean())] * 2
    data = InMemoryData(make_job("experiment=classic_wine").dataset, batch_size=16, seeds=[0, 1])
    for place, loss in enumerate(members["test_loss"]):
        bias = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.SGD([bias], lr=0.01)
        for batch in (batch for epoch in range(5) for block in data.blocks(epoch) for batch in block[:, place]):
            optimizer.zero_grad()
            F.cross_entropy(bias.expand(len(batch), 3), train[batch]).backward()
            optimizer.step()
        assert loss == pytest.approx(float(F.cross_entropy(bias.detach().expand(len(test), 3), test)), rel=1e-5)


def test_ctrl_c_keeps_what_finished(commands: Commands, tmp_path: Path) -> None:
    """Interrupted in the second job, which would take a while."""
    command = "-m data=digits model=cnn init=he logger=none name=study seeds=2 trainer.max_epochs=1,5000 n_jobs=1"
    process = commands.start(f"{command} checkpoint_seconds=0", tmp_path)
    study = tmp_path / "outputs" / "study"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(study.glob(".cohorts/*/checkpoint.ckpt")):
            time.sleep(0.02)
        assert len(list(study.glob("*/members.parquet"))) == 1  # and the second job is an epoch far
    finally:
        os.kill(process, signal.SIGINT)
        code = commands.wait(process)
    said, errors = ((tmp_path / name).read_text() for name in ("said.txt", "errors.txt"))
    assert code == 130, errors
    assert "stopped" in said
    assert "Traceback" not in errors
    assert len(pd.read_csv(study / "summary.csv")) == 1
    assert len(list(study.glob("*/members.parquet"))) == 1


HELP = {
    "train": ("init=zeros,normal,xavier,he", "wine_quality", "leaky_relu", "classic_mnist", "orthogonal"),
    "probe": ("signal.rows", "orthogonal"),
    "recommend": ("recommend.schemes", "wine_quality"),
    "report": ("--select", "booktabs"),
    "schemes": ("--columns", "--plugins"),
}


@pytest.mark.parametrize(
    ("command", "words"),
    [*((f"{name} --help", words) for name, words in HELP.items()), ("train --cfg job init=xavier", ("xavier_normal",))],
)
def test_help_needs_nothing_heavy(command: str, words: Sequence[str]) -> None:
    """What --help and --cfg import, the launcher included, is what every command waits for."""
    script = (
        "import atexit, runpy, sys\n"
        "heavy = ('numpy', 'torch', 'pandas', 'pyarrow', 'lightning', 'sklearn', 'matplotlib')\n"
        "atexit.register(lambda: print('imported:', [name for name in heavy if name in sys.modules]))\n"
        "runpy.run_module(f'initlab.{sys.argv.pop(1)}', run_name='__main__', alter_sys=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command.split()], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("imported: []")
    for word in words:
        assert word in done.stdout


@pytest.mark.slow
def test_a_wheel_works_like_a_checkout(tmp_path: Path) -> None:
    """Built, unpacked elsewhere, and run from a third folder, with conf/ inside."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = [
        sys.executable,
        "-c",
        "import initlab.config.files as f, hydra_plugins.initlab_launcher as p; print(f.CONF, p.__file__)",
    ]
    found = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.split() == [
        str(site / "initlab" / "conf"),
        str(site / "hydra_plugins" / "initlab_launcher" / "__init__.py"),
    ]
    with_report = QUICK.replace("report=false", "report=true").split()
    command = [sys.executable, "-m", "initlab.train", "-m", "init=zeros,he", *with_report]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    assert len(pd.read_csv(folder / "outputs" / "study" / "summary.csv")) == 2
    assert "The answer" in (folder / "outputs" / "study" / "report.html").read_text()
    assert (site / "initlab" / "py.typed").exists()
