"""A study: check all its jobs, train them cohort by cohort, write their tables, and say what came out."""

import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from rich.console import Console
from torch import nn

from initlab.cohort.optimizers import check_optimizer
from initlab.cohort.run import build_networks, build_trainer, convolves, rows_of, train_cohort
from initlab.cohort.tracking import JobTracking
from initlab.console import open_console
from initlab.errors import InitializationWarning, JobsFailedError, RefusedError, UserError
from initlab.figures.curves import learning_curves
from initlab.figures.style import save_png
from initlab.jobs import Job, target
from initlab.machine import describe_machine, device_name
from initlab.results.store import write_description, write_table, write_whole
from initlab.results.summary import read_study, summarize, write_summary
from initlab.results.tables import JobTables
from initlab.terminal import ProgressCallback, SweepProgress, progress_bar, summary_table


def run_study(jobs: Sequence[Job]) -> None:
    """Run the jobs of one sweep.

    Args:
        jobs: Of one study.

    Raises:
        UserError: a job that cannot work, before anything trains.
        JobsFailedError: at the end, if some jobs failed.
        KeyboardInterrupt: the user stopped it; the jobs that finished have been written and summarized.
    """
    console = open_console()
    quiet_libraries()
    distinct = distinct_jobs(jobs)
    study = distinct[0].study
    usable, refused = usable_jobs(distinct)
    prepare_directory(study)
    read_study(study)  # what cannot be reported on is better known now
    for note in dict.fromkeys(_note(job) for job in usable):
        console.print(note, soft_wrap=True, highlight=False)
    if refused:
        count = f"{len(distinct) - len(usable)} of {len(distinct)} jobs are left out"
        console.print(f"{count}, whose initializer and network do not fit; why stands below", soft_wrap=True)
    failed: list[Job] = []
    try:
        total = sum(job.config.seeds * _epochs(job) for job in usable)
        with progress_bar(console, total) as progress, plain_warnings():
            for position, cohort in enumerate(group_by_program(usable)):
                progress.start(cohort[0].name if len(cohort) == 1 else f"cohort {position + 1}: {len(cohort)} jobs")
                failed += _run_cohort(cohort, progress)
    except KeyboardInterrupt:
        console.print("stopped; what finished is kept")
        report(study, console)
        raise
    report(study, console)
    for reason, jobs_refused in refused.items():
        console.print(f"left out: {reason}", soft_wrap=True, highlight=False, markup=False)
        for name in jobs_refused:
            console.print(f"  {name}", soft_wrap=True, highlight=False, markup=False)
    if failed:
        names = ", ".join(job.name for job in failed)
        where = failed[0].directory / "error.txt"
        raise JobsFailedError(f"{len(failed)} of {len(usable)} jobs failed: {names}; see {where}")


def distinct_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Jobs without those that are named twice, as one word and its alias may do.

    Raises:
        UserError: jobs of several studies, or different ones that would write to one folder.
    """
    if len({job.study for job in jobs}) > 1:
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

    Raises:
        UserError: another mistake, or not a single job can train.
    """
    usable: list[Job] = []
    refused: dict[str, list[str]] = {}
    for job in jobs:
        try:
            check_job(job)
            usable.append(job)
        except RefusedError as refusal:
            refused.setdefault(str(refusal), []).append(job.name)
    if not usable:
        others = f" (other jobs: {'; '.join(list(refused)[1:])})" if len(refused) > 1 else ""
        raise UserError(f"{next(iter(refused))}{others}")
    return usable, refused


def check_job(job: Job) -> None:
    """Load the data, build one member and send two rows through it, so that what cannot work fails before training.

    Raises:
        RefusedError: an initializer that does not fit the network.
        UserError: an optimizer that cannot be shared, a device or data that cannot be had, a model or scheme that does
            not fit.
    """
    check_optimizer(job.config.optim)
    if job.config.logger.get("_target_") is not None:
        target("logger", job.config.logger)
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


def group_by_program(jobs: Sequence[Job]) -> list[list[Job]]:
    """Group jobs into cohorts, in the order of their first job.

    Members of one program share every operation under vmap. Under the loop engine sharing gains nothing, and a job
    of its own is finished earlier.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.program if runs_vectorized(job) else job.name, []).append(job)
    return list(groups.values())


def runs_vectorized(job: Job) -> bool:
    """Whether a job's members can train by vmap, as far as can be told before its cohort is built."""
    if job.config.engine == "auto":
        return not (convolves(job) and device_name(job.config.trainer["accelerator"]) == "cpu")
    return job.config.engine == "vmap"


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


def _run_cohort(cohort: Sequence[Job], progress: SweepProgress) -> list[Job]:
    """Train a cohort and write its jobs; return those that failed, with the traceback in each one's error.txt."""
    networks: dict[str, list[nn.Module]] = {}
    for job in cohort:
        try:
            networks[job.name] = build_networks(job)
        except Exception:  # an initializer may fail at one seed, and not at another
            _write_error(job)
    built = [job for job in cohort if job.name in networks]
    failed = [job for job in cohort if job.name not in networks]
    if not built:
        return failed
    try:
        tracking = [JobTracking(job, rows) for job, rows in zip(built, rows_of(built), strict=True)]
        members = (network for job in built for network in networks.pop(job.name))  # not kept beside their stack
        tables = train_cohort(built, members, [*tracking, ProgressCallback(progress)])
    except Exception:  # one failing cohort does not stop the others
        for job in built:
            _write_error(job)
        return list(cohort)
    return failed + [
        job for job, table, tracker in zip(built, tables, tracking, strict=True) if not _write_job(job, table, tracker)
    ]


def _write_job(job: Job, tables: JobTables, tracker: JobTracking) -> bool:
    """Write what a job measured, the tables before the logs; whether it could be."""
    metadata = describe_machine(job.config.trainer["accelerator"]) | {
        "seeds": list(job.seeds),
        "data_checksum": job.dataset.checksum,
        "validates_on_test": job.dataset.validates_on_test,
    }
    try:
        write_description(job.directory, job.resolved, metadata)
        write_table(job.directory, "history", tables.history)
        write_table(job.directory, "members", tables.members)  # last: it marks the job as finished
        tracker.finish(tables.members)
        (job.directory / "error.txt").unlink(missing_ok=True)
    except Exception:  # one failing job does not stop the others
        _write_error(job)
        return False
    return True


def _write_error(job: Job) -> None:
    """Keep the traceback in the job's folder, with its configuration; where even that fails, say it here."""
    text = traceback.format_exc()
    try:
        config = OmegaConf.to_yaml(OmegaConf.create(dict(job.resolved)))
        write_whole(job.directory / "error.txt", lambda path: path.write_text(f"{text}\n{config}"))
    except OSError:
        sys.stderr.write(f"{job.name}:\n{text}")


def report(study: Path, console: Console) -> None:
    """Summarize the finished jobs of a sweep: summary.csv, curves.png, and a table in the terminal."""
    found = read_study(study)
    if found is None:
        return
    summary = summarize(found)
    write_summary(study, summary)
    write_whole(study / "curves.png", lambda path: save_png(learning_curves(found, summary), path))
    console.print(summary_table(summary))
    console.print(f"In {study}: summary.csv, curves.png, a folder a job", soft_wrap=True, highlight=False)
    console.print(f"tensorboard --logdir {study}", soft_wrap=True, highlight=False)


def quiet_libraries() -> None:
    """Keep Lightning from reporting on devices and tips; warnings still show."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*srun.*")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Say what an initializer did not reach in one line, without the place in the code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, InitializationWarning):
            sys.stderr.write(f"initlab: {message}\n")
        else:
            usual(message, category, *place)

    warnings.showwarning = show  # type: ignore[assignment]  # *place: whatever Python passes on
    try:
        yield
    finally:
        warnings.showwarning = usual


def _epochs(job: Job) -> int:
    epochs: int = job.config.trainer["max_epochs"]
    return epochs


def _note(job: Job) -> str:
    """What a reader of the results must know of the data."""
    data = job.dataset
    rows = (
        f"{len(data.test)} to test on; these validate, too (data.val_fraction=0): choose nothing by them"
        if data.validates_on_test
        else f"{len(data.val)} to validate, {len(data.test)} to test on"
    )
    known = "Knowing only the commonest class scores" if data.classes else "Predicting the mean scores an R² of"
    note = f"{job.identity['data']}: {len(data.train)} rows to train on, {rows}. {known} {data.baseline:.3f}."
    return f"{note}\n{job.identity['data']}: {data.note}" if data.note else note
