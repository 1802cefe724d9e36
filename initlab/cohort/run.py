"""Training one cohort: the jobs' members stacked, trained together, and told apart again."""

import contextlib
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from initlab.cohort.engines import has_convolutions
from initlab.cohort.module import CohortModule, EpochRow, Training
from initlab.cohort.stack import stack_members
from initlab.config import import_target
from initlab.data.module import InMemoryData
from initlab.errors import InitializationWarning
from initlab.jobs import Job
from initlab.machine import usable_cores
from initlab.results.tables import JobTables, Record, job_tables


def train_cohort(
    jobs: Sequence[Job], networks: Iterable[nn.Module], callbacks: Sequence[Callback] = ()
) -> list[JobTables]:
    """Train all members of some jobs together.

    Args:
        jobs: Of one program; they may differ in init, seeds and learning rate.
        networks: Of their members, one job's after another's, as `build_networks` makes them.
        callbacks: Lightning's, for progress and tracking.

    Returns:
        The tables of each job.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """
    first = jobs[0]
    members = [(job, member) for job in jobs for member in job.members()]
    stack = stack_members(networks)
    threads = _threads(first.config.threads, has_convolutions(stack.template))
    training = Training(
        optim=first.config.optim,
        learning_rates=[member.learning_rate for _, member in members],
        gradient_clip=first.config.gradient_clip,
        engine=first.config.engine,
        threads=threads,
    )
    module = CohortModule(stack, first.dataset, training)
    seeds = [member.seed for _, member in members]
    data = InMemoryData(first.dataset, batch_size=first.config.batch_size, seeds=seeds)
    trainer = build_trainer(first, callbacks)
    started = time.perf_counter()
    with intra_op_threads(threads):
        fit(trainer, module, data)
    seconds = (time.perf_counter() - started) / len(members)
    return [
        job_tables(
            job.identity,
            list(job.seeds),
            [_record(row, rows) for row in module.history],
            metric=module.task.metric,
            threshold=first.config.threshold,
            seconds=seconds,
        )
        for job, rows in zip(jobs, rows_of(jobs), strict=True)
    ]


def build_networks(job: Job) -> list[nn.Module]:
    """Build a job's members; what their initializer warns of is said once for all of them."""
    threads = _threads(job.config.threads, convolves(job))
    with intra_op_threads(threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InitializationWarning)
        networks = [job.build_member(member) for member in job.members()]
    missed = [warning.message for warning in caught if issubclass(warning.category, InitializationWarning)]
    for warning in caught:
        if not issubclass(warning.category, InitializationWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if missed:
        others = f" (and {len(missed) - 1} more like this in its networks)" if len(missed) > 1 else ""
        warnings.warn(f"{job.name}: {missed[0]}{others}", InitializationWarning, stacklevel=2)
    return networks


def convolves(job: Job) -> bool:
    """Whether a job's networks convolve; torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return has_convolutions(job.build_model())


def rows_of(jobs: Sequence[Job]) -> list[slice]:
    """Where each job's members stand in the stack."""
    ends = list(accumulate(len(job.seeds) for job in jobs))
    return [slice(end - len(job.seeds), end) for job, end in zip(jobs, ends, strict=True)]


def build_trainer(job: Job, callbacks: Sequence[Callback]) -> pl.Trainer:
    """Build the Lightning trainer of a job's cohort; progress, logging and checkpoints are the cohort's own."""
    settings = dict(job.config.trainer)
    trainer: pl.Trainer = import_target(settings.pop("_target_", None), where="trainer")(
        **settings,
        devices=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        inference_mode=False,
    )
    return trainer


def fit(trainer: pl.Trainer, module: CohortModule, data: InMemoryData) -> None:
    """Run the trainer; dropout, alone, draws from the global generators, seeded here and left as they were.

    Raises:
        KeyboardInterrupt: the user stopped it; Lightning makes that an exit of the process.
    """
    device = trainer.strategy.root_device
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), warnings.catch_warnings():
            torch.default_generator.manual_seed(data.seeds[0])
            if device.type == "cuda":
                torch.cuda.manual_seed(data.seeds[0])
            # Ours are indices into memory: a worker process would only cost.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6's own, on torch 2.14.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            trainer.fit(module, datamodule=data)
    except SystemExit as stop:
        raise KeyboardInterrupt from stop


@contextlib.contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Let one operation use this many threads, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _threads(configured: int | str, convolutional: bool) -> int:
    """Threads of a cohort: one for small dense nets, which only wait for each other, else the cores there are."""
    if configured == "auto":
        return usable_cores() if convolutional else 1
    return int(configured)


def _record(row: EpochRow, rows: slice) -> Record:
    norm = None if row.gradient_norm is None else row.gradient_norm[rows].numpy()
    return Record(row.epoch, row.split, row.loss[rows].numpy(), row.score[rows].numpy(), norm)
