"""Forks of this process: when it can have one, and what it does in one."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from initlab.base import forking
from initlab.base.forking import in_two, may_fork, may_fork_to_train

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")

PRODUCTS = "import torch; torch.set_num_threads(2); torch.ones(800, 800) @ torch.ones(800, 800); "
PRODUCTS += "torch.ones(4_000_000).exp(); "
THREAD = "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); "
ASK = "from initlab.base.forking import may_fork, may_fork_to_train; print(may_fork(), may_fork_to_train())"


@LINUX
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("import numpy, torch, pandas, scipy.stats, sklearn.model_selection; ", "True True"),
        ("import numpy; numpy.ones((500, 500)) @ numpy.ones((500, 500)); ", "True True"),
        (PRODUCTS, "True False"),
        ("import lightning.pytorch; ", "True False"),
        (THREAD, "False False"),
    ],
    ids=["imports", "products of NumPy", "products of torch", "what trains", "a thread"],
)
def test_a_process_bears_a_fork_until_it_uses_threads(before: str, expected: str) -> None:
    settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    asked = subprocess.run(
        [sys.executable, "-c", before + ASK], env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == expected


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
