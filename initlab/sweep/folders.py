"""The folder of a job: what is found in it, and what a run leaves there."""

import contextlib
import errno
import math
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from initlab.base.errors import UserError
from initlab.base.files import BEGUN, finish_together, write_text_whole, write_together
from initlab.base.machine import describe_machine
from initlab.base.wording import listed
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.fingerprint import RESULTS_VERSION
from initlab.jobs.job import Job
from initlab.sweep import weights
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
from initlab.tables.store import (
    NewerVersionError,
    changed_sources,
    config_text,
    has_results,
    read_config,
    read_failure,
    read_metadata,
    rewrite_metadata,
    trained_seeds,
    write_description,
    write_metadata,
    write_table,
)
from initlab.tracking.callback import JobTracking
from initlab.tracking.loggers import remove_logs

OTHER: Final = "the results of another configuration, or of other data"
LAST: Final = "members.parquet"  # of a job's files: with it there are results

State = Literal["open", "finished", "damaged", "other"]


class Held(NamedTuple):
    """What a job's folder holds.

    Attributes:
        state: `finished` results of some seeds, `damaged` ones, what is of something else, or nothing that counts.
        reason: If that is of no use, why.
        seeds: Those whose results are there; of an open job those that must be trained again, as their weights are to
            be kept and were not.
    """

    state: State
    reason: str = ""
    seeds: frozenset[int] = frozenset()


def state_of(job: Job) -> Held:
    """What is in a job's own folder."""
    if not has_results(job.folder):
        return Held("open")
    metadata = read_metadata(job.folder)
    found = metadata.get("fingerprint")
    if found is not None and not is_of(job, metadata, job.folder):
        return Held("other", _what_else(job, metadata))
    try:
        if bundle_of(job.folder) is None:
            read_tables(job.folder)  # all can be read
        seeds = trained_seeds(job.folder)
    except NewerVersionError:
        return Held("other", "tables of a later version of initlab")
    except UserError as error:
        return Held("damaged", str(error).partition("; remove")[0])
    if found is None:
        return Held("other", "results that do not say what they are of")
    return Held("finished" if weights.has_weights(job) else "open", seeds=seeds)


def is_of(job: Job, metadata: Mapping[str, Any], folder: Path) -> bool:
    """Whether results are of a job, with whatever seeds; also those of a time when seeds were part of a fingerprint.

    Args:
        job: The job.
        metadata: What the folder's metadata.json has.
        folder: Where the results are.
    """
    found = metadata.get("fingerprint")
    seeds = seeds_of_old(metadata, folder)
    return bool(found == (job.fingerprint if seeds is None else job.fingerprint_with_seeds(*seeds)))


def seeds_of_old(metadata: Mapping[str, Any], folder: Path) -> tuple[int, int] | None:
    """The keys `seed` and `seeds` of results in whose fingerprint these are; None of others.

    Args:
        metadata: What the folder's metadata.json has.
        folder: Where the results are.
    """
    if "results_version" in metadata or metadata.get("fingerprint") is None:
        return None
    try:
        config = read_config(folder)
        return int(config["seed"]), int(config["seeds"])
    except (UserError, KeyError, TypeError, ValueError):  # no configuration, or none of a job
        return None


def _what_else(job: Job, metadata: Mapping[str, Any]) -> str:
    """Of what the results in a job's folder are that are not its own."""
    changed = changed_sources(metadata.get("sources"), job.made_of)
    if changed:
        return f"the results of another {listed(changed)}"
    with contextlib.suppress(UserError):
        own, other = (without_keys(config, NOT_IDENTITY) for config in (job.resolved, read_config(job.folder)))
        if own == other and metadata.get("data_checksum") == job.data.checksum:
            return "the results of an earlier version of initlab"
    return OTHER


def outcome(job: Job, run: str) -> Literal["finished", "failed"] | None:
    """What a run has made of a job; None if it has not come to an end with it.

    Args:
        job: The job whose folder is looked into.
        run: `Run.identity`, which metadata.json keeps: what other runs left does not count.
    """
    metadata = read_metadata(job.folder)
    if metadata.get("run") != run:
        return None
    whole = has_results(job.folder) and not (job.folder / "error.txt").exists()
    if metadata.get("status") != "finished" or not whole:
        return "failed"
    return "finished" if set(job.seeds) <= set(metadata.get("seeds", ())) else None


def tables_to_extend(job: Job, run: str) -> JobTables | None:
    """The tables in a job's folder that new seeds of it are to be added to; None where there are none.

    With `resume=false` these are those of this run alone.

    Args:
        job: The job whose folder is looked into.
        run: `Run.identity`.
    """
    if is_new(job, run):
        return None
    try:
        return read_tables(job.folder)
    except UserError:  # damaged: that it is trained anew has been said
        return None


def is_new(job: Job, run: str) -> bool:
    """Whether a job's folder has nothing that new seeds are to be added to, as `tables_to_extend` has it."""
    metadata = read_metadata(job.folder)
    if not has_results(job.folder) or not is_of(job, metadata, job.folder):
        return True
    return not job.config.resume and metadata.get("run") != run


def write_job(job: Job, tables: JobTables, tracking: JobTracking, run: str, command: str | None = None) -> None:
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
    jobs: Sequence[Job], tables: JobTables, tracking: Sequence[JobTracking], run: str, command: str | None = None
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
            **_known(job, run, status="finished"),
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
            _remove_empty(job.folder)
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


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def seeds_of_run(job: Job, run: str) -> frozenset[int]:
    """The seeds that a job's tables have, if a run has written them; else none."""
    metadata = read_metadata(job.folder)
    ours = metadata.get("run") == run and has_results(job.folder)
    return frozenset(metadata.get("seeds", ())) if ours else frozenset()


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
    metadata = _metadata(job, run, command, status="finished")
    measured = {"first_loss": tables.first_loss, "engine": tables.engines}
    write_description(folder, job.resolved, {**metadata, **measured})
    for name, table in tables.named().items():
        write_table(folder, name, table.assign(job=job.name))  # the folder may have been renamed since


def finish_writing(folder: Path) -> None:
    """Move the files to their places that a killed process had written whole, in the folder of a job or of a study."""
    for job_folder in (folder, *folder.glob("*/")):
        finish_together(job_folder, last=LAST)


def note_looks(jobs: Iterable[Job]) -> None:
    """Write beside jobs' results how often they may be looked at, if nothing else was written for this command."""
    known = [(job, read_metadata(job.folder)) for job in jobs]
    rewrite_metadata(
        {
            job.folder: {**metadata, "looks": job.looks}
            for job, metadata in known
            if metadata and int(metadata.get("looks") or 1) < job.looks
        }
    )


def forget_failure(job: Job) -> None:
    """Remove what says that a job failed, as all that is asked of it now is there."""
    path = job.folder / "error.txt"
    if not path.exists():
        return
    path.unlink()
    if bundle_of(job.folder) is None:
        write_metadata(job.folder, {**read_metadata(job.folder), "status": "finished"})
    else:  # what it says there is true
        (job.folder / "metadata.json").unlink(missing_ok=True)
        _remove_empty(job.folder)


def write_failure(job: Job, reason: str, run: str, command: str | None = None) -> None:
    """Write error.txt into a job's folder; where even that fails, print the reason.

    Args:
        job: What failed; its configuration is written below the reason.
        reason: A traceback or a sentence, printed where the file cannot be written; of a full disk its last line.
        run: `Run.identity`, for metadata.json.
        command: `Run.command`, for metadata.json.
    """
    try:
        # A traceback with a cause has blank lines within; the first one ends it, for those who read it.
        lines = "\n".join(line for line in reason.splitlines() if line.strip())
        text = f"{lines}\n\n{config_text(job.resolved)}"
        write_text_whole(job.folder / "error.txt", text)
        metadata = _metadata(job, run, command, status="failed")
        if has_results(job.folder):  # what it says of these results stays true
            metadata = {**read_metadata(job.folder), "status": "failed", "run": run}
        write_metadata(job.folder, metadata)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        sys.stderr.write(f"{job.name}: {reason.strip().splitlines()[-1]}\n" if full else f"{job.name}:\n{reason}")


def remove_unfinished(jobs: Iterable[Job]) -> None:
    """Remove the logs and folders of jobs that were begun, and of which nothing else is kept."""
    for job in jobs:
        if job.folder.is_dir() and not any((job.folder / name).exists() for name in ("metadata.json", "error.txt")):
            remove_logs(job.folder)
            (job.folder / ".lock").unlink(missing_ok=True)
            _remove_empty(job.folder)


def reason_of(job: Job) -> str:
    """Why a job failed, in one line; `see above` where no error.txt could be written."""
    return read_failure(job.folder) if (job.folder / "error.txt").exists() else "see above"


def _metadata(job: Job, run: str, command: str | None, *, status: str) -> dict[str, Any]:
    return describe_machine(job.config.trainer.accelerator, command) | _known(job, run, status=status)


def _known(job: Job, run: str, *, status: str) -> dict[str, Any]:
    """What is known of a job and its data, for metadata.json."""
    known: dict[str, Any] = {"status": status, "run": run, "seeds": list(job.seeds)}
    with contextlib.suppress(UserError):  # without data there is none of it to describe
        baseline, validation_baseline = job.data.baselines(job.seeds)
        known |= {
            "fingerprint": job.fingerprint,
            "results_version": RESULTS_VERSION,
            "looks": max(job.looks, int(read_metadata(job.folder).get("looks") or 1)),
            "training_rows": len(job.dataset.train),
            "sources": job.made_of,
            "data_checksum": job.data.checksum,
            "validates_on_test": job.dataset.validates_on_test,
            "resplit": job.resplits,
            "task": job.dataset.task,
            "baseline": baseline,
            "validation_baseline": validation_baseline,
            "chance_loss": job.chance_loss,
        }
    return known
