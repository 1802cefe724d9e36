"""Cohorts in worker processes of this machine."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from initlab.base.errors import UserError
from initlab.jobs.job import Job
from initlab.sweep import pool
from initlab.sweep.backends import Backend
from initlab.sweep.cohorts import Cohort
from initlab.sweep.crew import Crew, training_crew
from initlab.sweep.in_worker import own_gpu
from initlab.sweep.pool import run_in_pool
from initlab.sweep.run import Run
from tests.helpers import interruptible, make_job, run
from tests.sweep import failing
from tests.sweep.helpers import (
    FAILING,
    WAITING,
    assert_same_tables,
    descendants,
    first_epochs,
    tables_of,
    waiting_workers,
    whole,
)

COMMAND = "-m data=digits model.channels=[4,4] init=he optim.lr=0.01,0.003,0.001 seeds=2 logger=none"


@pytest.mark.slow
def test_workers_give_what_one_process_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Up to rounding, as the sizes of operations differ; a job is split among the workers."""
    assert run(f"{COMMAND} trainer.max_epochs=3 name=one n_jobs=1", monkeypatch, tmp_path) == 0
    capfd.readouterr()
    assert run(f"{COMMAND} trainer.max_epochs=3 name=two n_jobs=2", monkeypatch, tmp_path) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert "cohort 6 of 6: " in said.out  # a line for each, where the output is no terminal
    outputs = tmp_path / "outputs"
    assert_same_tables(outputs / "two", outputs / "one", rtol=1e-4)
    assert not (outputs / "two" / ".cohorts").exists()


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_worker_that_fails_ends_the_others_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(failing.__file__, tmp_path / "beside.py")
    monkeypatch.syspath_prepend(tmp_path)
    command = "-m model._target_=beside.Failing +model.how=no,raises init=he,xavier seeds=2 trainer.max_epochs=2"
    assert run(f"{command} name=fast n_jobs=2 fail_fast=true", monkeypatch, tmp_path) == 1
    assert "fail_fast is set" in capfd.readouterr().err


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The worker processes of a process, forks of it or not, but for the one that they are forked from."""
    found = [*descendants(process, "LokyProcess"), *descendants(process, " ".join(process.cmdline()))]
    started_by = {one.ppid() for one in found}
    return [one for one in found if one.pid not in started_by]


LONG = f"{WAITING} checkpoint_seconds=0"


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    study, killed = tmp_path / "outputs" / "study", list[int]()

    def kill() -> None:
        with waiting_workers(lambda: workers_of(psutil.Process()), study) as workers:
            workers[0].kill()
            killed.append(workers[0].pid)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run(f"{LONG} name=study n_jobs=2", monkeypatch, tmp_path) == 0
    killer.join()
    assert len(killed) == 1
    assert killed[0] not in [worker.pid for worker in workers_of(psutil.Process())]
    assert run(f"{LONG} name=undisturbed n_jobs=1", monkeypatch, tmp_path) == 0
    assert_same_tables(study, tmp_path / "outputs" / "undisturbed", rtol=1e-4)
    assert not (study / ".cohorts").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_end_of_the_main_process(how: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With it its workers end, and a second run goes on from their checkpoints and is right."""
    process = subprocess.Popen(
        [sys.executable, "-m", "initlab.train", *LONG.split(), "n_jobs=2", "name=study", "report=false"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible,
    )  # fmt: skip
    study = tmp_path / "outputs" / "study"
    main = psutil.Process(process.pid)
    with waiting_workers(lambda: workers_of(main), study) as workers:
        process.send_signal(how)
        if how is signal.SIGKILL:
            process.wait(timeout=60)
            psutil.wait_procs(workers, timeout=20)  # before they go on: they look for their parent once a second
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if how is signal.SIGINT else -9), errors
    assert "Traceback" not in errors, errors
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers)
    assert list(study.glob(".cohorts/*/checkpoint.ckpt"))
    epochs = first_epochs(monkeypatch)
    assert run(f"{LONG} n_jobs=1 name=study", monkeypatch, tmp_path) == 0
    assert max(epochs) > 0
    assert run(f"{LONG} n_jobs=1 name=undisturbed", monkeypatch, tmp_path) == 0
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


def train_in_pool(job: Job, backend: str, crew: Crew) -> None:
    run_in_pool(
        [Cohort((whole(job),))], Run("a run"), backend=Backend(backend, 1), crew=crew, workers=1,
        advance=lambda *_: None, finish=lambda _: None,
    )  # fmt: skip


def test_a_cluster_that_has_gone_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a cohort had begun there, and so was to be tried again."""
    job = make_job("seeds=2", "trainer.accelerator=cpu", output_dir=tmp_path)
    tried: list[int] = []

    class Gone:
        def __init__(self, **_: object) -> None:
            tried.append(1)

        def __call__(self, _: object) -> None:
            if len(tried) == 1:
                (folder,) = (job.study_folder / ".cohorts").glob("*/")
                (folder / "progress.json").write_text('{"done": 1.0, "finished": false}')
            raise ConnectionError("the scheduler has gone")

    monkeypatch.setattr(pool, "Parallel", Gone)
    with pytest.raises(UserError, match="end before they begin: the scheduler has gone"):
        train_in_pool(job, "threading", training_crew())
    assert len(tried) == 2


@pytest.mark.parametrize("on_gpu", [True, False])
def test_workers_are_forks_only_where_none_uses_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, on_gpu: bool
) -> None:
    asked: list[bool] = []

    class Refused(Crew):
        def gather(self, count: int, *, cores: int, may_fork: bool, from_here: bool = False) -> None:
            asked.append(may_fork)
            assert not from_here
            raise BlockingIOError(11, f"no {count} with {cores}")

    monkeypatch.setattr(pool, "trains_on_cuda", lambda _: on_gpu)
    with pytest.raises(UserError, match="n_jobs=1: no more processes can be had"):
        train_in_pool(make_job("seeds=2", output_dir=tmp_path), "loky", Refused("os"))
    assert asked == [not on_gpu]


def test_each_worker_takes_a_gpu_of_its_own(tmp_path: Path) -> None:
    with own_gpu(tmp_path, 1) as only:
        assert only is None
    with own_gpu(tmp_path, 2) as first:
        with own_gpu(tmp_path, 2) as second, own_gpu(tmp_path, 2) as third:
            assert [first, second, third] == [0, 1, None]
        with own_gpu(tmp_path, 2) as again:
            assert again == 1
