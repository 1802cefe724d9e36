"""How many threads work on what. All code that sets a number of threads asks here.

Threads inside one operation wait for each other at its end, and for a small operation this costs more than it gains.
So small dense networks train on one thread. On a CPU the members of a convolutional cohort are shared among threads
instead, one member at a time for each. Worker processes divide the cores of their machine among themselves.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

LARGE_COHORT: Final = 1000  # stacked operations of more members are worth several threads
LARGE_PRODUCT: Final = 1e7  # multiplications of one layer and batch that are worth several threads


@dataclass(frozen=True)
class LoopThreads:
    """How many threads a loop engine uses, and for what.

    Attributes:
        workers: Threads that share the members; each trains one member at a time.
        intra_op: Threads inside an operation of the main thread, such as a step of the optimizer.
    """

    workers: int
    intra_op: int


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_process(processes: int, *, backend: str = "loky") -> int:
    """Cores for each of the worker processes of a sweep, at least one.

    Args:
        processes: How many worker processes run at the same time.
        backend: `"loky"`: they divide the cores of this machine. Any other is a cluster, where each worker has the one
            core that it asked for.
    """
    return max(1, usable_cores() // processes) if backend == "loky" else 1


def threads_of_cohort(
    configured: int | Literal["auto"],
    *,
    alone: bool,
    members: int,
    one_queue: bool = False,
    cores: int | None = None,
) -> int:
    """Threads that train a cohort, or build its networks.

    Args:
        configured: The key `threads`: a number is taken as it is, `"auto"` leaves the choice to what follows.
        alone: Whether its networks work one after another, as `engines.work_alone` has it, such as those that convolve:
            then all cores are used.
        members: How many members go through one operation together; 1 while networks are built.
        one_queue: Whether members that work alone cannot share the threads, as for `threads_of_loop`. Inside the
            operations of one of them threads gain little, and where other programs are at work, too, they wait for
            each other so long that training takes twenty times as long.
        cores: How many cores this process may use; None: all that the system allows.
    """
    if configured != "auto":
        return configured
    several = not one_queue if alone else members > LARGE_COHORT
    return (cores or usable_cores()) if several else 1


def threads_of_loop(threads: int, *, members: int, one_queue: bool) -> LoopThreads:
    """Share the threads of a cohort among the workers of its loop engine.

    Args:
        threads: How many the whole cohort has, as `threads_of_cohort` says.
        members: How many networks the workers share; there are never more workers than that.
        one_queue: Whether members must go one after another: a GPU takes its work in one queue, and dropout takes its
            numbers from one stream, in one order.
    """
    workers = 1 if one_queue else min(threads, members)
    return LoopThreads(workers, max(1, threads // workers))


def threads_of_probe(
    configured: int | Literal["auto"], *, products: int, convolutional: bool, cores: int | None = None
) -> int:
    """Threads that measure untrained networks: as configured, or one for small dense ones and all cores for others.

    Args:
        configured: The key `threads`: a number is taken as it is, `"auto"` leaves the choice to what follows.
        products: Multiplications in the largest layer, for the whole batch.
        convolutional: Whether the networks convolve.
        cores: How many cores this process may use; None: all that the system allows.
    """
    if configured != "auto":
        return configured
    return (cores or usable_cores()) if convolutional or products > LARGE_PRODUCT else 1


@contextlib.contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Let each torch operation use this many threads while this context lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_worker() -> None:
    """Limit operations of this worker process, or thread, to one thread each; `intra_op_threads` can allow more."""
    import torch

    torch.set_num_threads(1)
