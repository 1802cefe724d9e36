"""Cohorts in worker processes of this machine."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from initlab.sweep.pool import own_gpu
from tests.helpers import interruptible, run
from tests.sweep import failing
from tests.sweep.helpers import FAILING, assert_same_tables, tables_of

COMMAND = "-m data=digits model.channels=[4,4] init=he,xavier,zeros seeds=2 trainer.max_epochs=3 logger=none"


def test_workers_give_what_one_process_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Up to rounding, as the sizes of operations differ; a job is split among the workers."""
    assert run(f"{COMMAND} name=one n_jobs=1", monkeypatch, tmp_path) == 0
    capfd.readouterr()
    assert run(f"{COMMAND} name=two n_jobs=2", monkeypatch, tmp_path) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert "cohort 6 of 6: " in said.out  # a line for each, where the output is no terminal
    outputs = tmp_path / "outputs"
    assert_same_tables(outputs / "two", outputs / "one", rtol=1e-4)
    assert not (outputs / "two" / ".cohorts").exists()


def test_what_a_worker_meets_is_said_as_in_one_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A network of the user's own, beside the command, that fails in some jobs."""
    shutil.copy(failing.__file__, tmp_path / "beside.py")
    monkeypatch.syspath_prepend(tmp_path)
    command = "-m model._target_=beside.Failing +model.how=no,raises init=he,xavier seeds=2 trainer.max_epochs=2"
    assert run(f"{command} name=study n_jobs=2", monkeypatch, tmp_path) == 1
    said = capfd.readouterr()
    assert "2 of 4 jobs failed" in said.err
    assert said.out.count("ArithmeticError: broken on purpose") == 2
    assert len(tables_of(tmp_path / "outputs" / "study")) == 2
    assert run(f"{command} name=fast n_jobs=2 fail_fast=true", monkeypatch, tmp_path) == 1
    assert "fail_fast is set" in capfd.readouterr().err


def workers_at_work(process: subprocess.Popen[str], study: Path) -> list[psutil.Process]:
    """Wait until workers train; the processes that do."""
    while process.poll() is None:
        if len(list(study.glob(".cohorts/*/progress.json"))) >= 2:
            children = psutil.Process(process.pid).children(recursive=True)
            busy = [child for child in children if child.memory_info().rss > 2**28]
            if busy:
                return busy
        time.sleep(0.05)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(
    "end",
    ["a worker", *(pytest.param(f"the main process{how}", marks=pytest.mark.slow) for how in ("", ", softly"))],
)
def test_the_end_of_a_process(end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A killed worker costs nothing but time; with the main process its workers end, and a second run is right."""
    command = f"{COMMAND} trainer.max_epochs=10 checkpoint_seconds=0 n_jobs=2"
    process = subprocess.Popen(
        [sys.executable, "-m", "initlab.train", *command.split(), "name=study", "report=false"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible,
    )  # fmt: skip
    study = tmp_path / "outputs" / "study"
    workers = workers_at_work(process, study)
    time.sleep(1.0)
    if end == "a worker":
        workers[0].kill()
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, said + errors
    else:
        process.send_signal(2 if "softly" in end else 9)
        said, errors = process.communicate(timeout=60)
        assert process.returncode == (130 if "softly" in end else -9), errors
        assert "Traceback" not in errors, errors
        psutil.wait_procs(workers, timeout=20)
        assert not any(worker.is_running() for worker in workers)
        assert run(f"{command} name=study".replace("n_jobs=2", "n_jobs=1"), monkeypatch, tmp_path) == 0
    assert run(f"{command} name=undisturbed".replace("n_jobs=2", "n_jobs=1"), monkeypatch, tmp_path) == 0
    assert_same_tables(study, tmp_path / "outputs" / "undisturbed", rtol=1e-4)


@pytest.mark.slow
def test_a_job_whose_process_always_dies_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where the system kills what takes too much memory; the other jobs are finished."""
    deadly = f"{FAILING} +model.spared={os.getpid()} +model.how=dies,no"
    command = f"-m {deadly} init=he seeds=2 trainer.max_epochs=2"
    assert run(f"{command} name=study n_jobs=2 logger=none", monkeypatch, tmp_path) == 1
    said = capfd.readouterr()
    assert "1 of 2 jobs failed" in said.err
    assert len(tables_of(tmp_path / "outputs" / "study")) == 1


def test_each_worker_takes_a_gpu_of_its_own(tmp_path: Path) -> None:
    with own_gpu(tmp_path, 1) as only:
        assert only is None
    with own_gpu(tmp_path, 2) as first:
        with own_gpu(tmp_path, 2) as second, own_gpu(tmp_path, 2) as third:
            assert [first, second, third] == [0, 1, None]
        with own_gpu(tmp_path, 2) as again:
            assert again == 1
