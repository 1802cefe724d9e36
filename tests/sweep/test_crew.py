"""Processes of this machine share tasks; one that ends takes its own task with it, and no other."""

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from initlab.sweep.crew import Crew
from initlab.sweep.process import EndedError, NotThereError, Worker, start_workers
from tests.sweep.helpers import descendants

FORKS = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["forked", "not forked"])
def workers(request: pytest.FixtureRequest) -> Iterator[list[Worker]]:
    found = start_workers("os", 3, cores=1, may_fork=request.param)
    yield found
    for worker in found:
        worker.kill()


Task = tuple[str, *tuple[int, ...]]  # a function's name, and what it is given


def ask(worker: Worker, task: Task) -> Any:
    return worker.call(*task)


def test_each_worker_is_a_process_of_its_own(workers: list[Worker]) -> None:
    assert len({os.getpid(), *(worker.call("getpid") for worker in workers)}) == 4


def test_one_that_ends_leaves_the_others(workers: list[Worker]) -> None:
    with pytest.raises(EndedError, match="the system ended it"):
        workers[1].call("_exit", 3)
    with pytest.raises(EndedError):
        workers[1].call("getpid")
    assert workers[0].call("getpid") != workers[2].call("getpid")


def test_an_error_of_what_is_called_ends_nothing(workers: list[Worker]) -> None:
    """An OSError, too, which a broken pipe is."""
    with pytest.raises(NotThereError, match="FileNotFoundError"):
        workers[0].call("listdir", "not there")
    with pytest.raises(NotThereError, match="generator"):
        workers[0].call("fspath", (_ for _ in ()))
    assert workers[0].call("getpid")


def test_an_interrupt_is_left_to_the_main_process(workers: list[Worker]) -> None:
    for worker in workers:
        os.kill(worker.call("getpid"), signal.SIGINT)
        assert worker.call("getpid")


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2])
def test_an_interrupt_while_it_starts_does_not_end_it(delay: float) -> None:
    """Ctrl-C in a terminal goes to all processes: here it would be a traceback of what was being imported."""
    (worker,) = start_workers("pandas", 1, cores=1, may_fork=True)
    time.sleep(delay)
    (process,) = descendants(psutil.Process(), "LokyProcess")
    process.send_signal(signal.SIGINT)
    assert worker.call("isna", 1.0) is False
    worker.kill()


def test_killing_leaves_nobody(workers: list[Worker]) -> None:
    processes = [psutil.Process(worker.call("getpid")) for worker in workers]
    for worker in workers:
        worker.kill()
    assert psutil.wait_procs(processes, timeout=10)[1] == []


@FORKS
def test_forks_import_once() -> None:
    """They are children of the one process that did."""
    workers = start_workers("os", 2, cores=1, may_fork=True)
    parents = {worker.call("getppid") for worker in workers}
    assert len(parents) == 1
    assert parents != {os.getpid()}
    workers[0].kill()


@FORKS
def test_forks_end_with_the_process_they_are_forked_from() -> None:
    workers = start_workers("os", 2, cores=1, may_fork=True)
    forks = [psutil.Process(worker.call("getpid")) for worker in workers]
    psutil.Process(workers[0].call("getppid")).kill()
    assert psutil.wait_procs(forks, timeout=10)[1] == []


def test_a_crew_gives_what_came_of_each_task() -> None:
    tasks: list[Task] = [("factorial", number) for number in range(6)]
    with Crew("math") as crew:
        crew.gather(2, cores=1, may_fork=True)
        assert dict(crew.share(tasks, ask, most=2, cores=1)) == dict(zip(tasks, [1, 1, 2, 6, 24, 120], strict=True))
        assert dict(crew.share(tasks[:1], ask, most=2, cores=1)) == {tasks[0]: 1}  # again, by the same workers


def test_another_worker_takes_the_place_of_one_that_ended() -> None:
    """With a single worker, the tasks behind the one that ended it could not be done else."""
    tasks: list[Task] = [("_exit", 1), ("getpid",), ("_exit", 1), ("getpid",)]
    with Crew("os") as crew:
        crew.gather(1, cores=1, may_fork=True)
        found = list(crew.share(tasks, ask, most=2, cores=1))
    assert [type(answer) for _, answer in found] == [EndedError, int, EndedError, int]


def test_what_cannot_be_done_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last worker has ended, and the machine has no room for another."""

    def refuse(*_: object, **__: object) -> list[Worker]:
        raise BlockingIOError

    tasks: list[Task] = [("_exit", 1), ("_exit", 1), ("getpid",)]
    with Crew("os") as crew:
        crew.gather(2, cores=1, may_fork=True)
        monkeypatch.setattr("initlab.sweep.crew.start_workers", refuse)
        found = list(crew.share(tasks, ask, most=2, cores=1))
    assert [type(answer) for _, answer in found] == [EndedError, EndedError]


def test_a_crew_is_dismissed_where_not_all_is_taken() -> None:
    tasks: list[Task] = [("time",), ("sleep", 60)]
    with Crew("time") as crew:
        crew.gather(2, cores=1, may_fork=True)
        began = time.monotonic()
        with contextlib.closing(crew.share(tasks, ask, most=2, cores=1)) as some:
            assert next(some)[0] == ("time",)
            here = descendants(psutil.Process(), "LokyProcess")
            assert len(here) >= 2
        assert psutil.wait_procs(here, timeout=10)[1] == []
    assert time.monotonic() - began < 30


def test_workers_end_by_themselves_and_their_time_is_counted() -> None:
    """What a command took is what its processes took, as the system tells whoever started it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with Crew("time") as crew:
        crew.gather(2, cores=1, may_fork=True)
        tasks: list[Task] = [("process_time",)] * 2
        took = sum(float(str(seconds)) for _, seconds in crew.share(tasks, ask, most=2, cores=1))
        crew.release()
    assert took > 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before >= 0.9 * took


# Modules for processes to import, of which each function is what a user's code might do there.
LINGERING = """
import sys, threading, time
from os import getpid

def leave():
    threading.Thread(target=time.sleep, args=(60,)).start()
    sys.exit()
"""
SHORT = """
import multiprocessing.popen_fork, os

start, count = multiprocessing.popen_fork.Popen._launch, []

def refuse(*arguments):
    count.append(1)
    if len(count) > 1:
        raise BlockingIOError
    start(*arguments)

multiprocessing.popen_fork.Popen._launch = refuse
from os import getpid
"""
DRAWING = "from numpy.random import rand"


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A module that a test describes, where processes find it."""
    (tmp_path / "for_a_worker.py").write_text(request.param)
    monkeypatch.syspath_prepend(tmp_path)
    return "for_a_worker"


@pytest.mark.parametrize("module", [LINGERING], indirect=True)
@pytest.mark.parametrize("may_fork", [True, False])
def test_a_worker_that_has_left_and_does_not_end_is_killed(
    module: str, monkeypatch: pytest.MonkeyPatch, *, may_fork: bool
) -> None:
    """Else this process would wait for it at its own end: another took its place, or it was released."""
    monkeypatch.setattr("initlab.sweep.crew.END_SECONDS", 0.1)
    tasks: list[Task] = [("getpid",), *[("leave",)] * 3]
    with Crew(module) as crew:
        crew.gather(2, cores=1, may_fork=may_fork)
        found = list(crew.share(tasks, ask, most=2, cores=1))
        here = descendants(psutil.Process(), "LokyProcess")
    assert sorted(type(answer).__name__ for _, answer in found) == [*["EndedError"] * 3, "int"]
    assert here
    assert psutil.wait_procs(here, timeout=10)[1] == []


@FORKS
@pytest.mark.parametrize("module", [SHORT], indirect=True)
def test_forks_that_cannot_be_had_are_taken_for_ended(module: str) -> None:
    first, *others = workers = start_workers(module, 3, cores=1, may_fork=True)
    assert first.call("getpid")
    for other in others:
        with pytest.raises(EndedError):
            other.call("getpid")
    workers[0].kill()


@FORKS
@pytest.mark.parametrize("module", [DRAWING], indirect=True)
def test_forks_do_not_draw_the_same(module: str) -> None:
    workers = start_workers(module, 3, cores=1, may_fork=True)
    assert len({worker.call("rand") for worker in workers}) == 3
    workers[0].kill()


def test_no_more_work_than_are_to() -> None:
    """Though more have started, as for another look at a study."""
    with Crew("os") as crew:
        crew.gather(3, cores=1, may_fork=True)
        tasks: list[Task] = [("getpid",)] * 12
        assert len({answer for _, answer in crew.share(tasks, ask, most=1, cores=1)}) == 1


def test_one_that_ended_while_it_had_nothing_to_do_is_replaced() -> None:
    with Crew("os") as crew:
        crew.gather(2, cores=1, may_fork=True)
        tasks: list[Task] = [("getpid",)] * 2
        former = {int(str(answer)) for _, answer in crew.share(tasks, ask, most=2, cores=1)}
        for process in former:
            os.kill(process, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(one) for one in former if psutil.pid_exists(one)], timeout=10)
        crew.gather(2, cores=1, may_fork=True)
        assert former.isdisjoint(int(str(answer)) for _, answer in crew.share(tasks, ask, most=2, cores=1))


def test_a_crew_of_which_nothing_was_asked_ends() -> None:
    with Crew("os") as crew:
        crew.gather(2, cores=1, may_fork=True)
    assert not descendants(psutil.Process(), "LokyProcess")
