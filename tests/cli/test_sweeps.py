"""Sweeps as people type them: keys that only some choices have, folders of Hydra's, what is left behind."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import initlab
from initlab.base.errors import UserError
from initlab.cli.apps import probe, recommend
from initlab.cli.apps import train as train_command
from initlab.initializers.api import initialize
from initlab.sweep.cost import cost_of
from initlab.tables.store import read_config
from tests.commands import Commands
from tests.helpers import QUICK, make_job, run

Patch = pytest.MonkeyPatch
Said = pytest.CaptureFixture[str]


def trained(study: Path) -> list[str]:
    return sorted(path.parent.name for path in study.glob("*/members.parquet"))


@pytest.mark.parametrize(
    ("typed", "left_out", "jobs"),
    [
        ("model=mlp,residual_mlp,cnn model.depth=3", "model.depth is no key of cnn: 1 job is left out", 2),
        ("model=resnet,plain_cnn,cnn model.width=4", "model.width is no key of cnn: 1 job is left out", 2),
        ("model=mlp,cnn model.depth=1,2 init=he,zeros", "model.depth is no key of cnn: 4 jobs are left out", 4),
    ],
)
def test_a_key_is_checked_against_each_jobs_own_choices(
    typed: str, left_out: str, jobs: int, monkeypatch: Patch, tmp_path: Path, capsys: Said
) -> None:
    assert run(f"-m data=digits {typed} {QUICK} dry_run=true", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert left_out in said
    assert f"left out: {left_out.partition(':')[0]}\n  data=digits," in said
    assert f"\n{jobs} jobs, " in said


def test_the_others_train(monkeypatch: Patch, tmp_path: Path) -> None:
    assert run(f"-m data=digits model=mlp,residual_mlp model.depth=2 {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert trained(study) == ["data=digits,model=mlp", "data=digits,model=residual_mlp"]
    assert {read_config(study / name)["model"]["depth"] for name in trained(study)} == {2}


def test_a_parameter_that_only_some_initializers_have(monkeypatch: Patch, tmp_path: Path, capsys: Said) -> None:
    assert run(f"-m init=normal,he init.std=0.1 {QUICK}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "init.std is no key of he: 1 job is left out" in said
    assert "left out: init.std is no key of he\n  init=he\n" in said
    assert trained(tmp_path / "outputs" / "study") == ["init=normal"]


@pytest.mark.parametrize("mode", ["", "-m "])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("data=digits model.depth=4", "model.depth: unknown key of model=cnn, which data=digits brings; "),
        ("model.channels=[8]", "model.channels: unknown key of model=mlp, which data=wine brings; "),
        ("data=digits model=mlp model.kernel=4", "model.kernel: unknown key of model=mlp; "),
        pytest.param(
            "experiment=trainability_map model.channels=[3]",
            "model=mlp, which experiment=trainability_map brings; ",
            marks=pytest.mark.slow,
        ),
        ("data=digits model.chanels=[4]", "did you mean channels? known: bias, channels, dense"),
    ],
)
def test_an_unknown_key_names_the_choice_and_who_brought_it(
    mode: str, typed: str, said: str, monkeypatch: Patch, tmp_path: Path, capsys: Said
) -> None:
    assert run(mode + typed, monkeypatch, tmp_path) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        ("-m init=he,zeros hydra.sweep.dir={}/a/b", "a/b"),
        ("-m init=he,zeros hydra.sweep.dir={}/c hydra/launcher=basic", "c"),
        ("init=he hydra.run.dir={}/d/e", "d/e"),
    ],
)
def test_hydras_own_folders_are_honoured(command: str, folder: str, monkeypatch: Patch, tmp_path: Path) -> None:
    quick = QUICK.replace("name=study", "")
    assert run(f"{command.format(tmp_path)} {quick}", monkeypatch, tmp_path) == 0
    study = tmp_path / folder
    assert trained(study) == (["init=he", "init=zeros"] if "-m" in command else ["init=he"])
    assert (study / "summary.csv").exists()
    assert not (tmp_path / "outputs").exists()
    assert read_config(study / "init=he")["name"] == study.name


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        (probe, "init=he,zeros hydra.run.dir={}/p seeds=2 report=false"),
        (train_command, "-m init=he,zeros hydra.run.dir={}/p " + QUICK.replace("name=study", "")),
        (train_command, "init=he hydra.sweep.dir={}/p " + QUICK.replace("name=study", "")),
        pytest.param(
            *(recommend, "init=he,zeros hydra.run.dir={}/p recommend.rates=1 " + QUICK.replace("name=study", "")),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_hydras_folder_of_the_other_mode_is_honoured_too(
    program: Callable[[], None], typed: str, monkeypatch: Patch, tmp_path: Path
) -> None:
    """A probe and a recommendation always sweep, which who types `hydra.run.dir` does not see."""
    assert run(typed.format(tmp_path), monkeypatch, tmp_path, program=program) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert list((tmp_path / "p").glob("init=he*/config.yaml"))


def test_of_hydras_two_folders_the_one_of_the_mode_counts(monkeypatch: Patch, tmp_path: Path) -> None:
    typed = f"init=he hydra.run.dir={tmp_path}/p hydra.sweep.dir={tmp_path}/q seeds=2 report=false"
    assert run(typed, monkeypatch, tmp_path, program=probe) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["q"]


def test_a_jobs_own_folder_is_ours(monkeypatch: Patch, tmp_path: Path, capsys: Said) -> None:
    assert run("-m init=he hydra.sweep.subdir=x", monkeypatch, tmp_path) == 2
    assert "hydra.sweep.subdir: jobs are named by what varies" in capsys.readouterr().err


REFUSED = [
    "init=fixup",
    "-m init=fixup optim.lr=0.1,0.2",
    "-m init=he optim.lr=-1",
    "data=digits model=vit model.patch=3",
    "-m init=fixup hydra/launcher=basic",
    "init=fixup hydra.run.dir=own/place",
    "-m init=he,xavier dry_run=true",
]


@pytest.mark.parametrize("command", REFUSED)
def test_a_refused_command_leaves_nothing(command: str, monkeypatch: Patch, tmp_path: Path) -> None:
    code = run(command, monkeypatch, tmp_path)
    assert code == (0 if "dry_run" in command else 2)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    if "basic" not in command and "own" not in command:  # there Hydra makes folders
        assert not list(tmp_path.iterdir())


def test_an_empty_folder_of_the_users_stays(monkeypatch: Patch, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run("init=fixup output_dir=mine", monkeypatch, tmp_path) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert run(f"init=fixup {QUICK}", monkeypatch, tmp_path) == 2
    assert trained(tmp_path / "outputs" / "study") == ["init=he"]


def test_an_interrupted_command_leaves_nothing_empty(commands: Commands, tmp_path: Path) -> None:
    """With a logger that writes from the first epoch on."""
    process = commands.start(
        "-m data=digits model=cnn init=he,zeros seeds=2 trainer.max_epochs=5000 n_jobs=1", tmp_path
    )
    deadline = time.monotonic() + 90
    while not list(tmp_path.rglob("events.*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    os.kill(process, signal.SIGINT)
    assert commands.wait(process) == 130, (tmp_path / "errors.txt").read_text()
    assert "nothing is kept" in (tmp_path / "said.txt").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"said.txt", "errors.txt"}


@pytest.mark.parametrize(
    "command",
    [
        *("seeds=ten", "-m init=he,xavier optim.lr=-1", "threshold=7", "-m signal.rows=1", "save=some"),
        *(
            pytest.param(command, marks=pytest.mark.slow)
            for command in (
                *("model.depth=ten", "-m init=he,xavier init.gain=foo", "data.test_fraction=half"),
                *("optim.weight_decay=on", "init=normal init.std=big", "-m model.bias=maybe"),
                "activation=leaky_relu activation.negative_slope=x",
            )
        ),
    ],
)
def test_a_wrong_value_is_told_before_torch_is_imported(command: str, tmp_path: Path) -> None:
    script = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch' in sys.modules))\n"
        "from initlab.cli.apps import train as main\n"
        "main()\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2
    assert "expected" in done.stderr
    assert done.stderr.count("\n") == 1
    said = done.stdout.splitlines()
    assert said[-1] == "False"
    assert len(said) == 1 or "-m" in command  # of a single job nothing is said before
    assert after.ru_utime - before.ru_utime < 3  # it was 6 s with torch
    assert not list(tmp_path.iterdir())


def test_a_line_comes_before_anything_heavy_which_is_not_searched_for_garbage(tmp_path: Path) -> None:
    script = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('full collections:', gc.get_stats()[2]['collections']))\n"
        "from initlab.cli.apps import train as main\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, "-m", "init=he,zeros", *QUICK.split()],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    maps = Path(f"/proc/{process.pid}/maps")
    early = "libtorch" not in maps.read_text() if maps.exists() else True
    said, errors = process.communicate(timeout=120)
    assert first == "checking 2 jobs\n"
    assert early
    assert (process.returncode, errors) == (0, "")
    assert int(said.splitlines()[-1].removeprefix("full collections: ")) <= 4  # there were 8


@pytest.mark.parametrize(
    ("typed", "at_a_time"),
    [
        ("threads=1", 1),
        ("threads=3", 3),
        ("", 4),  # all five cores, and four members
        # A worker has the one core that it asked for; Ray takes seconds to start.
        pytest.param("backend=ray", 1, marks=pytest.mark.slow),
        ("model.dropout=0.1", 1),
    ],
)
def test_a_dry_run_knows_how_many_train_at_a_time(
    typed: str, at_a_time: int, monkeypatch: Patch, tmp_path: Path, capsys: Said
) -> None:
    monkeypatch.setattr("initlab.base.threads.usable_cores", lambda: 5)
    settings = f"data=digits data.resplit=false batch_size=512 n_jobs=1 trainer.accelerator=cpu {typed}"
    cost = replace(cost_of(make_job(*settings.split())), one_queue=False)
    expected = [f"≈ {cost.memory(4, threads=threads) / 2**20:,.0f} MiB" for threads in (1, 3, 4)]
    assert len(set(expected)) == 3
    assert run(f"-m {settings} seeds=4 logger=none dry_run=true", monkeypatch, tmp_path) == 0
    assert expected[(1, 3, 4).index(at_a_time)] in capsys.readouterr().out


def test_a_dry_run_estimates_its_time(monkeypatch: Patch, tmp_path: Path, capsys: Said) -> None:
    assert run("-m init=he,zeros dry_run=true", monkeypatch, tmp_path) == 0
    assert ", one after another, ≈ 1 s; nothing was trained" in capsys.readouterr().out
    assert (
        run("-m batch_size=linspace(8,37,30) seeds=2 trainer.max_epochs=1 n_jobs=1 dry_run=true", monkeypatch, tmp_path)
        == 0
    )
    said = re.search(r"30 jobs, .* in 30 cohorts, .* ≈ (\d+) s", " ".join(capsys.readouterr().out.split()))
    assert said is not None
    assert int(said[1]) == pytest.approx(3.3, rel=0.3)  # 20 of them took 2.2 s, and nearly nothing of it was training


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_any_encoding_is_survived(encoding: str, tmp_path: Path) -> None:
    """Where files would be written in it, too, and the report is in UTF-8 all the same."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONUTF8"] = "0"
    command = f"-m init=mean_field,zeros {QUICK} n_jobs=1".replace("report=false", "report=true")
    script = (
        "import importlib, sys\n"
        "for module, typed in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    sys.argv[:] = [module, *typed.split()]\n"
        "    try:\n"
        "        importlib.import_module(f'initlab.{module}').main()\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, stop\n"
    )
    done = subprocess.run(  # one process, as each would first import what is heavy
        [sys.executable, "-c", script, "train", command, "report", "outputs/study", "schemes", ""],
        cwd=tmp_path, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr
    assert b"sqrt E[phi(z)" in done.stdout.replace(b"\xb2", b"")
    assert done.stdout.decode(encoding)
    report = (tmp_path / "outputs" / "study" / "report.html").read_text(encoding="utf-8")
    assert report.endswith("</html>\n") or report.endswith("</html>")
    refused = [sys.executable, "-m", "initlab.train", "data.target=Qualität"]
    done = subprocess.run(refused, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_several_loggers_at_once(monkeypatch: Patch, tmp_path: Path) -> None:
    command = f"-m init=he,zeros logger=[csv,tensorboard] {QUICK.replace('logger=none', '')}"
    assert run(command, monkeypatch, tmp_path) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name in ("init=he", "init=zeros"):
        folder = tmp_path / "outputs" / "study" / name
        table = pd.read_csv(folder / "csv" / "metrics.csv").groupby("step").first()
        events = EventAccumulator(str(folder))
        events.Reload()
        logged = {event.step: event.value for event in events.Scalars("val_accuracy/mean")}
        assert logged == pytest.approx(table["val_accuracy/mean"].to_dict())
        assert set(logged) == {0, 1, 2}
        assert set(json.loads((folder / "metadata.json").read_text())) >= {"fingerprint"}


def test_a_logger_of_several_is_checked_as_one_alone(monkeypatch: Patch, tmp_path: Path, capsys: Said) -> None:
    command = f"init=he logger=[csv,tensorboard] logger.csv._target_=nowhere.X {QUICK.replace('logger=none', '')}"
    assert run(command, monkeypatch, tmp_path) == 2
    assert "logger._target_=nowhere.X: cannot import it" in capsys.readouterr().err


def test_a_column_called_by_a_number(monkeypatch: Patch, tmp_path: Path) -> None:
    rows = [f"{place % 7},{place % 3},{'a' if place % 2 else 'b'}" for place in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["1,2,3", *rows]) + "\n")
    command = f"data=csv data.path={table} data.target=3 data.ignore=[2] {QUICK.replace('study', '12345')}"
    assert run(command, monkeypatch, tmp_path) == 0
    (folder,) = (tmp_path / "outputs" / "12345").glob("*/")
    config = read_config(folder)
    assert (config["name"], config["data"]["target"], config["data"]["ignore"]) == ("12345", 3, [2])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("init=kaiming", "init=kaiming: unknown init; here it is kaiming_normal or kaiming_uniform"),
        ("init=xavier_uniform_", "here it is xavier_uniform"),
        ("activation=lrelu", "activation=lrelu: unknown activation; here it is leaky_relu"),
        ("-m activation=relu,ReLU", "activation=ReLU: unknown activation; here it is relu"),
        ("nonlinearity=tanh", "nonlinearity: unknown key; here it is activation=tanh, and with init.gain=kaiming"),
        (
            "init.nonlinearity=tanh",
            "init.nonlinearity: init=he_normal has no such parameter; here it is activation=tanh",
        ),
        ("init=uniform init.a=-0.1", "init=uniform has no such parameter; here it is init.bound, as all weights lie"),
        ("init=normal init.mean=0", "init=normal has no such parameter; here it is always 0; known: "),
        ("init=trunc_normal +init.b=2", "init=trunc_normal has no such parameter; here it is init.cut, in standard"),
        ("init=constant init.val=0.2", "init=constant has no such parameter; here it is init.value=0.2; "),
        ("init=he init.a=0.1", "here it is activation=leaky_relu activation.negative_slope=0.1"),
        ("a=0.1", "here it is activation=leaky_relu activation.negative_slope=0.1"),
        ("lr=0.1", "lr: unknown key; here it is optim.lr=0.1"),
        ("epochs=3", "here it is trainer.max_epochs=3"),
    ],
)
def test_other_libraries_spellings_are_answered_with_ours(
    typed: str, said: str, monkeypatch: Patch, tmp_path: Path, capsys: Said
) -> None:
    assert run(typed, monkeypatch, tmp_path) == 2
    assert said in capsys.readouterr().err


def test_the_library_takes_numpys_numbers_and_answers_with_our_names() -> None:
    import torch
    from torch import nn

    def network() -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    one, other = network(), network()
    initialize(one, "sparse", seed=np.int64(3), sparsity=np.float32(0.5))  # type: ignore[arg-type]  # as NumPy users type
    initialize(other, "sparse", seed=3, sparsity=0.5)
    assert torch.equal(one.get_parameter("0.weight"), other.get_parameter("0.weight"))
    batch = torch.randn(8, 4)
    numbers: dict[str, Any] = {"seed": np.int64(0), "seeds": np.int32(2)}
    table = initlab.probe_model(network(), batch, scheme="he", **numbers)
    pd.testing.assert_frame_equal(table, initlab.probe_model(network(), batch, seed=0, scheme="he", seeds=2))
    with pytest.raises(UserError, match="here it is kaiming_normal or kaiming_uniform"):
        initialize(network(), "kaiming", seed=0)
    with pytest.raises(UserError, match="here it is leaky_relu"):
        initialize(network(), "he", activation="lrelu", seed=0)
    with pytest.raises(UserError, match=r"here it is activation=leaky_relu"):
        initialize(network(), "he", a=0.1, seed=0)
    with pytest.raises(UserError, match="expected a whole number"):
        initialize(network(), "he", seed=0.5)  # type: ignore[arg-type]


def test_a_probe_of_something_else_stays_beside_the_first(monkeypatch: Patch, tmp_path: Path) -> None:
    from initlab.cli.apps import probe

    for width in (8, 16, 8):
        assert (
            run(f"init=he model.width={width} name=study seeds=2 report=false", monkeypatch, tmp_path, program=probe)
            == 0
        )
    study = tmp_path / "outputs" / "probe" / "study"
    assert {folder.name: read_config(folder)["model"]["width"] for folder in study.glob("init=*/")} == {
        "init=he": 8, "init=he,model.width=16": 16,
    }  # fmt: skip
