"""Cohorts in worker processes, here or on a cluster, through joblib; the sweep's folder is their only channel.

A worker writes whatever it makes into the sweep's folder, its progress included, so that nothing is lost with the
process, and one backend needs nothing that another has not.
"""

import contextlib
import os
import platform
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from joblib import Parallel, delayed

from initlab.console import plain_warnings, quiet_libraries
from initlab.errors import UserError, first_line
from initlab.machine import trains_on_cuda
from initlab.plugins import load_plugins
from initlab.results.store import write_whole
from initlab.sweep import journal
from initlab.sweep.backends import open_backend
from initlab.sweep.cohorts import Cohort
from initlab.sweep.folders import outcome, write_failure
from initlab.sweep.lock import locked
from initlab.sweep.progress import Reporter, Watch, watching
from initlab.sweep.worker import Run, run_cohort

ATTEMPT = "attempt"  # a file in the journal's folder: which attempt at the sweep is on
# When one worker dies, all stop. A cohort that was at work so often runs alone, to find the one that is to blame.
SUSPICIOUS = 2


def run_in_pool(
    cohorts: Sequence[Cohort], run: Run, *, workers: int, advance: Callable[[float], None],
    finished: Callable[[Cohort], None],
) -> None:  # fmt: skip
    """Train cohorts in worker processes.

    Where a worker dies, what is not finished is tried again. A cohort whose worker dies though nothing else was at
    work is halved, as memory may be the reason, and a single member is given up.

    Args:
        cohorts: Of one sweep.
        run: Of the sweep.
        workers: How many processes.
        advance: Told of work done, in member-epochs.
        finished: Told of each cohort that has come to an end.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
        UserError: the backend is not to be had.
    """
    first = cohorts[0].shares[0].job
    attempt = first.study / journal.FOLDER / ATTEMPT
    deaths: Counter[Cohort] = Counter()
    pending = list(cohorts)
    try:
        with open_backend(first.config, workers):
            while pending:
                batch = [cohort for cohort in pending if deaths[cohort] >= SUSPICIOUS][:1] or pending
                watch, reason = _try(batch, run, attempt, workers, advance, finished)
                if reason is None:
                    watch.finished.update(batch)
                elif not watch.done:
                    raise UserError(f"the worker processes end before they begin: {first_line(reason)}")
                for cohort in set(batch) - watch.finished:
                    if _written(cohort, run):
                        watch.finished.add(cohort)
                        finished(cohort)
                    elif cohort in watch.done:
                        deaths[cohort] += 1
                        advance(-watch.done[cohort])
                guilty = [cohort for cohort in batch if len(batch) == 1 and deaths[cohort] > SUSPICIOUS]
                halves = [half for cohort in guilty for half in _halved(cohort, run, reason)]
                deaths.update(dict.fromkeys(halves, SUSPICIOUS))
                done = watch.finished.union(guilty)
                pending = halves + [cohort for cohort in pending if cohort not in done]
    finally:
        attempt.unlink(missing_ok=True)  # whoever is still at work, on another machine say, then stops


def _written(cohort: Cohort, run: Run) -> bool:
    """Whether all jobs of a cohort are finished, though its worker may have died before it said so."""
    return all(outcome(share.job, run.identity) == "finished" for share in cohort.shares)


def _try(
    cohorts: Sequence[Cohort], run: Run, attempt: Path, workers: int, advance: Callable[[float], None],
    finished: Callable[[Cohort], None],
) -> tuple[Watch, Exception | None]:  # fmt: skip
    """Train cohorts; what was seen of them, and why it ended early, if it did."""
    number = uuid.uuid4().hex
    here = (platform.node(), os.getpid())
    try:
        write_whole(attempt, lambda path: path.write_text(number))
        for cohort in cohorts:
            journal.open_folder(cohort)
            journal.progress_of(cohort).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{attempt.parent}: cannot be written ({error.strerror})") from error
    with watching(cohorts, advance, finished) as watch:
        try:
            Parallel(batch_size=1, pre_dispatch=workers)(
                delayed(_in_worker)(cohort, run, number, here, Path.cwd(), list(sys.path)) for cohort in cohorts
            )
        except UserError:
            raise
        except Exception as error:  # a worker died: whatever its backend makes of that
            return watch, error
    return watch, None


def _halved(cohort: Cohort, run: Run, reason: Exception | None) -> list[Cohort]:
    """The halves of a cohort whose worker died; nothing is left of a single member, which has failed."""
    journal.forget(journal.folder_of(cohort))
    if cohort.members > 1:
        return list(cohort.halves())
    write_failure(cohort.shares[0].job, f"its process died, again and again\n{reason}", run.identity)
    return []


def _in_worker(cohort: Cohort, run: Run, attempt: str, main: tuple[str, int], folder: Path, path: list[str]) -> None:
    """Train one cohort; what a worker process is asked to do.

    Raises:
        UserError: the node has not the folder that the sweep was started from.
    """
    if main != (platform.node(), os.getpid()):  # joblib runs the work of a single worker in the main process
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears it, and ends this one
        _end_with_parent()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"{folder}: not on {platform.node()}; all nodes must share the folder of a sweep") from error
    sys.path += [entry for entry in path if entry not in sys.path]
    config = cohort.shares[0].job.config
    load_plugins(config.plugins)
    quiet_libraries()
    torch.set_num_threads(1)
    kept = journal.folder_of(cohort).parent
    report = Reporter(journal.progress_of(cohort), kept / ATTEMPT, attempt)
    gpus = torch.cuda.device_count() if trains_on_cuda(config.trainer["accelerator"]) else 0
    with plain_warnings(), own_gpu(kept, gpus) as device:
        run_cohort(cohort, replace(run, device=device), report.advance)
    report.write(finished=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, though it be idle."""
    name, parent = "initlab: parent", os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=watch, name=name, daemon=True).start()


@contextlib.contextmanager
def own_gpu(folder: Path, count: int) -> Iterator[int | None]:
    """Hold a GPU that no other worker of this machine holds: its index; None where there are not several.

    Args:
        folder: Where workers leave their locks.
        count: How many GPUs this machine has.
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
