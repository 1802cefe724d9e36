"""The folder of a job: what is found in it, and what a run leaves there."""

import contextlib
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from initlab.base.errors import UserError
from initlab.base.files import finish_together, write_text_whole, write_together
from initlab.base.machine import describe_machine
from initlab.base.wording import listed
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.fingerprint import RESULTS_VERSION
from initlab.jobs.job import Job
from initlab.sweep import weights
from initlab.tables.job_tables import JobTables, joined, read_tables
from initlab.tables.store import (
    NewerVersionError,
    changed_sources,
    config_text,
    current,
    read_config,
    read_failure,
    read_metadata,
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
    if not current(job.folder, LAST).exists():
        return Held("open")
    metadata = read_metadata(job.folder)
    found = metadata.get("fingerprint")
    if found is not None and not is_of(job, metadata, job.folder):
        return Held("other", _what_else(job, metadata))
    try:
        seeds = frozenset(read_tables(job.folder).seeds)
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
    whole = (job.folder / LAST).exists() and not (job.folder / "error.txt").exists()
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
    if not current(job.folder, LAST).exists() or not is_of(job, metadata, job.folder):
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


def seeds_of_run(job: Job, run: str) -> frozenset[int]:
    """The seeds that a job's tables have, if a run has written them; else none."""
    metadata = read_metadata(job.folder)
    ours = metadata.get("run") == run and current(job.folder, LAST).exists()
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
    write_description(folder, job.resolved, {**metadata, "first_loss": tables.first_loss})
    for name, table in tables.named().items():
        write_table(folder, name, table.assign(job=job.name))  # the folder may have been renamed since


def finish_writing(folder: Path) -> None:
    """Move the files to their places that a killed process had written whole, in the folder of a job or of a study."""
    for job_folder in (folder, *folder.glob("*/")):
        finish_together(job_folder, last=LAST)


def note_looks(job: Job) -> None:
    """Write beside a job's results how often they may be looked at, if nothing else was written for this command."""
    metadata = read_metadata(job.folder)
    if metadata and int(metadata.get("looks") or 1) < job.looks:
        write_metadata(job.folder, {**metadata, "looks": job.looks})


def forget_failure(job: Job) -> None:
    """Remove what says that a job failed, as all that is asked of it now is there."""
    path = job.folder / "error.txt"
    if path.exists():
        path.unlink()
        write_metadata(job.folder, {**read_metadata(job.folder), "status": "finished"})


def write_failure(job: Job, reason: str, run: str, command: str | None = None) -> None:
    """Write error.txt into a job's folder; where even that fails, print the reason.

    Args:
        job: What failed; its configuration is written below the reason.
        reason: A traceback or a sentence, printed where the file cannot be written.
        run: `Run.identity`, for metadata.json.
        command: `Run.command`, for metadata.json.
    """
    try:
        # A traceback with a cause has blank lines within; the first one ends it, for those who read it.
        lines = "\n".join(line for line in reason.splitlines() if line.strip())
        text = f"{lines}\n\n{config_text(job.resolved)}"
        write_text_whole(job.folder / "error.txt", text)
        metadata = _metadata(job, run, command, status="failed")
        if (job.folder / LAST).exists():  # what it says of these results stays true
            metadata = {**read_metadata(job.folder), "status": "failed", "run": run}
        write_metadata(job.folder, metadata)
    except OSError:
        sys.stderr.write(f"{job.name}:\n{reason}")


def remove_unfinished(jobs: Iterable[Job]) -> None:
    """Remove the logs and folders of jobs that were begun, and of which nothing else is kept."""
    for job in jobs:
        if job.folder.is_dir() and not any((job.folder / name).exists() for name in ("metadata.json", "error.txt")):
            remove_logs(job.folder)
            (job.folder / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else is in it
                job.folder.rmdir()


def reason_of(job: Job) -> str:
    """Why a job failed, in one line; `see above` where no error.txt could be written."""
    return read_failure(job.folder) if (job.folder / "error.txt").exists() else "see above"


def _metadata(job: Job, run: str, command: str | None, *, status: str) -> dict[str, Any]:
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
    return describe_machine(job.config.trainer.accelerator, command) | known
