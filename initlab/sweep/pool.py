"""Cohorts in worker processes, here or, through joblib, on a cluster; the study's folder is their only channel.

A worker writes all that it makes into the study's folder, its progress included. So nothing is lost with the process,
and no backend needs anything that another does not have.
"""

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from joblib import Parallel, delayed

from initlab.base.errors import UserError, first_line
from initlab.base.files import write_text_whole
from initlab.base.machine import trains_on_cuda
from initlab.base.threads import cores_of_process
from initlab.sweep import journal
from initlab.sweep.backends import Backend
from initlab.sweep.cohorts import Cohort
from initlab.sweep.crew import Crew
from initlab.sweep.folders import outcome, write_failure
from initlab.sweep.order import Order
from initlab.sweep.process import EndedError, Home, NotThereError, Worker
from initlab.sweep.progress import Watch, watching
from initlab.sweep.run import Run

# A cohort that was at work so often when a worker died runs alone: two together may have taken too much memory, and on
# a cluster, where all stop when one dies, it shows which is to blame.
SUSPICIOUS = 2


@dataclass(frozen=True)
class _Tried:
    """What became of some cohorts that were given to workers.

    Attributes:
        watch: What the workers have told: how far each cohort is, and which have finished.
        lost: Those whose worker died, or may have.
        reason: The error that says so; None: none was lost.
    """

    watch: Watch
    lost: Collection[Cohort]
    reason: Exception | None


@dataclass
class _PoolRun:
    """How far the cohorts of a pool are: what is pending, and whose workers have died.

    Attributes:
        run: What the processes of this run share.
        advance: Told of work done, in member-epochs; a negative number takes work back.
        finish: Told of each cohort that has come to an end.
        pending: Cohorts that have not come to an end, the first to start first.
        deaths: How often a cohort was at work when a worker died.
        begun: Whether a worker has ever begun with a cohort.
    """

    run: Run
    advance: Callable[[Cohort, float], None]
    finish: Callable[[Cohort], None]
    pending: list[Cohort]
    deaths: Counter[Cohort] = field(default_factory=Counter)
    begun: bool = False

    def batch(self) -> list[Cohort]:
        """What trains next: one suspect alone, or all that is pending."""
        suspects = [cohort for cohort in self.pending if self.deaths[cohort] >= SUSPICIOUS]
        return suspects[:1] or list(self.pending)

    def settle(self, batch: Sequence[Cohort], tried: _Tried) -> None:
        """Take in what has become of the cohorts of a batch.

        Args:
            batch: The cohorts that `batch()` named, and that have been at work since.
            tried: What became of them.

        Raises:
            UserError: the worker processes ended before any cohort began.
        """
        watch = tried.watch
        if tried.reason is None:
            watch.finished.update(batch)
        self.begun |= bool(watch.done)
        moved = self.begun and (tried.lost or watch.finished)
        if tried.reason is not None and not moved:  # to try again would be of no use
            raise UserError(f"the worker processes end before they begin: {first_line(tried.reason)}")
        for cohort in set(batch) - watch.finished:
            if _written(cohort, self.run):
                watch.finished.add(cohort)
                self.finish(cohort)
                continue
            self.advance(cohort, -watch.done.get(cohort, 0.0))
            if cohort in tried.lost:
                self.deaths[cohort] += 1
        self.pending = [cohort for cohort in self.pending if cohort not in watch.finished]
        if len(batch) == 1 and batch[0] in self.pending and self.deaths[batch[0]] > SUSPICIOUS:
            self._give_up(batch[0], tried.reason)

    def _give_up(self, cohort: Cohort, reason: Exception | None) -> None:
        """Halve a cohort whose worker died though nothing else was at work; a single member has failed."""
        journal.forget(journal.folder_of(cohort))
        self.pending.remove(cohort)
        if cohort.members > 1:
            halves = list(cohort.halves())
            self.deaths.update(dict.fromkeys(halves, SUSPICIOUS))
            self.pending = halves + self.pending
            return
        what = "cannot be trained in a process of its own" if isinstance(reason, NotThereError) else "its process died"
        write_failure(cohort.shares[0].job, f"{what}, again and again\n{reason}", self.run.identity, self.run.command)


def run_in_pool(
    cohorts: Sequence[Cohort],
    run: Run,
    *,
    backend: Backend,
    crew: Crew,
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
        crew: The processes of this machine, where they run on it.
        workers: How many processes train at a time, a cohort each.
        advance: Told of work done, in member-epochs; a negative number takes work back.
        finish: Told of each cohort that has come to an end.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
        UserError: the journal cannot be written, the processes end before they begin, or one runs on a machine that
            does not have the folder of the sweep.
    """
    first = cohorts[0].shares[0].job
    attempt = first.study_folder / journal.FOLDER / journal.attempt_of(run.identity)
    state = _PoolRun(run, advance, finish, list(cohorts))
    cores = run.cores or cores_of_process(workers)
    train: _Train = partial(_by_joblib, backend=backend, workers=workers)
    if backend.name == "loky":
        may_fork = not trains_on_cuda(first.config.trainer.accelerator)
        train = partial(_by_crew, crew=crew, workers=workers, cores=cores, may_fork=may_fork)
    try:
        while state.pending:
            batch = state.batch()
            state.settle(batch, _try(batch, state, attempt, train))
    finally:
        attempt.unlink(missing_ok=True)  # whoever is still at work, on another machine say, then stops


def _written(cohort: Cohort, run: Run) -> bool:
    """Whether all jobs of a cohort are finished, though its worker may have died before it said so."""
    return all(outcome(share.job, run.identity) == "finished" for share in cohort.shares)


def _try(batch: Sequence[Cohort], state: _PoolRun, attempt: Path, train: "_Train") -> _Tried:
    """Train cohorts, and say what became of them."""
    number = uuid.uuid4().hex
    try:
        write_text_whole(attempt, number)
        for cohort in batch:
            journal.open_folder(cohort)
            journal.progress_of(cohort).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{attempt.parent}: cannot be written ({error.strerror})") from error
    with watching(batch, state.advance, state.finish) as watch:
        reason, lost = train(batch, Order(state.run, number, Home.here()))
    if lost is not None:
        watch.finished.update(set(batch).difference(lost))
    return _Tried(watch, watch.done if lost is None else lost, reason)


# Trains cohorts. Gives the error by which some were lost, if any, and these; None: whichever were at work.
_Train = Callable[[Sequence[Cohort], Order], tuple[Exception | None, Collection[Cohort] | None]]


def _by_crew(
    batch: Sequence[Cohort], order: Order, *, crew: Crew, workers: int, cores: int, may_fork: bool
) -> tuple[Exception | None, Collection[Cohort]]:
    """Train cohorts in processes of this machine. One that dies takes its cohort with it, and no other."""
    try:
        crew.gather(min(workers, len(batch)), cores=cores, may_fork=may_fork)
    except OSError as error:
        raise UserError(f"n_jobs={workers}: no more processes can be had ({first_line(error)})") from error
    reason: Exception | None = None
    lost = set(batch)

    def train(worker: Worker, cohort: Cohort) -> UserError | None:
        return worker.call("train_in_crew", cohort, order)  # type: ignore[no-any-return]

    with contextlib.closing(crew.share(batch, train, most=workers, cores=cores)) as trained:
        for cohort, problem in trained:
            if isinstance(problem, UserError):
                raise problem
            if problem is None:
                lost.remove(cohort)
            else:
                reason = problem
    return reason or (EndedError("no process is left, and no more can be had") if lost else None), lost


def _by_joblib(
    batch: Sequence[Cohort], order: Order, *, backend: Backend, workers: int
) -> tuple[Exception | None, None]:
    """Train cohorts on a cluster. When one of its workers dies, all stop."""
    from initlab.sweep.in_worker import train_in_worker  # Lightning, which this process need not have

    try:
        with backend.used_by_joblib(workers):
            Parallel(batch_size=1, pre_dispatch=workers)(delayed(train_in_worker)(cohort, order) for cohort in batch)
    except UserError:
        raise
    except Exception as error:  # a worker died: whatever its backend makes of that
        return error, None
    return None, None
