"""How many threads work on what. Whatever sets a number of threads asks here.

Threads inside one operation wait for each other at its end, which small operations do not repay. So small dense
networks train on one thread; convolutions on a CPU share the members of a cohort among threads instead, a member
each; and worker processes divide the cores of their machine.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

LARGE_COHORT: Final = 1000  # members of a dense cohort whose stacked operations are worth several threads
LARGE_PRODUCT: Final = 1e7  # multiplications of one layer and batch that are worth several threads


@dataclass(frozen=True)
class LoopThreads:
    """The threads of a loop engine.

    Attributes:
        workers: Threads that share the members, each one at a time.
        intra_op: Threads inside an operation of the main thread, such as the optimizer's.
    """

    workers: int
    intra_op: int


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_process(processes: int, *, backend: str = "loky") -> int:
    """Cores for each of the processes of a sweep.

    Args:
        processes: How many work at a time.
        backend: `loky`: on this machine; on a cluster each worker has the one core that it asked for.
    """
    return max(1, usable_cores() // processes) if backend == "loky" else 1


def threads_of_cohort(
    configured: int | Literal["auto"], *, convolutional: bool, members: int, cores: int | None = None
) -> int:
    """Threads that train a cohort, or build its networks.

    Args:
        configured: The key `threads`; a number counts.
        convolutional: Whether its networks convolve.
        members: That go through an operation together; 1 while networks are built.
        cores: Cores of this process; None: all that it may use.
    """
    if configured != "auto":
        return configured
    return (cores or usable_cores()) if convolutional or members >= LARGE_COHORT else 1


def threads_of_loop(threads: int, *, members: int, one_queue: bool) -> LoopThreads:
    """Share the threads of a cohort among the workers of its loop engine.

    Args:
        threads: Of the cohort.
        members: That the workers share.
        one_queue: The members must go one after another: a GPU takes its work in one queue, and dropout its numbers
            from one stream, in one order.
    """
    workers = 1 if one_queue else min(threads, members)
    return LoopThreads(workers, max(1, threads // workers))


def threads_of_probe(products: int, *, convolutional: bool) -> int:
    """Threads that measure untrained networks.

    Args:
        products: Multiplications of the largest layer and the batch.
        convolutional: Whether the networks convolve.
    """
    return usable_cores() if convolutional or products > LARGE_PRODUCT else 1


@contextlib.contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Let one operation use this many threads, for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def start_worker() -> None:
    """Let the operations of this worker process, or thread, use one thread unless they ask for more."""
    import torch

    torch.set_num_threads(1)
