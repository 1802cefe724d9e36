"""What the command lines have in common."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from initlab.base.machine import describe_machine
from initlab.cli.apps import probe, recommend, train
from initlab.cli.run_report import main as report
from initlab.cli.run_schemes import main as schemes
from initlab.config.schema import Config, parse_config
from initlab.sweep.cohorts import Cohort
from initlab.sweep.run import Run
from initlab.sweep.worker import run_cohort
from initlab.tables.store import read_metadata
from tests.helpers import QUICK, make_job, run
from tests.sweep.helpers import FAILING, whole


def test_what_was_typed_is_what_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hydra gets it in another order, with grids written out; of jobs that fail it is kept, too."""
    typed = f"init=he optim.lr=logspace(-2,-1,2) {QUICK} -m n_jobs=1"
    assert run(typed, monkeypatch, tmp_path) == 0
    assert run(f"{FAILING} +model.how=raises {QUICK}", monkeypatch, tmp_path) == 1
    found = {path.parent.name: read_metadata(path.parent) for path in tmp_path.glob("outputs/study/*/metadata.json")}
    commands = {name: shlex.split(metadata["command"])[1:] for name, metadata in found.items()}
    (failed,) = [name for name, metadata in found.items() if metadata["status"] == "failed"]
    assert commands.pop(failed) == shlex.split(f"{FAILING} +model.how=raises {QUICK}")
    assert len(commands) == 2
    assert all(words == shlex.split(typed) for words in commands.values())


def test_a_probe_keeps_what_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    typed = "init=he name=look -m activation=relu seeds=2 signal.rows=16 report=false"
    assert run(typed, monkeypatch, tmp_path, program=probe) == 0
    (path,) = tmp_path.glob("outputs/probe/look/*/metadata.json")
    assert shlex.split(read_metadata(path.parent)["command"])[1:] == shlex.split(typed)


def test_a_worker_keeps_what_was_typed_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process of a cluster has a command line of its cluster's."""
    monkeypatch.setattr(sys, "argv", ["/ray/default_worker.py", "--node-ip-address=127.0.0.1"])
    typed = "python -m initlab.train init=he backend=ray"
    settings = ("seeds=1", "trainer.max_epochs=1")
    for overrides in (("init=he", *settings), (FAILING, "+model.how=raises", *settings)):
        job = make_job(*overrides, output_dir=tmp_path)
        run_cohort(Cohort((whole(job),)), Run("run", command=typed), lambda _: None)
        assert read_metadata(job.folder)["command"] == typed
    assert describe_machine("cpu")["command"] == "default_worker.py --node-ip-address=127.0.0.1"


@pytest.mark.parametrize(("typed", "jobs"), [("init=he", 1), ("-m init=he,zeros optim.lr=0.1,0.01", 4)])
def test_a_configuration_is_resolved_and_checked_once(
    typed: str, jobs: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checked: list[object] = []

    def check(resolved: Mapping[str, Any]) -> Config:
        checked.append(resolved)
        return parse_config(resolved)

    monkeypatch.setattr("initlab.config.plain.parse_config", check)
    assert run(f"{typed} dry_run=true {QUICK}", monkeypatch, tmp_path) == 0
    assert len(checked) == jobs


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("program", "typed"),
    [
        (probe, "data=digits model=mlp model.depth=8 init=he,xavier,orthogonal seeds=2 signal.rows=64 name=study"),
        (train, f"-m init=he,zeros,fixup optim.lr=0.1,0.01 {QUICK} report=true"),
        (report, "outputs/study"),
        pytest.param(
            *(recommend, f"init=he,zeros,fixup,metainit recommend.rates=2 {QUICK} report=true"), marks=pytest.mark.slow
        ),
        (schemes, ""),
        (schemes, "--columns"),
    ],
)
def test_all_of_it_fits_80_columns(
    program: Callable[[], None],
    typed: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if program is report:
        assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "80")
    assert run(typed, monkeypatch, tmp_path, program=program) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert "…" not in said


@pytest.mark.parametrize("typed", ["init=zeros --info defaults", "--info init=zeros"])
def test_hydra_tells_of_itself(typed: str) -> None:
    """In a process of its own, whose log it turns on."""
    command = [sys.executable, "-m", "initlab.train", *typed.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "init/zeros" in done.stdout


@pytest.mark.parametrize("program", [train, probe, recommend])
def test_the_configuration_of_one_job_is_shown(
    program: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With whatever one would type to run it."""
    shown = []
    for typed in ("init=zeros --cfg job", "-m init=zeros --cfg job", "--multirun --cfg=job init=zeros model.depth=3"):
        assert run(typed, monkeypatch, tmp_path, program=program) == 0
        shown.append(yaml.safe_load(capsys.readouterr().out))
    assert shown[0] == shown[1]
    assert shown[0]["init"]["name"] == "zeros"
    assert shown[2]["model"]["depth"] == 3
    for typed, line in {
        "-m init=he,zeros --cfg job": "init=he,zeros: --cfg shows one job; give init one value",
        "init=he --cfg job --run": "Only one of --run, --multirun, --cfg, --info",
        "init=he --resolve": "The --resolve flag can only be used",
    }.items():
        assert run(typed, monkeypatch, tmp_path, program=program) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"initlab: {line}")


def test_it_ends_with_its_last_word(tmp_path: Path) -> None:
    """Python's last collection finds nothing to go through; over all that torch and pandas hold it took seconds."""
    script = (
        "import atexit, gc\n"
        "atexit.register(lambda: print('objects', len(gc.get_objects())))\n"
        "from initlab.cli.apps import train\n"
        "train()\n"
    )
    command = [sys.executable, "-c", script, "init=xaver"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert int(done.stdout.split()[-1]) < 1000


@pytest.mark.parametrize("program", [train, probe, recommend])
def test_help_and_errors_fit_the_terminal(
    program: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At words: every line of `--help` that shows a command shows all of it."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run("--help", monkeypatch, tmp_path, program=program) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert len(re.findall(r"^  python -m initlab", said, flags=re.MULTILINE)) >= 4
    assert "zero_hadamard, zeros\n" in said
    assert run("init=he_nromal", monkeypatch, tmp_path, program=program) == 2
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).startswith("initlab: init=he_nromal: unknown init; did you mean he_normal or normal or ")
    assert " ".join(lines).endswith("; one of your own needs plugins=[MODULE]")
