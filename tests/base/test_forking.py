"""Forks of this process: when it can have one, and what it does in one."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from initlab.base import forking
from initlab.base.forking import aside, in_two, may_fork, may_fork_to_train

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")

ASKED = """
import sys, threading, time
import numpy, torch, pandas, scipy.stats, sklearn.model_selection
from initlab.base.forking import may_fork, may_fork_to_train

def tell(after):
    print(after, may_fork(), may_fork_to_train())

tell("imports")
numpy.ones((500, 500)) @ numpy.ones((500, 500))
tell("products of NumPy")
sys.modules["lightning.pytorch"] = threading  # in its place, which takes seconds to import
tell("what trains")
del sys.modules["lightning.pytorch"]
torch.set_num_threads(2)
torch.ones(800, 800) @ torch.ones(800, 800)
torch.ones(4_000_000).exp()
tell("products of torch")
threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
tell("a thread")
"""
TOLD = """
imports True True
products of NumPy True True
what trains True False
products of torch True False
a thread False False
"""


@LINUX
def test_a_process_bears_a_fork_until_it_uses_threads() -> None:
    settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    asked = subprocess.run(
        [sys.executable, "-c", ASKED], env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    assert asked.stdout == TOLD.lstrip()


def test_none_does_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not may_fork()
    assert not may_fork_to_train()


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process forks, though its tests may have other threads, which wait."""
    monkeypatch.setattr(forking, "may_fork", lambda: sys.platform == "linux")
    monkeypatch.setattr(forking, "usable_cores", lambda: 2)


@LINUX
@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("count", [2, 3, 6])
def test_every_other_task_is_done_in_a_fork(count: int) -> None:
    found = in_two([lambda place=place: (place, os.getpid()) for place in range(count)])  # type: ignore[misc]
    assert [place for place, _ in found] == list(range(count))
    assert {process for _, process in found[::2]} == {os.getpid()}
    assert len({process for _, process in found}) == 2


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("count", [0, 1])
def test_one_task_is_done_here(count: int) -> None:
    assert in_two([os.getpid] * count) == [os.getpid()] * count


@pytest.mark.parametrize(("bears", "cores"), [(False, 2), (True, 1)])
def test_all_is_done_here_where_there_is_no_fork(monkeypatch: pytest.MonkeyPatch, *, bears: bool, cores: int) -> None:
    monkeypatch.setattr(forking, "may_fork", lambda: bears)
    monkeypatch.setattr(forking, "usable_cores", lambda: cores)
    assert in_two([os.getpid] * 3) == [os.getpid()] * 3


@pytest.mark.usefixtures("forks")
def test_what_the_fork_does_not_get_done_is_done_here() -> None:
    """As where the system ends it, or its answer cannot be sent."""
    here = os.getpid()

    def die() -> int:
        if os.getpid() != here:
            os._exit(9)
        return os.getpid()

    def refuse() -> Callable[[], None]:
        return lambda: None

    assert in_two([os.getpid, die, os.getpid, os.getpid]) == [here] * 4
    assert all(map(callable, in_two([refuse, refuse])))


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("place", [0, 1])
def test_an_error_is_raised_here(place: int) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    tasks: list[Callable[[], None]] = [lambda: None, lambda: None, lambda: None]
    tasks[place] = fail
    with pytest.raises(OSError, match="No space"):
        in_two(tasks)
    assert not multiprocessing.active_children()


@LINUX
@pytest.mark.usefixtures("forks")
def test_no_more_processes_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(forking, "start", refuse)
    assert in_two([os.getpid] * 3) == [os.getpid()] * 3
    with aside(os.getpid) as there:
        assert there.result() == os.getpid()


@LINUX
@pytest.mark.usefixtures("forks")
def test_a_fork_calls_while_this_process_goes_on(tmp_path: Path) -> None:
    here, goes_on = os.getpid(), tmp_path / "goes on"

    def wait() -> int:
        while not goes_on.exists():
            time.sleep(0.01)
        return os.getpid()

    with aside(wait) as there:
        assert there.is_at_work()
        goes_on.touch()
        assert there.result() != here
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("why", ["it raises", "it dies"])
def test_what_fails_in_the_fork_is_called_here(why: str) -> None:
    here = os.getpid()

    def fail() -> None:
        if why == "it dies" and os.getpid() != here:
            os._exit(9)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), aside(fail) as there:
        there.result()


@pytest.mark.usefixtures("forks")
def test_what_nobody_asks_for_is_not_waited_for() -> None:
    began = time.monotonic()
    with aside(partial(time.sleep, 60)):
        pass
    with pytest.raises(KeyError), aside(partial(time.sleep, 60)):
        raise KeyError
    assert time.monotonic() - began < 30
    assert not multiprocessing.active_children()


def test_where_there_is_no_fork_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "may_fork", lambda: False)
    with aside(os.getpid) as there:
        assert not there.is_at_work()
        assert there.result() == os.getpid()
