"""A study: check all its jobs, train them cohort by cohort, write their tables, and say what came out."""

import logging
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console

from initlab.cohort.engines import has_convolutions
from initlab.cohort.optimizers import check_optimizer
from initlab.cohort.run import build_trainer, train_cohort
from initlab.errors import JobsFailedError, UserError
from initlab.figures.curves import learning_curves
from initlab.figures.style import save_png
from initlab.jobs import Job
from initlab.machine import describe_machine, device_name
from initlab.results.store import write_description, write_table, write_whole
from initlab.results.summary import read_study, summarize, write_summary
from initlab.terminal import ProgressCallback, SweepProgress, open_console, progress_bar, summary_table


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
    study = jobs[0].study
    distinct = list({job.name: job for job in jobs}.values())
    for job in distinct:
        check_job(job)
    prepare_directory(study)
    for note in _notes(distinct):
        console.print(note, soft_wrap=True, highlight=False)
    failed: list[Job] = []
    try:
        with progress_bar(console, sum(job.config.seeds * _epochs(job) for job in distinct)) as progress:
            for position, cohort in enumerate(group_by_program(distinct)):
                progress.start(cohort[0].name if len(cohort) == 1 else f"cohort {position + 1}: {len(cohort)} jobs")
                failed += _run_cohort(cohort, progress)
    except KeyboardInterrupt:
        console.print("stopped; what finished is kept")
        report(study, console)
        raise
    report(study, console)
    if failed:
        names = ", ".join(job.name for job in failed)
        raise JobsFailedError(f"{len(failed)} of {len(distinct)} jobs failed: {names}; see error.txt in their folders")


def check_job(job: Job) -> None:
    """Load the data, build one member and send two rows through it, so that what cannot work fails before training.

    Raises:
        UserError: an optimizer that cannot be shared, a device or data that cannot be had, a model or scheme that does
            not fit.
    """
    check_optimizer(job.config.optim)
    try:
        build_trainer(job, [])
    except (MisconfigurationException, ImportError) as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    model = job.build_member(job.members()[0])
    model.eval()
    classes, rows = job.dataset.classes, job.dataset.train.inputs[:2]
    with torch.no_grad():
        logits = model(rows)
    if logits.dim() != 2 or logits.shape[1] < classes:
        raise UserError(
            f"model._target_={job.config.model['_target_']}: expected logits of shape ({len(rows)}, {classes}) for "
            f"{len(rows)} rows, got {tuple(logits.shape)}"
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
        return not (has_convolutions(job.build_model()) and device_name(job.config.trainer["accelerator"]) == "cpu")
    return job.config.engine == "vmap"


def prepare_directory(directory: Path) -> None:
    """Make a directory and see that it can be written.

    Raises:
        UserError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / ".writable", lambda path: path.touch())
        (directory / ".writable").unlink()
    except OSError as error:
        raise UserError(f"output_dir: cannot write {directory} ({error.strerror}); set output_dir=DIR") from error


def _run_cohort(cohort: Sequence[Job], progress: SweepProgress) -> Sequence[Job]:
    """Train a cohort and write its jobs; return them if it failed, with the traceback in each one's error.txt."""
    try:
        for job in cohort:
            metadata = describe_machine(job.config.trainer["accelerator"]) | {
                "seeds": list(job.seeds),
                "data_checksum": job.dataset.checksum,
                "validates_on_test": job.dataset.validates_on_test,
            }
            write_description(job.directory, job.resolved, metadata)
        tables = train_cohort(cohort, [ProgressCallback(progress)])
        for job, table in zip(cohort, tables, strict=True):
            write_table(job.directory, "history", table.history)
            write_table(job.directory, "members", table.members)  # last: it marks the job as finished
            (job.directory / "error.txt").unlink(missing_ok=True)
    except Exception:  # one failing job does not stop the others
        for job in cohort:
            write_whole(job.directory / "error.txt", lambda path: path.write_text(traceback.format_exc()))
        return cohort
    return []


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


def _epochs(job: Job) -> int:
    epochs: int = job.config.trainer["max_epochs"]
    return epochs


def _notes(jobs: Sequence[Job]) -> list[str]:
    """What a reader of the results must know, once for each data set."""
    by_data = {str(job.config.data["name"]): job for job in jobs}
    return [
        f"{name}: {len(job.dataset.train)} rows to train on, "
        + (
            f"{len(job.dataset.test)} to test on; these validate, too (data.val_fraction=0): choose nothing by them"
            if job.dataset.validates_on_test
            else f"{len(job.dataset.val)} to validate, {len(job.dataset.test)} to test on"
        )
        + f". Knowing only the commonest class scores {job.dataset.majority_share:.3f}."
        for name, job in by_data.items()
    ]
