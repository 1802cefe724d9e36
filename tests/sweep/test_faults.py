"""What goes wrong while a sweep runs, really made to happen."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from initlab.sweep import worker
from initlab.tables.store import read_metadata
from tests.helpers import QUICK, run
from tests.sweep.helpers import FAILING, Commands, assert_same_tables, open_commands, tables_of

# A cohort of two jobs, and two cohorts of convolutions, with checkpoints after each epoch.
SWEEP = "-m data=wine,digits init=he,xavier seeds=2 trainer.max_epochs=4 checkpoint_seconds=0 n_jobs=1"


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with open_commands() as found:
        yield found


@pytest.mark.parametrize("most", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_sweep_loses_nothing_and_ends_the_same(most: int, commands: Commands, tmp_path: Path) -> None:
    """Kills at random moments, over as many studies as it takes; each then ends as if undisturbed."""
    chance = random.Random(0)
    for name in ("warming", "undisturbed"):
        started = time.monotonic()
        assert commands.wait(commands.start(f"{SWEEP} name={name}", tmp_path)) == 0
        whole = time.monotonic() - started
    kills = studies = in_the_middle = 0
    while kills < most or not in_the_middle:  # of training: not all before or after it
        studies += 1
        assert studies <= most
        study = tmp_path / "outputs" / f"study{studies}"
        outcome = None
        while outcome != 0:
            process = commands.start(f"{SWEEP} name={study.name}", tmp_path)
            if kills < most or not in_the_middle:
                time.sleep(chance.uniform(0.2, 0.9) * whole)
                os.kill(process, signal.SIGKILL)
            outcome = commands.wait(process)
            assert outcome in (0, -signal.SIGKILL)
            kills += outcome != 0
            in_the_middle += bool(list(study.glob(".cohorts/*/checkpoint.ckpt")))
        assert_same_tables(study, tmp_path / "outputs" / "undisturbed")
        assert len(pd.read_csv(study / "summary.csv")) == 4
        assert not (study / ".cohorts").exists()
        assert not list(study.rglob("*.partial"))


@pytest.mark.slow
def test_a_killed_sweep_in_a_pool_loses_nothing_and_ends_the_same(tmp_path: Path) -> None:
    """As above, as users run it: each run a process of its own, with two workers."""
    chance = random.Random(0)
    sweep = SWEEP.replace("n_jobs=1", "n_jobs=2").replace("max_epochs=4", "max_epochs=30 report=false").split()
    command = [sys.executable, "-m", "initlab.train", *sweep]
    started = time.monotonic()
    subprocess.run([*command, "name=undisturbed"], cwd=tmp_path, check=True, capture_output=True)
    whole = time.monotonic() - started
    kills = studies = 0
    while kills < 20:
        studies += 1
        study = tmp_path / "outputs" / f"study{studies}"
        for _ in range(100):
            process = subprocess.Popen(
                [*command, f"name={study.name}"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.3, 1.0) * whole if kills < 20 else None)
            process.kill()
            if process.wait() == 0:
                break
            kills += 1
        assert_same_tables(study, tmp_path / "outputs" / "undisturbed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if os.name != "posix" or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own threads
@pytest.mark.parametrize("logger", ["none", "tensorboard"])
def test_a_full_disk_fails_jobs_that_train_when_there_is_space(
    logger: str, small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = f"-m init=he,xavier,zeros optim.lr=0.1,0.01,0.001 {QUICK} logger={logger} output_dir={small_disk}"
    assert run(command, monkeypatch, tmp_path) == 1
    said = capfd.readouterr()
    assert "of 9 jobs failed" in said.err
    assert "No space left on device" in said.out + said.err
    assert not list(small_disk.rglob("*.partial"))
    written = tables_of(small_disk / "study")
    assert len(written) < 9
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert run(command, monkeypatch, tmp_path) == 0
    elsewhere = tmp_path / "elsewhere"
    assert run(command.replace(str(small_disk), str(elsewhere)), monkeypatch, tmp_path) == 0
    assert_same_tables(small_disk / "study", elsewhere / "study", rtol=1e-4)


def test_a_read_only_folder(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for mode in ("", "-m"):
        assert run(f"{mode} init=he {QUICK} output_dir={small_disk}", monkeypatch, tmp_path) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "set output_dir=DIR" in line


def test_a_job_that_needs_more_memory_than_there_is_fails_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-m {FAILING} +model.how=no,allocates init=he {QUICK}", monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "1 of 2 jobs failed" in said.err
    assert "can't allocate memory" in said.out or "Storage size calculation overflowed" in said.out
    assert len(tables_of(tmp_path / "outputs" / "study")) == 1


def test_a_cohort_that_does_not_fit_into_memory_is_halved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = "-m init=he,xavier,zeros logger=none seeds=3 trainer.max_epochs=2 n_jobs=1"
    assert run(f"{command} name=whole", monkeypatch, tmp_path) == 0
    sizes, train = [], worker.train_cohort

    def small_memory(shares: Any, *arguments: Any, **settings: Any) -> Any:
        sizes.append(sum(len(share.seeds) for share in shares))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(shares, *arguments, **settings)

    monkeypatch.setattr(worker, "train_cohort", small_memory)
    assert run(f"{command} name=halved", monkeypatch, tmp_path) == 0
    assert sizes == [9, 4, 2, 2, 5, 2, 3]
    outputs = tmp_path / "outputs"
    assert_same_tables(outputs / "halved", outputs / "whole", rtol=1e-4)
    assert not (outputs / "halved" / ".cohorts").exists()


def test_two_sweeps_at_once(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused, and says who is at work; when the first is gone, it runs."""
    first = commands.start("-m init=he,xavier logger=none name=study trainer.max_epochs=100000 n_jobs=1", tmp_path)
    lock = tmp_path / "outputs" / "study" / ".lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.05)
    for other in (f"-m init=he,xavier {QUICK}", f"init=zeros {QUICK}"):
        assert run(other, monkeypatch, tmp_path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"process {first} on {os.uname().nodename} is at work here" in line
    os.kill(first, signal.SIGKILL)
    assert commands.wait(first) == -signal.SIGKILL
    assert run(f"-m init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0


def test_sweeps_without_a_name_never_share_a_folder(commands: Commands, tmp_path: Path) -> None:
    command = "-m init=he,xavier logger=none seeds=1 trainer.max_epochs=1"
    both = [commands.start(command, tmp_path) for _ in range(2)]
    assert [commands.wait(process) for process in both] == [0, 0]
    studies = list((tmp_path / "outputs").iterdir())
    assert [len(tables_of(study)) for study in studies] == [2, 2]


def test_what_a_killed_process_was_writing_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = tmp_path / "outputs" / "study" / "init=he" / ".members.parquet.1.partial"
    left.parent.mkdir(parents=True)
    left.touch()
    assert run(f"-m init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert not left.exists()


def test_what_failed_is_listed_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").touch()
    command = f"-m {FAILING} +model.how=raises_while_broken,no init=he,xavier {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "2 of 4 jobs failed" in said.err
    assert said.out.count("ArithmeticError: broken on purpose") == 2
    study = tmp_path / "outputs" / "study"
    finished = {path.parent: path.stat().st_mtime_ns for path in study.glob("*/members.parquet")}
    assert len(finished) == 2
    for path in study.glob("*/error.txt"):
        assert "Traceback" in path.read_text()
        assert read_metadata(path.parent)["status"] == "failed"
    (tmp_path / "broken").unlink()
    assert run(command, monkeypatch, tmp_path) == 0
    assert "2 of 4 jobs are finished already" in capsys.readouterr().out
    assert len(tables_of(study)) == 4
    assert not list(study.glob("*/error.txt"))
    for folder, written in finished.items():
        assert (folder / "members.parquet").stat().st_mtime_ns == written


def test_fail_fast_stops_at_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m {FAILING} +model.how=no,raises batch_size=16,32 init=he {QUICK}"
    assert run(f"{command} fail_fast=true n_jobs=1", monkeypatch, tmp_path) == 1
    assert "fail_fast is set" in capsys.readouterr().err
    study = tmp_path / "outputs" / "study"
    assert len(list(study.glob("*/error.txt"))) == 1
    assert len(tables_of(study)) == 2
