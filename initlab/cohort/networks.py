"""A share's networks with their initial weights."""

import warnings
from collections.abc import MutableMapping

import torch

from initlab.base.errors import InitializationWarning
from initlab.base.threads import intra_op_threads, threads_of_cohort
from initlab.cohort.engines import has_convolutions
from initlab.jobs.building import build_members
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.stack import Network


def build_networks(
    share: Share,
    *,
    threads: int | None = None,
    known: dict[int, Network] | None = None,
    seconds: MutableMapping[int, float] | None = None,
) -> list[Network]:
    """Build a share's members; what their initializer warns of is said once for all of them.

    Args:
        share: Which members of which job to build.
        threads: CPU threads for an initializer that computes much; None: as for training.
        known: By seed, members that were built for jobs of the same `Job.start`; those that are built here are added.
        seconds: Gets, by seed, the processor time that the initializer took of each that is built here.

    Returns:
        Networks with their initial weights, or the numbers of these, one a member, in the order of the seeds.

    Raises:
        RefusedError: the initializer and the network do not fit.
    """
    job = share.job
    if threads is None:
        threads = threads_to_build(job)
    with intra_op_threads(threads), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InitializationWarning)
        known = {} if known is None else known
        lacking = [member for member in share.members() if member.seed not in known]
        known.update(
            zip((member.seed for member in lacking), build_members(job, lacking, seconds=seconds), strict=True)
        )
        networks = [known[seed] for seed in share.seeds]
    missed = [str(warning.message) for warning in caught if issubclass(warning.category, InitializationWarning)]
    for warning in caught:
        if not issubclass(warning.category, InitializationWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if missed:
        differ = len(set(missed)) > 1  # else it is so of every network, or of each of its layers
        others = f" (and {len(missed) - 1} more like this in its networks)" if differ else ""
        warnings.warn(f"{job.name}: {missed[0]}{others}", InitializationWarning, stacklevel=2)
    return networks


def threads_to_build(job: Job) -> int:
    """Threads that build a job's networks, one network after another."""
    configured = job.config.threads
    if configured != "auto":  # no network has to be built to see what it is
        return configured
    return threads_of_cohort(configured, alone=convolves(job), members=1)


def convolves(job: Job) -> bool:
    """Whether a job's networks have convolutions; one is built to see it, and torch's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return has_convolutions(job.network.build())
