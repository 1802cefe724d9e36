"""What is found out before anything trains."""

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from initlab.base.errors import InitializationWarning, RefusedError, UserError
from initlab.cohort.optimizers import check_optimizer
from initlab.cohort.run import build_trainer
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.job import Job
from initlab.sweep.naming import pool_seeds
from initlab.tracking.loggers import check_logger


def distinct_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Drop jobs that occur twice, and pool those that differ in seeds alone, as `sweep.naming.pool_seeds` does.

    Raises:
        UserError: the jobs belong to several studies, or different ones would write to one folder.
    """
    if len({job.study_folder for job in jobs}) > 1:
        raise UserError("output_dir, name: a sweep writes to one folder; run one sweep for each")
    distinct: dict[str, Job] = {}
    for job in pool_seeds(jobs):
        former = distinct.setdefault(job.name, job)
        if former.resolved != job.resolved:
            raise UserError(f"{job.name}: several jobs would write to this folder; do not sweep where or how to run")
    return list(distinct.values())


def usable_jobs(jobs: Sequence[Job]) -> tuple[list[Job], dict[str, list[str]]]:
    """Check all jobs, and leave out those whose initializer and network do not fit.

    A sweep over initializers and networks asks for some pairs that cannot work; these do not stop the others. Of jobs
    that differ in nothing but learning rate and number of seeds, one is checked for all.

    Returns:
        The jobs that can train; and for each reason why one cannot, the names of these jobs.

    Raises:
        UserError: a job cannot work for any other reason.
    """
    usable: list[Job] = []
    refused: dict[str, list[str]] = {}
    checked: dict[str, str | None] = {}
    for job in jobs:
        key = json.dumps(without_keys(job.resolved, {*NOT_IDENTITY, "optim.lr", "seeds"}), sort_keys=True)
        if key not in checked:
            checked[key] = None
            try:
                check_job(job)
            except RefusedError as refusal:
                checked[key] = str(refusal)
        reason = checked[key]
        if reason is None:
            usable.append(job)
        else:
            refused.setdefault(reason, []).append(job.name)
    return usable, refused


def check_job(job: Job) -> None:
    """Load the data, build one member and send two rows through it, so that what cannot work fails before training.

    Raises:
        RefusedError: the initializer does not fit the network.
        UserError: the members cannot share the optimizer, the logger, device or data cannot be had, or the model does
            not fit the data.
    """
    check_optimizer(job.config.optim)
    check_logger(job.config.logger)
    try:
        build_trainer(job, [])
    except (MisconfigurationException, ImportError) as error:
        raise UserError(f"trainer: {error}") from error
    data = job.dataset
    rows = data.train.inputs[:2]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InitializationWarning)  # given where the member is built to train
            model = job.build_member(job.members()[0])
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(rows[: job.config.batch_size])  # as it trains: batch norm, for one, refuses a single row
            model.eval()
            outputs = model(rows)
    except UserError:
        raise
    except Exception as error:  # whatever the user's network or parameters bring about
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"model: building and running it on rows of shape {data.input_shape} failed: {reason}"
        ) from error
    if not isinstance(outputs, torch.Tensor):
        raise UserError(
            f"model._target_={job.config.model['_target_']}: expected a tensor of outputs, got {type(outputs).__name__}"
        )
    # Logits that belong to no class are allowed, as some published networks have them.
    if outputs.dim() != 2 or outputs.shape[1] < data.outputs or (outputs.shape[1] > data.outputs and not data.classes):
        raise UserError(
            f"model._target_={job.config.model['_target_']}: expected outputs of shape ({len(rows)}, {data.outputs}) "
            f"for {len(rows)} rows, got {tuple(outputs.shape)}"
        )


def prepare_folder(folder: Path) -> None:
    """Make a folder and see that it can be written.

    Raises:
        UserError: it cannot be made or written, because of its permissions or a full disk, say.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".writable-{os.getpid()}"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"output_dir: cannot write {folder} ({error.strerror}); set output_dir=DIR") from error
