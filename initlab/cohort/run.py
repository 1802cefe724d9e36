"""Training one cohort: its shares' members stacked, trained together, and told apart again."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback

from initlab.base.console import quiet_libraries
from initlab.base.gpu import same_numbers
from initlab.base.threads import threads_of_cohort
from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.engines import has_dropout, work_alone
from initlab.cohort.module import CohortModule, Training
from initlab.cohort.recording import SignalRecording
from initlab.config.calls import import_target
from initlab.data.module import InMemoryData
from initlab.jobs.job import Job
from initlab.jobs.share import Share, rows_of
from initlab.modules.stack import Network, Stack, stack_members
from initlab.tables.job_tables import JobTables, job_tables


def train_cohort(
    shares: Sequence[Share],
    networks: Iterable[Network],
    callbacks: Sequence[Callback] = (),
    *,
    cores: int | None = None,
    device: int | None = None,
    alike: int = 0,
    checkpoint: Checkpoint | None = None,
    keep: Callable[[Share, Stack], None] | None = None,
) -> JobTables:
    """Train the members of some jobs together.

    Args:
        shares: Shares of jobs that have one `Job.program`: these may differ in init, seeds and learning rates only.
        networks: The members' networks, one share's after another's, as `build_networks` makes them.
        callbacks: Lightning callbacks, for progress and tracking.
        cores: CPU cores for this process; None: all that it may use.
        device: Index of the GPU to train on, where there are several; None: the first.
        alike: How many members of this program the command has in all its cohorts; 0: those given here.
        checkpoint: Keeps the cohort's state while it trains; if it finds a checkpoint, training goes on from there.
            None: nothing is kept.
        keep: Called with each share and its trained members; None: only what they measured is kept.

    Returns:
        The tables of all shares, the members in the order of `shares`.

    Raises:
        UserError: `engine=vmap`, and vmap cannot trace the model.
        KeyboardInterrupt: the user stopped the training.
    """
    first = shares[0].job
    members = [member for share in shares for member in share.members()]
    stack = stack_members(networks)
    sample, size = first.dataset.train.inputs[:2], min(first.config.batch_size, len(first.dataset.train))
    threads = threads_of_cohort(
        first.config.threads,
        alone=work_alone(stack.template, sample, batch=size),
        members=len(members),
        one_queue=has_dropout(stack.template),
        cores=cores,
    )
    training = Training(
        optim=first.config.optim,
        learning_rates=[member.learning_rate for member in members],
        rate_factors=[share.job.network.rate_factors for share in shares for _ in share.seeds],
        gradient_clip=first.config.gradient_clip,
        engine=first.config.engine,
        compile=first.config.compile,
        cohorts=max(1.0, alike / len(members)),
        loss=first.loss,
        scheduler=first.scheduler,
        stopping=first.config.early_stopping,
        may_end=first.config.signal.every is None,
        threads=threads,
    )
    seeds = [member.seed for member in members]
    module = CohortModule(stack, first.data.stacked(seeds), training)
    data = InMemoryData(first.dataset, batch_size=first.config.batch_size, seeds=seeds)
    every = first.config.signal.every
    recording = None if every is None else SignalRecording(shares, every)
    # The checkpoint last: it keeps what the others know.
    own = [callback for callback in (recording, checkpoint) if callback is not None]
    trainer = build_trainer(first, [*callbacks, *own], device=device)
    fit(trainer, module, data, resume_from=checkpoint.found if checkpoint else None)
    if keep is not None:
        for share, rows in zip(shares, rows_of(shares), strict=True):
            keep(share, module.stack.part(rows))
    return _tables_of(shares, module, recording)


def _tables_of(shares: Sequence[Share], module: CohortModule, recording: SignalRecording | None) -> JobTables:
    """What a trained cohort measured."""
    assert module.test_scores is not None
    columns = [share.job.key_columns for share in shares for _ in share.seeds]
    signals = recording.tables() if recording else []
    named = [table.assign(job=share.job.name) for share, table in zip(shares, signals, strict=True)] if signals else []
    return job_tables(
        {name: [one[name] for one in columns] for name in columns[0]},
        [seed for share in shares for seed in share.seeds],
        module.history,
        first_seed=[share.job.config.seed for share in shares for _ in share.seeds],
        metric=module.task.metric,
        threshold=shares[0].job.config.threshold,
        seconds=module.seconds / module.stack.members,
        engine=f"{module.engine_name} compiled" if module.compiled else module.engine_name,
        signal=pd.concat(named, ignore_index=True) if named else None,
        epochs=module.epochs,
        test_rows=[module.data.test_rows_of(member) for member in range(module.stack.members)],
        test_scores=module.test_scores,
    )


def build_trainer(job: Job, callbacks: Sequence[Callback], *, device: int | None = None) -> pl.Trainer:
    """Build the Lightning trainer of a cohort; progress, logging and checkpoints are left to the callbacks.

    Args:
        job: Any job of the cohort: its `trainer` group says which trainer, and how many epochs.
        callbacks: Lightning callbacks, called in this order.
        device: Index of the GPU to train on; None: one device, the first of its kind.
    """
    quiet_libraries()
    settings = {key: value for key, value in asdict(job.config.trainer).items() if value is not None}
    build = import_target(settings.pop("_target_"), where="trainer")
    with warnings.catch_warnings():
        # trainer.accelerator=cpu is what was asked for.
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        trainer: pl.Trainer = build(
            **settings,
            devices=1 if device is None else [device],
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


def fit(trainer: pl.Trainer, module: CohortModule, data: InMemoryData, *, resume_from: Path | None = None) -> None:
    """Run the trainer.

    Only dropout draws from torch's global generators; they are seeded here, and put back afterwards.

    Args:
        trainer: As `build_trainer` makes it.
        module: The members, which are trained in place.
        data: Which rows each member sees in which order; the seed of its first member is that of dropout, too.
        resume_from: Checkpoint to go on from; None: train from epoch 0.

    Raises:
        KeyboardInterrupt: the user stopped the training; Lightning would end the process instead.
    """
    device = trainer.strategy.root_device
    try:
        kept = torch.random.fork_rng([device] if device.type == "cuda" else [])
        with kept, same_numbers(), warnings.catch_warnings():
            torch.default_generator.manual_seed(data.seeds[0])
            if device.type == "cuda":
                torch.cuda.manual_seed(data.seeds[0])
            # Ours are indices into memory: a worker process would only cost.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6's own, on torch 2.14.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            # Ours are cut at the end of an epoch, and each epoch has its own loader.
            warnings.filterwarnings("ignore", message=".*resuming from a checkpoint that ended before.*")
            warnings.filterwarnings("ignore", message=".*dirpath of ModelCheckpoint.*")
            trainer.fit(module, datamodule=data, ckpt_path=None if resume_from is None else str(resume_from))
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
