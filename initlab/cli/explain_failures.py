"""Why networks that learned nothing did not: the probe's verdict on them, before training, kept beside their scores."""

import json
import time
from collections.abc import Sequence
from typing import Final

from initlab.base.console import plain_warnings
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.job import Job
from initlab.propagation.verdict import judge
from initlab.results.baseline import learned_nothing
from initlab.tables.store import read_metadata, read_table, write_metadata

SEEDS: Final = 2  # networks of a job that are looked at
SECONDS: Final = 5.0  # after which no further job is looked at
MOST_WEIGHTS: Final = 5_000_000  # of a network that is looked at


def explain_failures(jobs: Sequence[Job]) -> None:
    """Look at the untrained networks of finished jobs that learned nothing, and keep the verdict in metadata.json.

    Jobs that differ in their learning rate alone have the same untrained networks, and are looked at once. It takes
    milliseconds for small networks; large ones, and more than a few seconds' worth, are left unexplained.

    Args:
        jobs: Those of a command, each named after its folder; those that are not finished, that learned, or that were
            looked at before are passed over.
    """
    started = time.monotonic()
    known: dict[str, dict[str, str]] = {}
    for job in jobs:
        if not (job.folder / "members.parquet").exists():
            continue
        metadata = read_metadata(job.folder)
        if "outlook" in metadata or not learned_nothing(read_table(job.folder, "members"), metadata.get("baseline")):
            continue
        key = json.dumps(without_keys(job.resolved, {*NOT_IDENTITY, "optim"}), sort_keys=True)
        if key not in known:
            if time.monotonic() - started > SECONDS:
                return
            known[key] = _verdict(job)
        if known[key]:
            write_metadata(job.folder, {**metadata, **known[key]})


def _verdict(job: Job) -> dict[str, str]:
    """The probe's verdict on a few networks of a job, as metadata.json has it; empty where there is none to be had."""
    from initlab.cli.run_probe import probe_job

    try:
        if sum(parameter.numel() for parameter in job.build_model().parameters()) > MOST_WEIGHTS:
            return {}
        with plain_warnings():
            found = judge(probe_job(job.with_seeds(job.seeds[:SEEDS])).signal)
    except Exception:  # whatever cannot be looked at has trained all the same
        return {}
    return {"outlook": found.outlook, "reason": found.reason}
