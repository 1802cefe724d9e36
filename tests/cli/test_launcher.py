"""The launcher: what it composes, shows, and hands on."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from initlab.base.threads import usable_cores
from initlab.config.files import CONF
from initlab.config.plain import plain_config
from initlab.jobs.compose import job_from
from initlab.jobs.job import Job
from tests.helpers import QUICK, run
from tests.sweep.helpers import assert_same_tables


def jobs_of(command: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Job]:
    """What the command line hands to the study."""
    found: list[Job] = []
    monkeypatch.setattr("initlab.cli.run_train.run_study", lambda jobs, **_: found.extend(jobs))
    assert run(command, monkeypatch, folder) == 0
    return found


@pytest.mark.parametrize(
    "numbers",
    [
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("optim.lr=1e-3,.5,2E-2", "seeds=1,20")),
        "seed=3,4 optim.lr=0.1,0.25",
    ],
)
def test_a_number_that_is_set_is_as_one_that_hydra_composed(
    numbers: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs = jobs_of(f"-m data=wine,digits init=he {numbers} name=study", monkeypatch, tmp_path)
    assert len(jobs) in (4, 6, 8, 10)
    for job in jobs:
        chosen = [word for word in job.typed if not word.startswith(("name=", "report="))]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            alone = job_from(plain_config(compose("train", [*chosen, "name=study", "report=false"]), chosen))
        assert alone.resolved == job.resolved
        assert alone.fingerprint == job.fingerprint


def test_a_number_out_of_range_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m init=he optim.lr=0.1,0 name=study", monkeypatch, tmp_path) == 2
    assert "optim.lr=0: expected a positive number" in capsys.readouterr().err


COMPOSED = """
import os, sys
from pathlib import Path
from initlab.cli.apps import train
from initlab.config.composing import Composer

plain = Composer.plain

def noted(composer, overrides):
    with Path("composed").open("a") as file:
        print(os.getpid(), "torch" in sys.modules, file=file)
    return plain(composer, overrides)

Composer.plain = noted
print(os.getpid())
train()
"""


@pytest.mark.parametrize("wrong", ["", "init.gain=foo"])
def test_jobs_are_composed_while_libraries_are_imported(wrong: str, tmp_path: Path) -> None:
    """In a fork; what is wrong is told by the process itself, and before torch is imported."""
    command = f"-m init=he,xavier dry_run=true {wrong}"
    done = subprocess.run(
        [sys.executable, "-c", COMPOSED, *command.split()], cwd=tmp_path, capture_output=True, text=True
    )
    own, *said = done.stdout.splitlines()
    composed = [line.split() for line in (tmp_path / "composed").read_text().splitlines()]
    assert {torch for _, torch in composed} == {"False"}
    forked = sys.platform == "linux" and usable_cores() > 1
    processes = [int(process) == int(own) for process, _ in composed]
    if wrong:
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert said == ["checking 2 jobs"]
        assert processes == ([False, False, True, True] if forked else [True, True])
    else:
        assert (done.returncode, done.stderr) == (0, "")
        assert said[-1].endswith("nothing was trained")
        assert processes == [not forked] * 2


def test_a_dry_run_shows_everything_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "-m data=wine,digits init=he,zeros,fixup optim.lr=0.1,0.01 name=study n_jobs=1 dry_run=true"
    assert run(f"{command} trainer.accelerator=cpu", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.count("data=digits,init=he") == 2
    assert "8 jobs, 80 members, in 5 cohorts, one after another, ≈ " in said
    assert said.rstrip().endswith("; nothing was trained")
    assert "4 of 12 jobs are left out" in said
    assert not list(tmp_path.iterdir())


def test_a_dry_run_tells_what_is_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    capsys.readouterr()
    assert run(f"-m init=he,xavier {QUICK} dry_run=true", monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "1 of 2 jobs is finished already" in said
    assert "1 job, 3 members, in 1 cohort, one" in said


def test_jobs_of_a_sweep_are_what_they_are_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tables, logs, configuration and files of two jobs of one cohort, and of each in a process of its own."""
    for launcher in ("vectorized", "basic"):
        command = f"-m init=he,xavier optim.lr=0.1,0.05 hydra/launcher={launcher} seeds=3 trainer.max_epochs=2"
        assert run(f"{command} name=study output_dir={launcher}", monkeypatch, tmp_path) == 0
    together, alone = (tmp_path / name / "study" for name in ("vectorized", "basic"))
    assert_same_tables(together, alone, rtol=1e-4)
    for folder in sorted(path.parent for path in alone.glob("*/members.parquet")):
        twin = together / folder.name
        names = {path.name.partition(".tfevents.")[0] for path in twin.iterdir()}
        assert names == {path.name.partition(".tfevents.")[0] for path in folder.iterdir()} - {".lock"}
        assert (twin / "config.yaml").read_text().replace("vectorized", "basic") == (folder / "config.yaml").read_text()
        assert scalars(twin) == pytest.approx(scalars(folder), rel=1e-3, abs=1e-4)


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"histograms": 0})
    events.Reload()
    tags = events.Tags()
    found = {(tag, event.step): event.value for tag in tags["scalars"] for event in events.Scalars(tag)}
    for tag in tags["histograms"]:
        found |= {(tag, event.step): event.histogram_value.sum for event in events.Histograms(tag)}
    assert len(tags["histograms"]) > 4
    return found
