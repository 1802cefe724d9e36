"""The probe as a user runs it."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from initlab.base.errors import OwnCodeError, UserError
from initlab.base.threads import intra_op_threads
from initlab.cli.apps import probe as main
from initlab.cli.run_report import run_report
from initlab.cli.screening import seconds_to_build
from initlab.jobs.job import Job
from initlab.propagation.probe import probe_networks
from initlab.sweep import probing
from initlab.tables.store import read_config, read_table
from tests.commands import Commands
from tests.helpers import make_job, run

QUICK = "name=look seeds=3 signal.rows=64"
NO_REPORT = f"{QUICK} report=false"  # which takes most of the time


probe = partial(run, program=main)


def test_a_comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"model.depth=30 activation=tanh init=zeros,xavier,orthogonal {QUICK}"
    assert probe(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    study = tmp_path / "outputs" / "probe" / "look"
    assert "xavier_normal, 3 seeds" in said
    assert "12 of 31 layers" in said
    assert "no weight gets any gradient" in said
    verdicts = pd.read_csv(study / "tables" / "verdicts.csv").set_index("job")
    assert verdicts.filter(like="init=zeros", axis=0)["outlook"].item() == "not trainable"
    for name in ("signal", "histograms", "spectrum"):
        with Image.open(study / "figures" / f"{name}.png") as picture:
            assert picture.width > 500
        assert (study / "figures" / f"{name}.svg").exists()
    page = (study / "report.html").read_text()
    assert "no weight gets any gradient" in page
    assert page.count("data:image/svg+xml") == 3
    assert len(pd.read_csv(study / "tables" / "layers.csv")) == 3 * 31
    before = (study / "report.md").read_text()
    assert "Not trainable: zeros." in before
    (study / "report.md").unlink()
    run_report([study])  # reads the tables back
    assert (study / "report.md").read_text() == before
    assert "Not trainable: zeros." in capsys.readouterr().out
    (folder,) = study.glob("*init=xavier*")
    table = read_table(folder, "signal")
    assert len(table) == 3 * 31
    # The row of the terminal's table: mean over members, then theory.
    first = table[table["position"] == 1]
    assert f"{first['pre_second_moment'].mean():.3g}" in said
    assert f"{first['predicted_second_moment'].iloc[0]:.3g}" in said
    spectrum = read_table(folder, "spectrum")
    assert len(spectrum) == 3 * 8 * 3
    bins = read_table(folder, "histograms")
    areas = ((bins["right"] - bins["left"]) * bins["density"]).groupby(bins["position"]).sum()
    np.testing.assert_allclose(areas, 1.0)
    assert {"config.yaml", "metadata.json"} <= {path.name for path in folder.iterdir()}


def test_the_command_line(commands: Commands, tmp_path: Path) -> None:
    code = commands.run(f"init=he model.depth=0 {QUICK}", tmp_path, program="probe")
    assert (code, (tmp_path / "errors.txt").read_text()) == (0, "")
    said = (tmp_path / "said.txt").read_text()
    assert "trainable" in said
    assert "In outputs/probe/look: report.html" in said


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("init=hee", "init=hee: unknown init; did you mean he"),
        ("model.depth=-1", "model.depth=-1: expected a whole number of at least 0"),
        ("signal.rows=many", "signal.rows=many: expected a whole number"),
        ("activation=softplus init=mean_field", "no σ_w makes softplus critical"),
        ("init=mean_field init.sigma_w=1.5", "init.sigma_w: set init.sigma_b, too"),
        ("init=fixup", "works on residual branches"),
        ("trainer.accelerator=abacus", "trainer: "),
    ],
)
def test_mistakes_are_one_line(
    command: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(f"{QUICK} {command}", monkeypatch, tmp_path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_what_does_not_fit_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(f"init=fixup,lsuv {NO_REPORT}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "left out: init=fixup works on residual branches" in said
    assert "no prediction from hidden.0 on (init=lsuv fits the weights to data)" in said


def test_what_trains_is_not_even_imported(tmp_path: Path) -> None:
    """Lightning, what it brings, and torch's compiler take longer to import than all else that a small probe needs."""
    network = "data=digits model=mlp model.depth=20 model.width=256"
    typed = f"-m {network} init=he,xavier name=look seeds=2 report=false".split()
    program = "import sys; from initlab.cli.apps import probe; probe(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program, *typed], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    loaded = set(done.stderr.split())
    assert "torch" in loaded
    assert not loaded & {"lightning", "torchvision", "torchmetrics", "tensorboard", "torch._dynamo"}


def test_probing_does_not_train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Law 12: in deep ReLU nets of torch_default the rms of the pre-activations goes to √(.4/n)."""
    command = f"model.depth=30 model.width=256 init=torch_default activation=relu {NO_REPORT}"
    assert probe(command, monkeypatch, tmp_path) == 0
    (folder,) = (tmp_path / "outputs" / "probe" / "look").glob("*torch_default*")
    table = read_table(folder, "signal")
    deep = table[table["position"].between(20, 30)]
    assert np.sqrt(deep["pre_second_moment"].mean()) == pytest.approx(np.sqrt(0.4 / 256), rel=0.03)
    assert np.sqrt(deep["predicted_second_moment"].mean()) == pytest.approx(np.sqrt(0.4 / 256), rel=0.01)


def test_weights_beyond_all_measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(f"init=normal init.std=1e30 {QUICK}", monkeypatch, tmp_path) == 0
    said = capsys.readouterr()
    assert "not trainable: the signal is no finite number from" in said.out
    assert said.err == ""


def test_one_failing_job_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = probing.probe_job

    def breaking(job: Job, **rest: Any) -> object:
        if "he" in job.name:
            raise RuntimeError("broken on purpose")
        return whole(job, **rest)

    monkeypatch.setattr(probing, "probe_job", breaking)
    assert probe(f"init=he,xavier {QUICK}", monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "RuntimeError: broken on purpose" in said.out
    assert "1 of 2 jobs could not be probed" in said.err
    study = tmp_path / "outputs" / "probe" / "look"
    assert (study / "figures" / "signal.png").exists()
    assert "Traceback" in next(study.glob("init=he*/error.txt")).read_text()


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"init=he": RuntimeError("broken"), "init=xavier": RuntimeError("broken")}, 1),
        ({"init=he": RuntimeError("broken"), "init=xavier": UserError("refused")}, 1),
        ({"init=he": OwnCodeError("mine failed"), "init=xavier": UserError("refused")}, 1),
        ({"init=he": UserError("refused"), "init=xavier": UserError("refused")}, 2),
    ],
)
def test_it_ends_with_2_only_if_something_else_is_to_be_typed(
    faults: dict[str, Exception],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def breaking(job: Job, **_: object) -> object:
        raise faults[job.name]

    monkeypatch.setattr(probing, "probe_job", breaking)
    assert probe(f"init=he,xavier {QUICK}", monkeypatch, tmp_path) == code
    (line,) = capsys.readouterr().err.splitlines()
    kept = {path.parent.name: path.read_text() for path in tmp_path.rglob("error.txt")}
    assert set(kept) == {name for name, fault in faults.items() if str(fault) != "refused"}
    for name, fault in faults.items():
        assert str(fault) in line
        assert (f"{name}/error.txt" in line) == (name in kept)
        assert "Traceback" in kept.get(name, "Traceback")


def folders(study: Path) -> list[str]:
    return sorted(path.parent.name for path in study.glob("*/signal.parquet"))


@pytest.mark.slow
def test_a_probe_is_kept_beside_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "probe" / "look"
    assert probe(f"init=he model.depth=5 {NO_REPORT}", monkeypatch, tmp_path) == 0
    first = (study / "init=he" / "signal.parquet").read_bytes()
    for _ in range(2):  # again: the same folder
        capsys.readouterr()
        assert probe(f"init=he {NO_REPORT}", monkeypatch, tmp_path) == 0
        said = capsys.readouterr().out
        assert (study / "init=he" / "signal.parquet").read_bytes() == first
        (beside,) = set(folders(study)) - {"init=he"}
        assert beside.startswith("init=he")
        assert f"this goes to {beside}" in " ".join(said.split())
    assert read_config(study / "init=he")["model"]["depth"] == 5
    assert read_config(study / beside)["model"]["depth"] == 2
    assert probe(f"init=he model.depth=5 {NO_REPORT}", monkeypatch, tmp_path) == 0
    assert folders(study) == ["init=he", beside]


def test_a_probe_leaves_what_was_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where it is the same configuration: its description says when and how it was trained."""
    settings = f"init=he trainer.max_epochs=1 logger=none {NO_REPORT}"
    assert run(settings, monkeypatch, tmp_path) == 0
    trained = tmp_path / "outputs" / "look" / "init=he"
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    assert probe(f"{settings} output_dir=outputs", monkeypatch, tmp_path) == 0
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before
    assert len(folders(trained.parent)) == 1


def test_a_damaged_description_is_written_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "probe" / "look" / "init=he"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("data: [")
    assert probe(f"init=he {NO_REPORT}", monkeypatch, tmp_path) == 0
    assert read_config(folder)["init"]["name"] == "he_normal"


@pytest.mark.parametrize(("depth", "vectorized", "workers"), [(2, True, 1), (12, False, 2)])
def test_networks_that_keep_a_core_busy_are_shared_among_threads(
    depth: int, vectorized: bool, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def look(*arguments: Any, **settings: Any) -> Any:
        seen.update({key: settings[key] for key in ("vectorized", "workers")}, threads=torch.get_num_threads())
        return probe_networks(*arguments, **settings)

    monkeypatch.setattr(probing, "probe_networks", look)
    wide = (
        "data=digits",
        "model=mlp",
        f"model.depth={depth}",
        "model.width=256",
        "init=he",
        "seeds=2",
        "threads=2",
        "signal.rows=256",
        "trainer.accelerator=cpu",
    )
    probing.probe_job(make_job(*wide))
    assert seen == {"vectorized": vectorized, "workers": workers, "threads": 1 if workers == 2 else 2}


@pytest.mark.parametrize(("typed", "threads"), [("threads=2", 2), ("threads=auto", 1)])
def test_the_threads_that_were_asked_for(typed: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While networks are built, also to see how long that takes, and while they are looked at."""
    seen: dict[str, int] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **settings: Any) -> Any:
            seen[name] = torch.get_num_threads()
            return function(*arguments, **settings)

        return call

    monkeypatch.setattr(Job, "fill_member", watched("building", Job.fill_member))
    monkeypatch.setattr(probing, "probe_networks", watched("looking", probe_networks))
    with intra_op_threads(5):
        probing.probe_job(make_job("init=he", "seeds=2", typed))
        assert seen == {"building": threads, "looking": threads}
        seen.clear()
        assert seconds_to_build(make_job("init=metainit", typed)) > 0
        assert seen == {"building": threads}
