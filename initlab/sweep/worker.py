"""Training one cohort, in whatever process, and writing what came out of it."""

import contextlib
import gc
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from initlab.base.errors import JobsFailedError, was_interrupted
from initlab.base.threads import intra_op_threads, threads_of_cohort
from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.module import CohortModule
from initlab.cohort.networks import build_networks, convolves
from initlab.cohort.run import train_cohort
from initlab.data.module import InMemoryData
from initlab.jobs.share import Share, rows_of
from initlab.modules.stack import Network, Stack
from initlab.sweep import journal
from initlab.sweep.cohorts import Cohort
from initlab.sweep.folders import is_new, outcome, write_failure
from initlab.sweep.run import Run
from initlab.sweep.weights import keep_weights
from initlab.sweep.writing import can_be_bundled, write_bundle, write_job
from initlab.tables.job_tables import JobTables
from initlab.tracking.callback import JobTracking

# Each live log is a file and a thread; those of more jobs are written when they are done.
LIVE_LOGS = 64
BUNDLED = 100  # jobs of a cohort, from which on their tables stand together, as `tables.bundles` says
TELL_SECONDS = 0.2  # from one word of progress to the next, at least


def run_cohort(cohort: Cohort, run: Run, advance: Callable[[float], None]) -> None:
    """Train a cohort and write its jobs. A job that fails gets an error.txt in its folder; the others go on.

    A cohort that does not fit into memory is halved; one that cannot go on from its checkpoint starts anew.

    Args:
        cohort: The members to train. Of a job that is not here with all the seeds that it lacks, the results go to the
            journal.
        run: What the processes of this run share.
        advance: Told of each piece of work done, in member-epochs; a negative number takes work back.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
        KeyboardInterrupt: the user stopped it.
    """
    first = cohort.shares[0].job
    convolutional = False
    with contextlib.suppress(Exception):  # what fails here fails below, too, and is written down
        convolutional = convolves(first)
    threads = threads_of_cohort(first.config.threads, alone=convolutional, members=1, cores=run.cores)
    starts: dict[str, dict[int, Network]] = {}  # networks of jobs that differ in the optimizer alone are built once
    networks = {
        share: built
        for share in cohort.shares
        if (built := _networks(share, threads, run, starts.setdefault(share.job.start, {}))) is not None
    }
    starts.clear()  # a stack is made of copies, and what it was made of goes
    advance(cohort.member_epochs - sum(Cohort((share,)).member_epochs for share in networks))
    progress = _Progress(advance)
    again: tuple[Cohort, ...] = ()
    if networks:
        able = Cohort(tuple(networks))
        checkpoint = journal.checkpoint_of(journal.folder_of(able))
        resumed = checkpoint.exists()
        try:
            members = (network for share in able.shares for network in networks.pop(share))  # not kept beside a stack
            with intra_op_threads(1):  # what the engine does not decide is as in a worker process, wherever this runs
                _train(able, members, run, progress)
        except Exception as error:  # one failing cohort does not stop the others
            if was_interrupted(error):
                raise KeyboardInterrupt from error
            if _is_out_of_memory(error) and able.members > 1:
                again = able.halves()
            elif resumed and not progress.done:
                checkpoint.unlink(missing_ok=True)
                again = (able,)
            else:
                for share in able.shares:
                    write_failure(share.job, traceback.format_exc(), run.identity, run.command)
    if again:  # out of the handler, whose traceback would keep the tensors
        advance(-progress.done)
        networks.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        for part in again:
            run_cohort(part, run, advance)
    networks.clear()
    gc.collect()  # Lightning's trainer and its module refer to each other, and to all tensors
    if not first.config.fail_fast:
        return
    failed = [share.job for share in cohort.shares if outcome(share.job, run.identity) == "failed"]
    if failed:
        raise JobsFailedError(f"{failed[0].name} failed, and fail_fast is set; see {failed[0].folder / 'error.txt'}")


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, be it a GPU's or main memory."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def _networks(share: Share, threads: int, run: Run, known: dict[int, Network]) -> list[Network] | None:
    """A share's members; None if they cannot be built, as an initializer may fail at one seed and not at another."""
    try:
        return build_networks(share, threads=threads, known=known)
    except Exception as error:  # whatever an initializer brings about: the other jobs train
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        write_failure(share.job, traceback.format_exc(), run.identity, run.command)
        return None


def _train(cohort: Cohort, networks: Iterator[Network], run: Run, progress: "_Progress") -> None:
    """Train a cohort, keep its results in the journal, and write the jobs that are complete."""
    shares = cohort.shares
    live = sum(share.complete for share in shares) <= LIVE_LOGS
    tracking = [
        JobTracking(share.job, rows if live and is_new(share.job, run.identity) else None) if share.complete else None
        for share, rows in zip(shares, rows_of(shares), strict=True)
    ]
    folder = journal.open_folder(cohort)
    seconds = shares[0].job.config.checkpoint_seconds
    checkpoint = None if seconds is None else Checkpoint(journal.checkpoint_of(folder), seconds)
    callbacks = [*filter(None, tracking), progress]
    tables = train_cohort(
        shares,
        networks,
        callbacks,
        cores=run.cores,
        device=run.device,
        alike=run.members.get(cohort.program, 0),
        checkpoint=checkpoint,
        keep=_keep,
    )
    by_share = list(zip(shares, tracking, strict=True))
    bundled = [(share, tracker) for share, tracker in by_share if tracker and can_be_bundled(share.job)]
    bundled = bundled if len(bundled) >= BUNDLED else []
    if len(shares) > max(1, len(bundled)) or not shares[0].complete:
        journal.keep_results(cohort, tables)
        journal.checkpoint_of(folder).unlink(missing_ok=True)
    written = _write_bundled(bundled, tables, run)
    names = {share.job.name for share, _ in bundled}
    others = [(share, tracker) for share, tracker in by_share if share.job.name not in names]
    parts = tables.by_job() if others else {}
    written = all([written, *(_write(share, parts[share.job.name], tracker, run) for share, tracker in others)])
    if written:
        journal.forget(folder)


def _keep(share: Share, trained: Stack) -> None:
    """Keep the weights of a share's members, where its job is to."""
    if share.job.config.save != "none":
        keep_weights(share, trained)


def _write_bundled(bundled: Sequence[tuple[Share, JobTracking]], tables: JobTables, run: Run) -> bool:
    """Write jobs as a bundle, if there are any; return whether they could be written."""
    if not bundled:
        return True
    jobs, names = [share.job for share, _ in bundled], {share.job.name for share, _ in bundled}
    own = tables if len(names) == tables.members["job"].nunique() else tables.of_jobs(names)
    try:
        write_bundle(jobs, own, [tracker for _, tracker in bundled], run.identity, run.command)
    except Exception:  # as of a full disk
        for job in jobs:
            write_failure(job, traceback.format_exc(), run.identity, run.command)
        return False
    return True


def _write(share: Share, tables: JobTables, tracking: JobTracking | None, run: Run) -> bool:
    """Write a job if it is complete; return whether it is, and could be written."""
    if tracking is None:
        return False
    try:
        write_job(share.job, tables, tracking, run.identity, run.command)
    except Exception:  # one failing job does not stop the others
        write_failure(share.job, traceback.format_exc(), run.identity, run.command)
        return False
    return True


class _Progress(Callback):
    """Tells of a cohort's steps, a few times a second, and at once of the epochs that a checkpoint spared."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance = advance
        self.done = 0.0
        self._pending, self._told = 0.0, time.monotonic()

    def _add(self, member_epochs: float) -> None:
        self._told = time.monotonic()
        self.done += member_epochs
        self._advance(member_epochs)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count what a former run has done."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InMemoryData)
        assert isinstance(pl_module, CohortModule)
        self._add(trainer.current_epoch * len(data.seeds))
        pl_module.after_step = partial(self._step, len(data.seeds) / data.steps_per_epoch)

    def _step(self, member_epochs: float) -> None:
        """Count a step; a block of them may take a minute."""
        self._pending += member_epochs
        if time.monotonic() - self._told > TELL_SECONDS:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, 0.0
        self._add(pending)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Count the epochs that are not needed, as all members have stopped early."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InMemoryData)
        if trainer.should_stop:
            self._add(max(0.0, (trainer.max_epochs or 0) * len(data.seeds) - self.done))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,  # noqa: ARG002
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: Tensor,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Tell of the rest of a block."""
        self._flush()
