"""Jobs that several processes probe give what one gives, whatever becomes of the processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
from torch import Tensor, nn

from initlab.propagation.probe import Probe, probe_networks
from initlab.sweep import probing
from initlab.sweep.probing import Fault, Found, Workers, probe_jobs
from initlab.sweep.process import EndedError, Home, NotThereError, Worker, start_workers
from tests.helpers import interruptible, make_job
from tests.sweep.helpers import descendants

MAIN = "INITLAB_TEST_MAIN"  # the process that the tests run in
SCHEMES = ("he", "xavier", "orthogonal", "zeros")


class Odd(nn.Linear):
    """A network of the user's that fails in some way."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int, *, how: str) -> None:
        super().__init__(input_shape[0], out_features)
        self.how = how

    def forward(self, inputs: Tensor) -> Tensor:
        if os.getpid() != int(os.environ.get(MAIN, "0")):
            if self.how == "dies":
                os._exit(9)
            if self.how == "exits":
                sys.exit("not here")
            if self.how == "fails there":
                raise RuntimeError("can't allocate memory")
            if self.how == "prints":
                sys.stdout.write("said in a worker\n")
        if self.how == "raises":

            class LocalError(Exception):
                """Which no other process knows."""

            raise LocalError(threading.Lock())
        if self.how == "waits":
            Path(f"at_work.{os.getpid()}").touch()
            time.sleep(60)
        return super().forward(inputs)


@pytest.fixture
def start_forks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Worker]]:
    """Workers are forks of this process, where there can be some, and import nothing, which takes most of a test."""
    start = partial(start_workers, from_here=sys.platform == "linux")
    monkeypatch.setattr(probing, "start_workers", start)
    return start


def jobs_of(*more: str) -> list[Any]:
    return [make_job(f"init={scheme}", "seeds=3", "trainer.accelerator=cpu", *more) for scheme in SCHEMES]


def odd(how: str, *more: str) -> list[Any]:
    return jobs_of(f"model._target_={__name__}.Odd", f"+model.how={how}", *more)


def all_found(jobs: list[Any], *, expected: float = 0.0, said: list[str] | None = None) -> list[tuple[Any, Found]]:
    """What comes of probing jobs that are expected to take so long."""
    with Workers(jobs, tell=(said if said is not None else []).append) as workers:
        workers.expect(expected)
        return list(probe_jobs(jobs, workers))


def probed(found: list[tuple[Any, Found]]) -> list[dict[str, pd.DataFrame]]:
    outcomes = [one.outcome for _, one in found]
    return [one.tables for one in outcomes if isinstance(one, Probe)]


def assert_same(one: list[tuple[Any, Found]], other: list[tuple[Any, Found]]) -> None:
    assert [job.init.scheme for job, _ in one] == [job.init.scheme for job, _ in other]
    assert len(probed(one)) == len(probed(other)) == len(SCHEMES)
    for tables, others in zip(probed(one), probed(other), strict=True):
        assert tables.keys() == others.keys()
        for name, table in tables.items():
            pd.testing.assert_frame_equal(table, others[name], check_exact=True)
    assert all(found.init_seconds.keys() == {0, 1, 2} for _, found in one)


def test_two_processes_find_what_one_finds_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    here, taken = probing._found, list[str]()

    def first_waits(job: Any, **settings: Any) -> Found:
        """So that the worker comes to do some of them."""
        if not taken:
            deadline = time.monotonic() + 60
            while not done and time.monotonic() < deadline:
                time.sleep(0.01)
        taken.append(job.init.scheme)
        return here(job, **settings)

    done, call = list[Any](), Worker.call

    def called(*arguments: Any) -> Any:
        found = call(*arguments)
        done.append(found)
        return found

    monkeypatch.setattr(probing, "_found", first_waits)
    monkeypatch.setattr(Worker, "call", called)
    shared = all_found(jobs_of("n_jobs=2"))
    monkeypatch.undo()
    assert 1 <= len(taken) < len(SCHEMES)
    assert_same(shared, all_found(jobs_of("n_jobs=1")))


@pytest.mark.usefixtures("start_forks")
@pytest.mark.parametrize(("how", "n_jobs"), [("dies", 3), ("exits", 2), ("fails there", 2)])
def test_what_a_worker_cannot_do_is_probed_here(how: str, n_jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MAIN, str(os.getpid()))
    said = list[str]()
    assert_same(all_found(odd(how, f"n_jobs={n_jobs}"), said=said), all_found(odd(how, "n_jobs=1")))
    assert len(said) == (0 if how == "fails there" else n_jobs - 1)
    assert all("the process that was to probe it ended; it is probed in this one" in line for line in said)


def test_where_no_processes_can_be_had_all_are_probed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(probing, "start_workers", refuse)
    assert len(probed(all_found(jobs_of("n_jobs=2")))) == len(SCHEMES)


def test_what_cannot_be_sent_to_a_worker_is_probed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def call(self, *_: object) -> Found:
            raise NotThereError("a function of the user's")

        def kill(self) -> None:
            """Nothing is there to end."""

    monkeypatch.setattr(probing, "start_workers", lambda _, count, **__: [Refusing() for _ in range(count)])
    said = list[str]()
    assert len(probed(all_found(jobs_of("n_jobs=3"), said=said))) == len(SCHEMES)
    assert not said


def test_what_a_worker_says_arrives(
    start_forks: Callable[..., list[Worker]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error in words, and what the user's code prints, though the worker is killed in the end."""
    monkeypatch.setenv(MAIN, str(os.getpid()))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (worker,) = start_forks("initlab.sweep.probing", 1, cores=1, may_fork=True)
    (raising, *_), (printing, *_) = odd("raises"), odd("prints")
    try:
        sent, other = (worker.call("_in_worker", job, 1, Home.here()) for job in (raising, printing))
        with pytest.raises(NotThereError, match="no_such_function"):
            worker.call("no_such_function")
        with pytest.raises(NotThereError, match="pickle"):
            worker.call("_in_worker", threading.Lock())
        assert worker.call("_most_processes", raising.config) >= 1  # it goes on
    finally:
        worker.kill()
    with pytest.raises(EndedError):
        worker.call("_most_processes", raising.config)
    assert isinstance(other.outcome, Probe)
    assert "said in a worker" in capfd.readouterr().out
    for fault in (sent.outcome, probing._found(raising).outcome):
        assert isinstance(fault, Fault)
        assert "LocalError" in fault.traceback
        assert "lock object" in fault.message
        assert not fault.to_retype


def test_an_error_of_which_no_text_can_be_had_has_a_name() -> None:
    class MuteError(Exception):
        """Of the user's."""

        def __str__(self) -> str:
            raise TypeError

    fault = Fault.of(MuteError())
    assert fault.message == "MuteError"
    assert "MuteError" in fault.traceback


def test_what_takes_long_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    left, started = list[int](), list[int]()

    def alone(jobs: Any, *_: object) -> Any:
        left.append(len(jobs))
        return ((job, probing._found(job)) for job in jobs)

    class Stub:
        def __init__(self, _: str, *, cores: int) -> None:
            started.append(cores)

        def kill(self) -> None:
            started.pop()

    monkeypatch.setattr(probing, "_shared", alone)
    monkeypatch.setattr(probing, "Worker", Stub)
    monkeypatch.setattr(probing, "usable_cores", lambda: 2)
    jobs = jobs_of("n_jobs=auto")

    def shared(jobs: list[Any], expected: float = 0.0) -> list[int]:
        """How many jobs were left when they were shared, if they were."""
        left.clear()
        assert [job for job, _ in all_found(jobs, expected=expected)] == jobs
        assert not started
        return list(left)

    assert shared(jobs) == []  # they take a moment
    assert shared(jobs, expected=probing.WORTH_WORKERS) == [len(jobs)]
    with Workers(jobs) as workers:
        workers.note_check(1e3)  # the first tells nothing
        workers.note_check(0.0)
        assert not workers.others
        workers.note_check(probing.WORTH_WORKERS / (probing.PROBED_IN * len(jobs) * 3) * 2)  # half of that on average
        assert len(workers.others) == 1
    monkeypatch.setattr(probing, "WORTH_WORKERS", 1e-6)
    assert shared(jobs) == [len(jobs) - 1]  # the first has said so
    assert shared(jobs[:2]) == []  # a single one that is left is not shared
    monkeypatch.setattr(probing, "room_for_workers", lambda: 1)
    assert shared(jobs, expected=60.0) == []
    monkeypatch.setattr(probing, "trains_on_cuda", lambda _: True)
    monkeypatch.setattr(probing, "probe_job", lambda *_, **__: None)
    assert shared(jobs_of("n_jobs=2")) == []
    assert all_found([]) == []


def test_a_process_of_several_keeps_to_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("data=digits", "model=cnn", "seeds=2", "init=he", "trainer.accelerator=cpu", "signal.rows=8")
    seen: dict[str, Any] = {}

    def look(*arguments: Any, **settings: Any) -> Probe:
        seen.update(workers=settings["workers"], threads=torch.get_num_threads())
        return probe_networks(*arguments, **settings)

    monkeypatch.setattr(probing, "probe_networks", look)
    monkeypatch.setattr("initlab.base.threads.usable_cores", lambda: 2)
    for cores, expected in ((None, 2), (1, 1)):
        probing.probe_job(job, cores=cores)
        assert seen == {"workers": expected, "threads": 1}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_main_process(how: signal.Signals, tmp_path: Path) -> None:
    typed = [f"model._target_={__name__}.Odd", "+model.how=waits", "init=he,xavier,zeros", "n_jobs=2", "seeds=1"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", "import initlab.cli.run_probe as it, initlab.sweep.checks as c; "
         "it.check_jobs = lambda jobs, **_: c.Checked(list(jobs), {}, {}, []); "
         "from initlab.cli.apps import probe; probe()", "-m", *typed],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("at_work.*"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = descendants(psutil.Process(process.pid), "LokyProcess")
    assert len(workers) == 1
    if how is signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if how is signal.SIGINT else -9), errors
    assert "Traceback" not in errors, errors
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers)
