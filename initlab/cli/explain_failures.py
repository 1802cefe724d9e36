"""Why networks learned nothing, or started far above a guess: what a probe finds in them, kept beside their scores."""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from initlab.base.errors import InitializationWarning
from initlab.jobs.job import Job
from initlab.propagation.verdict import judge
from initlab.results.baseline import learned_nothing
from initlab.results.first_losses import starts_far
from initlab.tables.store import has_results, read_metadata, read_table, rewrite_metadata

SEEDS: Final = 2  # networks of a job that are looked at
SECONDS: Final = 5.0  # after which no further job is looked at
MOST_WEIGHTS: Final = 5_000_000  # of a network that is looked at


def explain_failures(jobs: Sequence[Job]) -> None:
    """Look at the untrained networks of finished jobs that learned nothing or whose loss started far above chance.

    What is found is kept in metadata.json: the verdict, and which layer makes the first loss so large.

    Jobs that differ in their learning rate alone have the same untrained networks, and are looked at once. It takes
    milliseconds for small networks; large ones, and more than a few seconds' worth, are left unexplained.

    Args:
        jobs: Those of a command, each named after its folder; those that are not finished, of which there is nothing to
            explain, or that were looked at before are passed over.
    """
    started = time.monotonic()
    known: dict[str, dict[str, str]] = {}
    explained: dict[Path, dict[str, Any]] = {}
    for job in jobs:
        if not has_results(job.folder):
            continue
        metadata = read_metadata(job.folder)
        asked = _asked(metadata, read_table(job.folder, "members"))
        if not asked:
            continue
        key = job.start
        if key not in known:
            if time.monotonic() - started > SECONDS:
                break
            known[key] = _look(job)
        found = {name: text for name, text in known[key].items() if name in asked}
        if found:
            explained[job.folder] = {**metadata, **found}
    rewrite_metadata(explained)


def _asked(metadata: Mapping[str, Any], members: pd.DataFrame) -> frozenset[str]:
    """The keys of metadata.json that a probe of a job's networks would fill, and that are not there."""
    asked: set[str] = set()
    if learned_nothing(members, metadata.get("baseline")):
        asked |= {"outlook", "reason"}
    if starts_far(metadata):
        asked.add("first_loss_by")
    return frozenset(asked - metadata.keys())


def _look(job: Job) -> dict[str, str]:
    """What a probe finds in a few networks of a job, as metadata.json has it; empty where there is none to be had."""
    from initlab.sweep.probing import probe_job

    try:
        if sum(parameter.numel() for parameter in job.network.build().parameters()) > MOST_WEIGHTS:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InitializationWarning)  # given where the members were built to train
            probe = probe_job(job.with_seeds(job.seeds[:SEEDS]), quick=True)
            verdict = judge(probe.signal, probe.lags)
    except Exception:  # whatever cannot be looked at has trained all the same
        return {}
    blame = "" if probe.first_loss is None else probe.first_loss.blame
    return {"outlook": verdict.outlook, "reason": verdict.reason, "first_loss_by": blame}
