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
from initlab.tracking.loggers import check_logger


def distinct_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Jobs without those that are named twice, as one word and its alias may do.

    Raises:
        UserError: jobs of several studies, or different ones that would write to one folder.
    """
    if len({job.study_folder for job in jobs}) > 1:
        raise UserError("output_dir, name: a sweep writes to one folder; run one sweep for each")
    distinct: dict[str, Job] = {}
    for job in jobs:
        former = distinct.setdefault(job.name, job)
        if former.resolved != job.resolved:
            raise UserError(f"{job.name}: several jobs would write to this folder; do not sweep where or how to run")
    return list(distinct.values())


def usable_jobs(jobs: Sequence[Job]) -> tuple[list[Job], dict[str, list[str]]]:
    """Check all jobs: those that can train, and the names of those that cannot, by the reason.

    A sweep over initializers and networks asks for some pairs that do not exist; these do not stop the others.
    Jobs that differ in their learning rate or the number of their seeds are checked once.

    Raises:
        UserError: another mistake.
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
        RefusedError: an initializer that does not fit the network.
        UserError: an optimizer that cannot be shared, a logger, device or data that cannot be had, a model or scheme
            that does not fit.
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


def prepare_directory(directory: Path) -> None:
    """Make a directory and see that it can be written.

    Raises:
        UserError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"output_dir: cannot write {directory} ({error.strerror}); set output_dir=DIR") from error
