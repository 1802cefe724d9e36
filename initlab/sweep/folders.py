"""The folder of a job: what is found in it, and what a run leaves there."""

import contextlib
import json
import sys
from collections.abc import Iterable
from typing import Any, Literal

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.base.machine import describe_machine
from initlab.jobs.job import Job
from initlab.tables.job_tables import JobTables
from initlab.tables.store import (
    NewerVersionError,
    config_text,
    read_failure,
    read_metadata,
    read_table,
    write_description,
    write_table,
)
from initlab.tracking.callback import JobTracking
from initlab.tracking.loggers import remove_logs

State = Literal["open", "finished", "damaged", "other"]


def state_of(job: Job) -> tuple[State, str]:
    """What is in a job's own folder; and if that is of no use, why."""
    if not (job.folder / "members.parquet").exists():
        return "open", ""
    found = read_metadata(job.folder).get("fingerprint")
    if found is not None and found != job.fingerprint:
        return "other", "the results of another configuration, or of other data"
    try:
        for name in ("members", "history"):
            read_table(job.folder, name)
    except NewerVersionError:
        return "other", "tables of a later version of initlab"
    except UserError as error:
        return "damaged", str(error).partition("; remove")[0]
    if found is None:
        return "other", "results that do not say what they are of"
    return ("open" if (job.folder / "error.txt").exists() else "finished"), ""


def outcome(job: Job, run: str) -> Literal["finished", "failed"] | None:
    """What a run has made of a job; None if it has not come to an end with it.

    Args:
        job: The job whose folder is looked into.
        run: `Run.identity`, which metadata.json keeps: what other runs left does not count.
    """
    metadata = read_metadata(job.folder)
    if metadata.get("run") != run:
        return None
    whole = (job.folder / "members.parquet").exists() and not (job.folder / "error.txt").exists()
    return "finished" if metadata.get("status") == "finished" and whole else "failed"


def write_job(job: Job, tables: JobTables, tracking: JobTracking, run: str) -> None:
    """Write what a job measured: members.parquet last, which marks the job as finished.

    Args:
        job: The job whose folder is written to.
        tables: What was measured of all its members.
        tracking: The job's logger, which gets the final results and is closed.
        run: `Run.identity`, for metadata.json.

    Raises:
        OSError: a file cannot be written, because the disk is full, say.
    """
    (job.folder / "members.parquet").unlink(missing_ok=True)  # of a former run: it marks the job as finished
    write_description(job.folder, job.resolved, _metadata(job, run, status="finished"))
    write_table(job.folder, "history", tables.history)
    if tables.signal is not None:
        write_table(job.folder, "signal", tables.signal)
    tracking.finish(tables)
    (job.folder / "error.txt").unlink(missing_ok=True)
    write_table(job.folder, "members", tables.members)


def write_failure(job: Job, reason: str, run: str) -> None:
    """Write error.txt into a job's folder; where even that fails, print the reason.

    Args:
        job: What failed; its configuration is written below the reason.
        reason: A traceback or a sentence, printed where the file cannot be written.
        run: `Run.identity`, for metadata.json.
    """
    try:
        text = f"{reason}\n{config_text(job.resolved)}"
        write_whole(job.folder / "error.txt", lambda path: path.write_text(text, encoding="utf-8"))
        metadata = json.dumps(_metadata(job, run, status="failed"), indent=2)
        write_whole(job.folder / "metadata.json", lambda path: path.write_text(f"{metadata}\n", encoding="utf-8"))
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


def _metadata(job: Job, run: str, *, status: str) -> dict[str, Any]:
    return describe_machine(job.config.trainer.accelerator) | {
        "status": status,
        "run": run,
        "fingerprint": job.fingerprint,
        "seeds": list(job.seeds),
        "data_checksum": job.dataset.checksum,
        "validates_on_test": job.dataset.validates_on_test,
    }
