"""The command line, as users run it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.datasets import CIFAR10, KMNIST, MNIST

from initlab.data import tabular
from initlab.results.schema import HISTORY, MEMBERS
from initlab.results.store import read_table
from initlab.train import CONF, main
from tests.conftest import ROOT

QUICK = "seeds=3 trainer.max_epochs=2 logger=none name=study"


def run(command: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> int:
    """Run `python -m initlab.train COMMAND` in this process, from a folder; return its exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["initlab.train", *shlex.split(command)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


BAD_INPUT = {
    "init=xaver": "init=xaver: unknown init; did you mean xavier",
    "-m init=he,hee": "init=hee: unknown init; did you mean he?",
    "activation=rellu": "activation=rellu: unknown activation; did you mean relu",
    "data=winee": "data=winee: unknown data; did you mean wine? known: cifar10, csv, digits",
    "experiment=classic": "experiment=classic: unknown experiment",
    "seedz=3": "seedz: unknown key; did you mean seed or seeds?",
    "optim.lrr=3": "optim.lrr: unknown key; did you mean lr?",
    "+optim.foo=1": "optim.foo: unknown key; known: dampening",
    "+model.with=3": "model.with: unknown key; did you mean width? known: bias, depth, dropout, hidden, norm, width",
    "+init.foo=1": "init.foo: init=he_normal has no such parameter; it has bias, gain, mode",
    "+trainer.gradient_clip_val=1": "trainer.gradient_clip_val: unknown key; known: accelerator",
    "optim.lr=abc": "optim.lr=abc: expected a positive number",
    "optim.lr=-1": "optim.lr=-1: expected a positive number",
    "seeds=0": "seeds=0: expected a whole number of at least 1",
    "-m seeds=1,0": "seeds=0: expected a whole number of at least 1",
    "seeds=1.5": "seeds=1.5: expected a whole number",
    "model.hidden=64": "model.hidden=64: expected a list with a whole number in each place",
    "trainer.max_epochs=0": "trainer.max_epochs=0: expected a whole number of at least 1",
    "trainer.precision=16-mixed": "trainer.precision=16-mixed: expected one of 32-true, 64-true, bf16-mixed",
    "trainer.accelerator=tpu": "trainer: ",
    "init.gain=big": "init.gain=big: expected a positive number or one of kaiming, moment",
    "init.gain=kaiming activation=gelu": "torch knows no gain for gelu",
    "init.output=hee": "init.output=hee: unknown initializer; did you mean he",
    "data=wine model=cnn": "model=cnn needs images",
    "data=mnist data.download=false": "cannot read MNIST from",
    "data=wine_quality data.download=false": "winequality-red.csv is not there (data.download=false)",
    "data.test_fraction=0.001": "data.test_fraction=0.001: ",
    "model.out_features=2": "model.out_features=2: the data has 3 classes",
    "model._target_=nowhere.Net": "model._target_=nowhere.Net: cannot import it: No module named 'nowhere'",
    "optim._target_=torch.optim.LBFGS": "members can share an elementwise optimizer only",
    "name=a/b": "name=a/b: expected the plain name of a folder",
    "engine=turbo": "engine=turbo: expected one of auto, vmap, loop",
    "seeds": "seeds: ",
    "init=constant init.value=x": "init.value=x: expected a number",
    "init.bias=none": "init.bias=none: expected a number, torch_default, or null for the scheme's own rule",
    "init=normal init.gain=2": "init.gain: init=normal has no such parameter; known: bias, name, output",
    "-m init=normal,he init.std=0.1": "init.std: init=he_normal has no such parameter",
    "init=fixup": "init=fixup works on residual branches, and MLP names none; choose a residual network",
    "init=pretrained": "init=pretrained: name the checkpoint, init.path=FILE",
    "init=pretrained init.path=nowhere.pt": "init.path=nowhere.pt: no such file",
    "init=mean_field init.sigma_b=0.1": "no σ_w makes relu critical at σ_b² = 0.01",
    "init=he init.output=lsuv": "init.output=lsuv: works on whole networks only",
    "init=lsuv init.base=metainit": "init.base=metainit: works on whole networks only",
    "init=he init.output_layer=head": "init.output_layer=head: the network has no such layer with a weight",
    "init=lsuv init.tries=0": "init.tries=0: expected a positive number",
    "init_rows=1": "init_rows=1: expected a whole number of at least 2",
    "plugins=my_module": "plugins=[my_module]: cannot import it",
    "batch_size=1 model.norm=batch": "Expected more than 1 value per channel when training",
    "init.gain=-1": "init.gain=-1: expected a positive number",
    "model.out_features=abc": "model.out_features=abc: expected a whole number",
    "model.width=0": "model.width=0: expected a whole number of at least 1",
    "data=digits model.dense=0": "model.dense=0: expected a whole number of at least 1",
    "data=digits model=vit model.patch=3": "model.patch=3: does not divide the 8×8 image into whole patches",
    "optim.weight_decay=-1": "optim: torch.optim.SGD refuses this: Invalid weight_decay",
    "optim=adam optim.betas=[2,0.9]": "optim: torch.optim.Adam refuses this: Invalid beta",
    "optim.lr=inf": "optim.lr=inf: expected a positive number",
    "data.test_fraction=10": "data.test_fraction=10: expected a share in (0, 1)",
    "logger._target_=nowhere.X": "logger._target_=nowhere.X: cannot import it",
    "trainer._target_=nowhere.X": "trainer._target_=nowhere.X: cannot import it",
    "~data.name": "data.name: missing",
    "init=xavier,he": "init=xavier,he: to sweep over several values, put -m before the first argument",
    "model=null": "choose by name",
    "-m threads=1,2": "do not sweep where or how to run",
    "-m output_dir=a,b": "a sweep writes to one folder",
    "threshold=2": "threshold=2: expected a score in (0, 1]",
    "data=cifar10 data.download=false": "data=cifar10: cannot read CIFAR10 from",
    "data=csv": "data=csv needs data.path=FILE, a table with a header line, and data.target=COLUMN",
    "data=csv data.path=no.csv data.target=y": "data.path=no.csv: there is no such file",
    "data=csv data.path=no.csv data.target=y data.task=sort": "data.task=sort: expected one of auto, classification",
    "data=csv data.path=no.csv data.target=y data.ignore=x": "data.ignore=x: expected a list with a word in each place",
    "data=teacher data.activation=rellu": "data.activation=rellu: unknown activation; did you mean relu",
    "data=teacher data.rows=3": "data.rows=3: expected at least 10",
    "data=teacher model.out_features=2": "model.out_features=2: the data asks for 1, one a target; set null",
    "data=teacher data.outputs=3 model.out_features=2": "model.out_features=2: the data asks for 3, one a target",
}


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_line_before_anything_trains(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, monkeypatch, tmp_path) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("initlab: ")
    assert BAD_INPUT[command] in said.err
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("name", ["mnist", "kmnist", "cifar10", "wine_quality"])
def test_no_network(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The download is tried, at an address where nobody answers."""
    nobody = "http://127.0.0.1:9/"
    monkeypatch.setattr(MNIST, "mirrors", [nobody])
    monkeypatch.setattr(KMNIST, "mirrors", [nobody])
    monkeypatch.setattr(CIFAR10, "url", nobody + CIFAR10.filename)
    monkeypatch.setattr(tabular, "WINE_QUALITY_URL", nobody + tabular.WINE_QUALITY_FILE)
    assert run(f"data={name} data.dir={tmp_path}/files", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in (
        f"data={name}: ",
        f"{tmp_path}/files",
        "Connection refused",
        "data=wine",
        "data=digits",
        "INITLAB_DATA",
    ):
        assert word in said


def test_a_damaged_table_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / tabular.WINE_QUALITY_FILE).write_text("a;b\n1;2;3;4\n1\n2;3;4;5;6;7\n")
    assert run(f"data=wine_quality data.dir={tmp_path}", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert tabular.WINE_QUALITY_FILE in said


def test_a_folder_that_cannot_be_reported_on_is_known_before_anything_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "outputs" / "study" / "old"
    old.mkdir(parents=True)
    (old / "members.parquet").write_text("no table")
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 2
    assert f"{Path('outputs/study/old')}" in capsys.readouterr().err
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_job_run_again_replaces_its_logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("init=he seeds=2 trainer.max_epochs=2 name=study", monkeypatch, tmp_path) == 0
    (logs,) = tmp_path.rglob("tensorboard")
    events = EventAccumulator(str(logs))
    events.Reload()
    assert [event.step for event in events.Scalars("val_accuracy/mean")] == [0, 1, 2]


@pytest.mark.parametrize("mode", ["", "-m"])
def test_an_unwritable_output_directory(
    mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(f"{mode} init=he output_dir={tmp_path}/file/out", monkeypatch, tmp_path) == 2
    assert "set output_dir=DIR" in capsys.readouterr().err


@pytest.fixture(scope="module")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What the main command leaves behind and prints, run as a process of its own from an empty folder."""
    folder = tmp_path_factory.mktemp("main")
    command = [sys.executable, "-m", "initlab.train", "-m", "init=zeros,normal,xavier,he"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (study,) = (folder / "outputs").iterdir()
    return study, done.stdout


def test_the_main_job_prints_a_table_best_first(main_job: tuple[Path, str]) -> None:
    _, said = main_job
    assert "test accuracy" in said
    rows = [
        line.split()[0] for line in said.splitlines() if line.strip().startswith(("zeros", "normal", "xavier", "he"))
    ]
    assert sorted(rows) == ["he_normal", "normal", "xavier_normal", "zeros"]
    assert rows[-1] == "zeros"


def test_the_main_job_leaves_tables(main_job: tuple[Path, str]) -> None:
    study, _ = main_job
    jobs = {path.name for path in study.iterdir() if path.is_dir()}
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
    for name, row in summary.iterrows():
        members = read_table(study / row["job"], "members")
        assert row["test_score_mean"] == pytest.approx(members["test_score"].mean())
        assert row["test_loss_low"] <= row["test_loss_mean"] <= row["test_loss_high"]
        assert row["diverged"] == 0
        assert set(members["init"]) == {name}
    # Knowing only the commonest class: what zeros can learn.
    assert summary.loc["zeros", "test_score_mean"] == pytest.approx(14 / 36)
    assert summary.loc["xavier_normal", "test_score_low"] > 0.9


def test_the_main_job_draws_curves(main_job: tuple[Path, str]) -> None:
    with Image.open(main_job[0] / "curves.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 50


def test_the_main_job_logs_to_tensorboard(main_job: tuple[Path, str]) -> None:
    study, _ = main_job
    events = EventAccumulator(str(study / "init=he" / "tensorboard"), size_guidance={"tensors": 0, "histograms": 0})
    events.Reload()
    members, history = (read_table(study / "init=he", name) for name in ("members", "history"))
    scalars = events.Tags()["scalars"]
    assert {f"{split}_{metric}/{key}" for split in ("train", "val") for metric in ("loss", "accuracy")
            for key in ("mean", "std")} <= set(scalars)  # fmt: skip
    val = history[history["split"] == "val"].groupby("epoch")["score"]
    logged = events.Scalars("val_accuracy/mean")
    assert [event.step for event in logged] == list(range(31))
    np.testing.assert_allclose([event.value for event in logged], val.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        [event.value for event in events.Scalars("val_accuracy/std")], val.std(ddof=0), rtol=1e-4, atol=1e-6
    )
    assert [event.step for event in events.Histograms("weights/hidden.0.weight")] == [0, 30]
    assert events.Scalars("final/test_accuracy")[-1].value == pytest.approx(members["test_score"].mean())
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/experiment" in events.summary_metadata


def test_one_job_without_a_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert len(pd.read_csv(study / "summary.csv")) == 1
    folder = study / "init=he,seeds=3,trainer.max_epochs=2"
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


def test_pairs_that_do_not_exist_are_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m model=mlp,residual_mlp model.depth=2 init=fixup,he,mean_field activation=relu,softplus {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "4 of 12 jobs are left out" in said
    reasons = [line for line in said.splitlines() if line.startswith("left out: ")]
    assert len(reasons) == 2
    assert "works on residual branches, and MLP names none" in reasons[0]
    assert "no σ_w makes softplus critical" in reasons[1]
    names = [line for line in said.splitlines() if line.startswith("  ") and "init=" in line]
    assert sum("init=mean_field" in name and "activation=softplus" in name for name in names) == 2
    assert sum("init=fixup" in name and "model=mlp" in name for name in names) == 2
    assert len(pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")) == 8


@pytest.mark.filterwarnings("default::initlab.errors.InitializationWarning")
def test_what_an_initializer_does_not_reach_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"init=lsuv init.base=torch_default init.bias=torch_default init.tolerance=1e-9 init.tries=2 {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("initlab: ")
    assert "init=lsuv: the output of hidden.0 has standard deviation" in line
    assert line.endswith("(and 8 more like this in its networks)")


def test_a_diverged_job_is_a_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-m optim.lr=0.05,1e6 init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert "3 of 3" in capsys.readouterr().out
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv").set_index("optim.lr")
    assert summary.loc[1e6, "diverged"] == 3
    assert np.isnan(summary.loc[1e6, "test_score_mean"])
    assert summary.loc[0.05, "diverged"] == 0


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


OWN_NETWORKS = {
    "takes what it declares": (
        "def __init__(self, num_classes, input_shape, units=5):\n"
        "        super().__init__(nn.Linear(input_shape[0], units), nn.ReLU(), nn.Linear(units, num_classes))\n"
    ),
    "takes anything": (
        "def __init__(self, *, units=5, **rest):\n"
        "        super().__init__(nn.Linear(13, units), nn.ReLU(), nn.Linear(units, rest.get('num_classes', 3)))\n"
    ),
}


FORWARD = "def forward(self, rows):\n        return "
NOT_NETWORKS = {
    "Pair": (f"{FORWARD}self.linear(rows), rows", "expected a tensor of outputs, got tuple"),
    "Narrow": (f"{FORWARD}self.linear(rows)[:, :2]", "expected outputs of shape (2, 3)"),
    "Breaks": (f"{FORWARD}self.other(rows)", "on rows of shape (13,) failed: AttributeError"),
    "Nothing": ("def __new__(cls, **_):\n        return None", "gives a NoneType: expected a torch.nn.Module"),
}


@pytest.mark.parametrize("name", NOT_NETWORKS)
def test_what_is_no_network_for_this_data_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method, reason = NOT_NETWORKS[name]
    (tmp_path / f"own_{name}.py").write_text(
        f"from torch import nn\nclass {name}(nn.Module):\n"
        "    def __init__(self, out_features):\n        super().__init__()\n"
        f"        self.linear = nn.Linear(13, out_features)\n    {method}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"model._target_=own_{name}.{name} {QUICK}", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said


def test_a_network_whose_path_depends_on_the_data_trains_without_being_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """vmap cannot trace it, so that members train one after another."""
    (tmp_path / "own_branching.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, out_features):\n        super().__init__()\n"
        "        self.linear = nn.Linear(13, out_features)\n"
        "    def forward(self, rows):\n"
        "        return self.linear(rows if rows.mean() > 0 else -rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"-m model._target_=own_branching.Net init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0


@pytest.mark.parametrize("constructor", OWN_NETWORKS)
def test_a_network_of_ones_own_in_place_of_the_data_sets(
    constructor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys of the network it replaces are not handed to it; what was typed is, and is checked."""
    module = f"own_{len(OWN_NETWORKS[constructor])}"
    (tmp_path / f"{module}.py").write_text(
        f"from torch import nn\nclass Net(nn.Sequential):\n    {OWN_NETWORKS[constructor]}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"-m model._target_={module}.Net +model.units=7 init=he,lsuv {QUICK}", monkeypatch, tmp_path) == 0
    (folder, _) = sorted((tmp_path / "outputs" / "study").glob("*/members.parquet"))
    assert set(read_table(folder.parent, "members")["model"]) == {"Net"}
    config = yaml.safe_load((folder.parent / "config.yaml").read_text())
    assert config["model"] == {"_target_": f"{module}.Net", "name": "Net", "out_features": None, "units": 7}
    if "anything" not in constructor:
        assert run(f"model._target_={module}.Net +model.unit=7 {QUICK}", monkeypatch, tmp_path) == 2
        assert "model.unit: unknown key; did you mean units?" in capsys.readouterr().err


@pytest.mark.parametrize("experiment", [path.stem for path in (CONF / "experiment").glob("*.yaml")])
def test_every_experiment_trains(
    experiment: str, small_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(small_data))
    command = f"-m experiment={experiment} init=zeros,normal,xavier,he seeds=2 trainer.max_epochs=1 name=study"
    assert run(command, monkeypatch, tmp_path) == 0
    assert len(pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")) == 4


def test_classic_wine_without_signal_knows_the_majority_only(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INITLAB_DATA", str(real_data))
    assert run("experiment=classic_wine init=zeros seeds=4 logger=none name=study", monkeypatch, tmp_path) == 0
    assert "choose nothing by them" in capsys.readouterr().out
    (path,) = (tmp_path / "outputs" / "study").glob("*/members.parquet")
    members = read_table(path.parent, "members")
    assert list(members["test_score"]) == [179 / 320] * 4
    assert members["test_loss"].to_numpy() == pytest.approx(np.full(4, 0.7049), abs=5e-4)


def test_ctrl_c_keeps_what_finished(tmp_path: Path) -> None:
    """Interrupted in the second job, whose network is too large to finish soon."""
    command = "-m data=digits model=cnn init=he logger=none name=study seeds=2 trainer.max_epochs=1,500"
    process = subprocess.Popen(
        [sys.executable, "-m", "initlab.train", *shlex.split(command)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    study = tmp_path / "outputs" / "study"
    deadline = time.monotonic() + 90
    while not list(study.glob("*/members.parquet")) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopped" in said
    assert "Traceback" not in errors
    assert len(pd.read_csv(study / "summary.csv")) == 1
    assert len(list(study.glob("*/members.parquet"))) == 1


def test_help_needs_nothing_heavy() -> None:
    """What --help and --cfg import, the launcher included, is what every command waits for."""
    script = (
        "import atexit, sys\n"
        "heavy = ('torch', 'pandas', 'lightning', 'sklearn', 'matplotlib')\n"
        "atexit.register(lambda: print('imported:', [name for name in heavy if name in sys.modules]))\n"
        "from initlab.train import main\n"
        "main()\n"
    )
    for arguments in (["--help"], ["--cfg", "job", "init=xavier"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.strip().endswith("imported: []")
        if "--help" in arguments:
            for word in ("init=zeros,normal,xavier,he", "wine_quality", "leaky_relu", "classic_mnist", "orthogonal"):
                assert word in done.stdout
        else:
            assert "name: xavier_normal" in done.stdout


def test_a_wheel_works_like_a_checkout(tmp_path: Path) -> None:
    """Built, unpacked elsewhere, and run from a third folder, with conf/ inside."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site, folder = tmp_path / "site", tmp_path / "elsewhere"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = [
        sys.executable,
        "-c",
        "import initlab.train, hydra_plugins.initlab_launcher as p; print(initlab.train.CONF, p.__file__)",
    ]
    found = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.split() == [
        str(site / "initlab" / "conf"),
        str(site / "hydra_plugins" / "initlab_launcher" / "__init__.py"),
    ]
    command = [sys.executable, "-m", "initlab.train", "-m", "init=zeros,he", *QUICK.split()]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    assert len(pd.read_csv(folder / "outputs" / "study" / "summary.csv")) == 2
    assert (site / "initlab" / "py.typed").exists()
