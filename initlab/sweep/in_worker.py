"""What a worker process is asked to do: train a cohort, where the main process stands, and say how far it is."""

import contextlib
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from initlab.base.console import plain_warnings
from initlab.base.errors import OwnCodeError, UserError
from initlab.base.lock import locked
from initlab.base.machine import trains_on_cuda
from initlab.jobs.job import Job
from initlab.sweep import journal
from initlab.sweep.cohorts import Cohort
from initlab.sweep.order import Order
from initlab.sweep.process import Home, enter_worker
from initlab.sweep.progress import AbandonedError, ProgressFile
from initlab.sweep.worker import run_cohort


def call(
    function: Callable[[Sequence[Job]], object], jobs: Sequence[Job], home: Home
) -> tuple[object, UserError | None]:
    """What a function of a module returns, about jobs of the process that asks; and what the user is to be told.

    Args:
        function: Of a module of initlab's.
        jobs: What it is called with.
        home: The process that asks.
    """
    enter_worker(home, jobs[0].config.plugins)
    try:
        return function(jobs), None
    except UserError as error:
        if isinstance(error, OwnCodeError):  # it holds what the user's code raised, which may not bear sending
            raise
        return None, error


def train_in_crew(cohort: Cohort, order: Order) -> UserError | None:
    """Train one cohort; what a process of this machine is asked to do. Returns what is to end the command.

    Raises:
        RuntimeError: it was abandoned.
    """
    try:
        train_in_worker(cohort, order)
    except UserError as error:
        return error
    except AbandonedError as error:  # no Exception, which alone is told to the main process
        raise RuntimeError("abandoned") from error
    return None


def train_in_worker(cohort: Cohort, order: Order) -> None:
    """Train one cohort; what any worker is asked to do.

    Raises:
        UserError: this machine does not have the folder that the sweep was started from.
        AbandonedError: the sweep has ended meanwhile.
    """
    config = cohort.shares[0].job.config
    enter_worker(order.home, config.plugins)
    kept = journal.folder_of(cohort).parent
    progress = ProgressFile(journal.progress_of(cohort), kept / journal.attempt_of(order.run.identity), order.attempt)
    gpus = torch.cuda.device_count() if trains_on_cuda(config.trainer.accelerator) else 0
    with plain_warnings(), own_gpu(kept, gpus) as device:
        run_cohort(cohort, replace(order.run, device=device), progress.advance)
    progress.write(finished=True)


@contextlib.contextmanager
def own_gpu(folder: Path, count: int) -> Iterator[int | None]:
    """Hold a GPU that no other worker of this machine holds, within a `with` block.

    Args:
        folder: Where the workers of the sweep leave their locks.
        count: How many GPUs this machine has.

    Yields:
        Index of the GPU; None where there are fewer than two, or all are held.
    """
    with contextlib.ExitStack() as held:
        for index in range(count) if count > 1 else ():
            try:
                held.enter_context(locked(folder / f"gpu-{index}-{platform.node()}.lock"))
            except UserError:  # another worker's
                continue
            yield index
            return
        yield None
