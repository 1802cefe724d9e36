"""What a run writes into jobs' folders: the results of their seeds, beside those that are there."""

import contextlib
import math
import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from initlab.base.errors import UserError
from initlab.base.files import BEGUN, finish_together, write_together
from initlab.base.machine import describe_machine
from initlab.jobs.job import Job
from initlab.sweep import weights
from initlab.sweep.folders import describe, is_new, known_of, remove_empty, tables_to_extend
from initlab.tables.bundles import (
    FOLDER,
    Bundle,
    bundle_of,
    has_own_results,
    next_bundle,
    remove_superseded,
    write_bundled_description,
)
from initlab.tables.job_tables import JobTables, joined, joined_by_job, read_tables
from initlab.tables.store import write_description, write_table
from initlab.tracking.log_files import remove_logs

if TYPE_CHECKING:  # it brings Lightning, which a process need not have that trains nothing
    from initlab.tracking.callback import JobTracking

LAST: Final = "members.parquet"  # of a job's files: with it there are results


def write_job(job: Job, tables: JobTables, tracking: "JobTracking", run: str, command: str | None = None) -> None:
    """Write what seeds of a job measured beside what its folder has of others: all files together, or none.

    Args:
        job: The job whose folder is written to.
        tables: What was measured of its members.
        tracking: The job's logger, which gets the final results and is closed.
        run: `Run.identity`, for metadata.json.
        command: `Run.command`, for metadata.json.

    Raises:
        OSError: a file cannot be written, because the disk is full, say.
    """
    finish_together(job.folder, last=LAST)
    former = tables_to_extend(job, run)
    tables = joined([former, tables] if former else [tables])
    whole = job.with_seeds(tables.seeds)

    def write(folder: Path) -> None:
        _write_tables(folder, whole, tables, run, command)
        weights.write_weights(whole, tables.members, None if former is None else former.members, folder)
        if not (folder / weights.FILE).exists():  # those of other members would stand under wrong numbers
            (job.folder / weights.FILE).unlink(missing_ok=True)

    tracking.finish(tables)
    write_together(job.folder, write, last=LAST)
    shutil.rmtree(job.folder / weights.PARTS, ignore_errors=True)
    (job.folder / "error.txt").unlink(missing_ok=True)


def can_be_bundled(job: Job) -> bool:
    """Whether a job may go to a bundle: it has no results in a folder of its own, and is to keep no weights there."""
    return job.config.save == "none" and not has_own_results(job.folder)


def write_bundle(
    jobs: Sequence[Job], tables: JobTables, tracking: "Sequence[JobTracking]", run: str, command: str | None = None
) -> None:
    """Write what seeds of many jobs measured as one bundle, with what former bundles have of other seeds of them.

    Args:
        jobs: Jobs of one program, which `can_be_bundled`.
        tables: What was measured of their members.
        tracking: Each job's loggers, which get the final results and are closed.
        run: `Run.identity`, for the metadata.
        command: `Run.command`, for the metadata.

    Raises:
        OSError: a file cannot be written, because the disk is full, say; there is then no part of it.
    """
    study = jobs[0].study_folder
    former = _bundled_before(jobs, run)
    tables = joined_by_job([*former, tables])
    seeds = {str(job): list(map(int, own)) for job, own in tables.members.groupby("job", sort=False)["seed"]}
    whole = [job.with_seeds(seeds[job.name]) for job in jobs]
    if any(tracker.logs for tracker in tracking):
        parts = tables.by_job()
        for job, tracker in zip(jobs, tracking, strict=True):
            tracker.finish(parts[job.name])
    starts, engines = _first_losses(tables), tables.engines
    shared = describe_machine(whole[0].config.trainer.accelerator, command)
    metadata = {
        job.name: {
            **shared,
            **known_of(job, run, status="finished"),
            "first_loss": starts.get(job.name),
            "engine": engines,
        }
        for job in whole
    }
    begun = study / FOLDER / f"{BEGUN}.{platform.node()}.{os.getpid()}"
    shutil.rmtree(begun, ignore_errors=True)
    try:
        for name, table in tables.named().items():
            write_table(begun, name, table)
        write_bundled_description(begun, {job.name: job.resolved for job in whole}, metadata)
        next_bundle(study, begun)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    for job in jobs:
        if job.folder.is_dir():
            for name in ("error.txt", "metadata.json"):  # of a former failure
                (job.folder / name).unlink(missing_ok=True)
            remove_empty(job.folder)
    if former:
        remove_superseded(study)


def _bundled_before(jobs: Sequence[Job], run: str) -> list[JobTables]:
    """What former bundles have of some jobs, and new seeds are to be added to, as `tables_to_extend` has it."""
    names: dict[Bundle, list[str]] = {}
    for job in jobs:
        bundle = bundle_of(job.folder)
        if bundle is not None and not is_new(job, run):
            names.setdefault(bundle, []).append(job.name)
    former = []
    for bundle, own in names.items():
        with contextlib.suppress(UserError):  # damaged: that it is trained anew has been said
            former.append(read_tables(bundle.folder).of_jobs(own))
    return former


def _first_losses(tables: JobTables) -> dict[str, float]:
    """By job, the validation loss before training, its mean over members, where it is a finite number."""
    history = tables.history
    start = history[(history["epoch"] == 0) & (history["split"] == "val")]
    means = {str(job): float(own.astype(float).mean()) for job, own in start.groupby("job", sort=False)["loss"]}
    return {job: mean for job, mean in means.items() if math.isfinite(mean)}


def adopt(job: Job, folders: Iterable[Path], run: str, command: str | None = None) -> None:
    """Write what several folders have of a job's seeds into its own, so that they can be extended there.

    Earlier versions of initlab gave the same job with other seeds a folder of its own, which stays as it is.

    Args:
        job: The job whose folder is written to.
        folders: Which hold results of it; of a seed that several have, the last counts.
        run: `Run.identity`, for metadata.json.
        command: `Run.command`, for metadata.json.
    """
    tables = joined([read_tables(folder) for folder in folders])

    def write(folder: Path) -> None:
        _write_tables(folder, job.with_seeds(tables.seeds), tables, run, command)
        (job.folder / weights.FILE).unlink(missing_ok=True)  # its members have other numbers now

    write_together(job.folder, write, last=LAST)


def _write_tables(folder: Path, job: Job, tables: JobTables, run: str, command: str | None) -> None:
    """Write the tables of a job, which has their seeds, with its configuration and how it ran."""
    metadata = describe(job, run, command, status="finished")
    measured = {"first_loss": tables.first_loss, "engine": tables.engines}
    write_description(folder, job.resolved, {**metadata, **measured})
    for name, table in tables.named().items():
        write_table(folder, name, table.assign(job=job.name))  # the folder may have been renamed since


def finish_writing(folder: Path) -> None:
    """Move the files to their places that a killed process had written whole, in the folder of a job or of a study."""
    for job_folder in (folder, *folder.glob("*/")):
        finish_together(job_folder, last=LAST)


def remove_unfinished(jobs: Iterable[Job]) -> None:
    """Remove the logs and folders of jobs that were begun, and of which nothing else is kept."""
    for job in jobs:
        if job.folder.is_dir() and not any((job.folder / name).exists() for name in ("metadata.json", "error.txt")):
            remove_logs(job.folder)
            (job.folder / ".lock").unlink(missing_ok=True)
            remove_empty(job.folder)
