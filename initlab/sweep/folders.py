"""The folder of a job: what is found in it, and what a run notes there."""

import contextlib
import errno
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole
from initlab.base.machine import describe_machine
from initlab.base.wording import listed
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.fingerprint import RESULTS_VERSION
from initlab.jobs.job import Job
from initlab.sweep import weights
from initlab.tables.bundles import (
    bundle_of,
)
from initlab.tables.job_tables import JobTables, read_tables
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
    write_metadata,
)

OTHER: Final = "the results of another configuration, or of other data"

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


def remove_empty(folder: Path) -> None:
    """Remove a folder that holds nothing."""
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def seeds_of_run(job: Job, run: str) -> frozenset[int]:
    """The seeds that a job's tables have, if a run has written them; else none."""
    metadata = read_metadata(job.folder)
    ours = metadata.get("run") == run and has_results(job.folder)
    return frozenset(metadata.get("seeds", ())) if ours else frozenset()


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
        remove_empty(job.folder)


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
        metadata = describe(job, run, command, status="failed")
        if has_results(job.folder):  # what it says of these results stays true
            metadata = {**read_metadata(job.folder), "status": "failed", "run": run}
        write_metadata(job.folder, metadata)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        sys.stderr.write(f"{job.name}: {reason.strip().splitlines()[-1]}\n" if full else f"{job.name}:\n{reason}")


def reason_of(job: Job) -> str:
    """Why a job failed, in one line; `see above` where no error.txt could be written."""
    return read_failure(job.folder) if (job.folder / "error.txt").exists() else "see above"


def describe(job: Job, run: str, command: str | None, *, status: str) -> dict[str, Any]:
    """What metadata.json has of a job, its data, and the machine.

    Args:
        job: The job, with the seeds that the description is of.
        run: `Run.identity`.
        command: `Run.command`.
        status: What became of it, `finished` or `failed`.
    """
    return describe_machine(job.config.trainer.accelerator, command) | known_of(job, run, status=status)


def known_of(job: Job, run: str, *, status: str) -> dict[str, Any]:
    """What is known of a job and its data, for metadata.json.

    Args:
        job: The job, with the seeds that the description is of.
        run: `Run.identity`.
        status: What became of it, `finished` or `failed`.
    """
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
