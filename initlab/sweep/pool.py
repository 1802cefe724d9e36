"""Cohorts in worker processes, here or on a cluster, through joblib; the study's folder is their only channel.

A worker writes all that it makes into the study's folder, its progress included. So nothing is lost with the process,
and no backend needs anything that another does not have.
"""

import contextlib
import platform
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from joblib import Parallel, delayed

from initlab.base.console import plain_warnings
from initlab.base.errors import UserError, first_line
from initlab.base.files import write_text_whole
from initlab.base.lock import locked
from initlab.base.machine import trains_on_cuda
from initlab.base.threads import cores_of_process
from initlab.sweep import journal
from initlab.sweep.backends import Backend
from initlab.sweep.cohorts import Cohort
from initlab.sweep.folders import outcome, write_failure
from initlab.sweep.process import Home, enter_worker
from initlab.sweep.progress import ProgressFile, Watch, watching
from initlab.sweep.worker import Run, run_cohort

ATTEMPT = "attempt"  # a file in the journal's folder: which attempt at the sweep is on
# When one worker dies, all stop. A cohort that was at work so often runs alone, to find the one that is to blame.
SUSPICIOUS = 2


@dataclass
class _PoolRun:
    """How far the cohorts of a pool are: what is pending, and whose workers have died.

    Attributes:
        run: What the processes of this run share.
        advance: Told of work done, in member-epochs; a negative number takes work back.
        finish: Told of each cohort that has come to an end.
        pending: Cohorts that have not come to an end, the first to start first.
        deaths: How often a cohort was at work when a worker died.
    """

    run: Run
    advance: Callable[[Cohort, float], None]
    finish: Callable[[Cohort], None]
    pending: list[Cohort]
    deaths: Counter[Cohort] = field(default_factory=Counter)

    def batch(self) -> list[Cohort]:
        """What trains next: one suspect alone, or all that is pending."""
        suspects = [cohort for cohort in self.pending if self.deaths[cohort] >= SUSPICIOUS]
        return suspects[:1] or list(self.pending)

    def settle(self, batch: Sequence[Cohort], watch: Watch, reason: Exception | None) -> None:
        """Take in what has become of the cohorts of a batch.

        Args:
            batch: The cohorts that `batch()` named, and that have been at work since.
            watch: What their workers have told: how far each cohort is, and which have finished.
            reason: The error by which the batch ended early, as a worker died; None: it came to its end.

        Raises:
            UserError: the worker processes ended before any cohort began.
        """
        if reason is None:
            watch.finished.update(batch)
        elif not watch.done:
            raise UserError(f"the worker processes end before they begin: {first_line(reason)}")
        for cohort in set(batch) - watch.finished:
            if _written(cohort, self.run):
                watch.finished.add(cohort)
                self.finish(cohort)
            elif cohort in watch.done:
                self.deaths[cohort] += 1
                self.advance(cohort, -watch.done[cohort])
        self.pending = [cohort for cohort in self.pending if cohort not in watch.finished]
        if len(batch) == 1 and batch[0] in self.pending and self.deaths[batch[0]] > SUSPICIOUS:
            self._give_up(batch[0], reason)

    def _give_up(self, cohort: Cohort, reason: Exception | None) -> None:
        """Halve a cohort whose worker died though nothing else was at work; a single member has failed."""
        journal.forget(journal.folder_of(cohort))
        self.pending.remove(cohort)
        if cohort.members > 1:
            halves = list(cohort.halves())
            self.deaths.update(dict.fromkeys(halves, SUSPICIOUS))
            self.pending = halves + self.pending
            return
        write_failure(
            cohort.shares[0].job, f"its process died, again and again\n{reason}", self.run.identity, self.run.command
        )


def run_in_pool(
    cohorts: Sequence[Cohort],
    run: Run,
    *,
    backend: Backend,
    workers: int,
    advance: Callable[[Cohort, float], None],
    finish: Callable[[Cohort], None],
) -> None:
    """Train cohorts in worker processes.

    Where a worker dies, what is not finished is tried again. A cohort whose worker dies though nothing else was at
    work is halved, as memory may be the reason, and a single member is given up.

    Args:
        cohorts: Cohorts of one study, the first to start first.
        run: What the processes of this run share.
        backend: What the processes run on.
        workers: How many processes train at a time, a cohort each.
        advance: Told of work done, in member-epochs; a negative number takes work back.
        finish: Told of each cohort that has come to an end.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
        UserError: the journal cannot be written, the processes end before they begin, or one runs on a machine that
            does not have the folder of the sweep.
    """
    first = cohorts[0].shares[0].job
    attempt = first.study_folder / journal.FOLDER / ATTEMPT
    state = _PoolRun(run, advance, finish, list(cohorts))
    try:
        with backend.used_by_joblib(workers, cores=run.cores or cores_of_process(workers)):
            while state.pending:
                batch = state.batch()
                state.settle(batch, *_try(batch, state, attempt, workers))
    finally:
        attempt.unlink(missing_ok=True)  # whoever is still at work, on another machine say, then stops


def _written(cohort: Cohort, run: Run) -> bool:
    """Whether all jobs of a cohort are finished, though its worker may have died before it said so."""
    return all(outcome(share.job, run.identity) == "finished" for share in cohort.shares)


def _try(batch: Sequence[Cohort], state: _PoolRun, attempt: Path, workers: int) -> tuple[Watch, Exception | None]:
    """Train cohorts; return what was seen of them, and the error by which they ended early, None if they did not."""
    number = uuid.uuid4().hex
    home = Home.here()  # where joblib runs the work of a single worker, too
    try:
        write_text_whole(attempt, number)
        for cohort in batch:
            journal.open_folder(cohort)
            journal.progress_of(cohort).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{attempt.parent}: cannot be written ({error.strerror})") from error
    with watching(batch, state.advance, state.finish) as watch:
        try:
            Parallel(batch_size=1, pre_dispatch=workers)(
                delayed(_in_worker)(cohort, state.run, number, home) for cohort in batch
            )
        except UserError:
            raise
        except Exception as error:  # a worker died: whatever its backend makes of that
            return watch, error
    return watch, None


def _in_worker(cohort: Cohort, run: Run, attempt: str, home: Home) -> None:
    """Train one cohort; what a worker process is asked to do.

    Raises:
        UserError: this machine does not have the folder that the sweep was started from.
    """
    config = cohort.shares[0].job.config
    enter_worker(home, config.plugins)
    kept = journal.folder_of(cohort).parent
    progress = ProgressFile(journal.progress_of(cohort), kept / ATTEMPT, attempt)
    gpus = torch.cuda.device_count() if trains_on_cuda(config.trainer.accelerator) else 0
    with plain_warnings(), own_gpu(kept, gpus) as device:
        run_cohort(cohort, replace(run, device=device), progress.advance)
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
