"""The folder of a job: what is found in it, and what a run leaves there."""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any, Final, Literal

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole
from initlab.base.machine import describe_machine
from initlab.base.wording import listed
from initlab.jobs.job import Job
from initlab.sweep.weights import has_weights, write_weights
from initlab.tables.job_tables import JobTables
from initlab.tables.store import (
    NewerVersionError,
    changed_sources,
    config_text,
    read_failure,
    read_metadata,
    read_table,
    write_description,
    write_metadata,
    write_table,
)
from initlab.tracking.callback import JobTracking
from initlab.tracking.loggers import remove_logs

OTHER: Final = "the results of another configuration, or of other data"

State = Literal["open", "finished", "damaged", "other"]


def state_of(job: Job) -> tuple[State, str]:
    """What is in a job's own folder; and if that is of no use, why."""
    if not (job.folder / "members.parquet").exists():
        return "open", ""
    metadata = read_metadata(job.folder)
    found = metadata.get("fingerprint")
    if found is not None and found != job.fingerprint:
        changed = changed_sources(metadata.get("sources"), job.made_of)
        return "other", f"the results of another {listed(changed)}" if changed else OTHER
    try:
        for name in ("members", "history"):
            read_table(job.folder, name)
    except NewerVersionError:
        return "other", "tables of a later version of initlab"
    except UserError as error:
        return "damaged", str(error).partition("; remove")[0]
    if found is None:
        return "other", "results that do not say what they are of"
    if not has_weights(job):
        return "open", ""
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


def write_job(job: Job, tables: JobTables, tracking: JobTracking, run: str, command: str | None = None) -> None:
    """Write what a job measured: members.parquet last, which marks the job as finished.

    Args:
        job: The job whose folder is written to.
        tables: What was measured of all its members.
        tracking: The job's logger, which gets the final results and is closed.
        run: `Run.identity`, for metadata.json.
        command: `Run.command`, for metadata.json.

    Raises:
        OSError: a file cannot be written, because the disk is full, say.
    """
    (job.folder / "members.parquet").unlink(missing_ok=True)  # of a former run: it marks the job as finished
    write_description(job.folder, job.resolved, _metadata(job, run, command, status="finished"))
    write_table(job.folder, "history", tables.history)
    if tables.signal is not None:
        write_table(job.folder, "signal", tables.signal)
    if tables.rows is not None:
        write_table(job.folder, "rows", tables.rows)
    else:
        (job.folder / "rows.parquet").unlink(missing_ok=True)  # of a former run
    write_weights(job, tables.members)
    tracking.finish(tables)
    (job.folder / "error.txt").unlink(missing_ok=True)
    write_table(job.folder, "members", tables.members)


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
        write_metadata(job.folder, _metadata(job, run, command, status="failed"))
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
            "sources": job.made_of,
            "data_checksum": job.data.checksum,
            "validates_on_test": job.dataset.validates_on_test,
            "resplit": job.resplits,
            "baseline": baseline,
            "validation_baseline": validation_baseline,
        }
    return describe_machine(job.config.trainer.accelerator, command) | known
