"""Forks of this process, which have what it has: one that uses threads cannot always have any, nor one with a GPU."""

import contextlib
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from initlab.base.threads import usable_cores

Result = TypeVar("Result")
THREADS: Final = Path("/proc/self/task")
ALLOCATORS: Final = frozenset({"jemalloc_bg_thd"})  # names of threads that memory allocators have, as pyarrow's


def may_fork() -> bool:
    """Whether a fork of this process can do what uses no threads: on Linux, where no other thread of Python is at work.

    Those of libraries only wait for what is to be done, and hold nothing that the fork would wait for.
    """
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return False
    return threading.active_count() == 1


def may_fork_to_train() -> bool:
    """Whether a fork of this process, which has had none, can do what uses the threads of OpenMP, as torch does.

    The fork has none of this process' threads, and would wait for those of OpenMP forever, which start with torch's
    first large operation. Those of OpenBLAS, which NumPy starts when it is imported, and those of memory allocators
    take care of forks themselves. So there may be no others, and nothing may have been trained here.
    """
    from threadpoolctl import threadpool_info  # which --help need not wait for

    if not may_fork() or "lightning.pytorch" in sys.modules:
        return False
    try:
        names = [(one / "comm").read_text().strip() for one in THREADS.iterdir()]
    except OSError:
        return False
    of_products: int = sum(one["num_threads"] - 1 for one in threadpool_info() if one["internal_api"] == "openblas")
    return sum(name not in ALLOCATORS for name in names) <= 1 + of_products


def fork_of_this(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """A fork of this process that calls a function; `start` starts it.

    Args:
        function: What it calls; it ends with it.
        arguments: What the function gets, as it is.
    """
    context: Any = multiprocessing.get_context("fork")
    process: BaseProcess = context.Process(target=_with_filters, args=(list(warnings.filters), function, *arguments))
    return process


def start(process: BaseProcess) -> None:
    """Start a process, of whose threads newer versions of Python would warn where it is a fork.

    Raises:
        OSError: no more processes can be had.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever forks has asked whether that may be
        process.start()


def _with_filters(filters: Sequence[Any], function: Callable[..., None], *arguments: object) -> None:
    """In a fork, put back what `start` has changed."""
    warnings.filters[:] = filters  # type: ignore[index]  # typed as one that is only read
    function(*arguments)


class Aside(Generic[Result]):
    """What a function returns, which a fork of this process may call while this one goes on; see `aside`.

    Args:
        task: The function.
        pipe: What the fork answers through; None: there is no fork.
    """

    def __init__(self, task: Callable[[], Result], pipe: Connection | None) -> None:
        self._task, self._pipe = task, pipe

    def is_at_work(self) -> bool:
        """Whether the fork has not answered yet, and has not ended either."""
        return self._pipe is not None and not self._pipe.poll()

    def result(self) -> Result:
        """What the function returns, once it has; it is called here if there is no fork, or if that failed.

        Raises:
            Exception: what the function raises here.
        """
        if self._pipe is not None:
            with contextlib.suppress(EOFError, OSError):
                found: Result = self._pipe.recv()
                return found
        return self._task()


@contextlib.contextmanager
def aside(task: Callable[[], Result]) -> Iterator[Aside[Result]]:
    """Let a fork of this process call a function, where there can be one, while what is in the `with` block is done.

    Example:
        >>> with aside(lambda: sum(range(10))) as there:
        ...     here = max(range(10))
        ...     print(here, there.result())
        9 45

    Args:
        task: It takes some tenths of a second or more, returns what can be pickled, leaves nothing but files, and uses
            no torch.
    """
    if usable_cores() < 2 or not may_fork():
        yield Aside(task, None)
        return
    here, there = multiprocessing.Pipe(duplex=False)
    with here:
        fork = fork_of_this(_answer, task, here, there)
        started = True
        try:
            start(fork)
        except OSError:  # no more processes can be had
            started = False
        there.close()
        try:
            yield Aside(task, here if started else None)
        finally:
            if started:
                fork.kill()  # what nobody has asked for is not waited for
                fork.join()


def in_two(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """What functions return: every other one is called in a fork of this process, where there can be one.

    What the fork does not get done, this process does, and raises what there is to raise.

    Args:
        tasks: Of about equal size, as `aside` takes them, some tenths of a second or more together.
    """
    if len(tasks) < 2:
        return [task() for task in tasks]
    with aside(lambda: [task() for task in tasks[1::2]]) as there:
        here = [task() for task in tasks[::2]]
        theirs = there.result()
    return [(here, theirs)[place % 2][place // 2] for place in range(len(tasks))]


def _answer(task: Callable[[], object], here: Connection, there: Connection) -> None:
    here.close()
    try:
        there.send(task())
    except BaseException:  # the other process does it again, and says why
        os._exit(1)
