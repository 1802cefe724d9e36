"""Which members train together."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from typing import Any

from initlab.base.machine import device_name
from initlab.base.wording import counted
from initlab.cohort.run import convolves
from initlab.jobs.job import Job
from initlab.jobs.share import Share


@dataclass(frozen=True, eq=False)
class Cohort:
    """Shares of jobs of one program, whose members train together; the unit of work of a sweep."""

    shares: tuple[Share, ...]

    @property
    def members(self) -> int:
        """How many."""
        return sum(len(share.seeds) for share in self.shares)

    @property
    def member_epochs(self) -> int:
        """Its size, as progress counts it."""
        return self.members * self.shares[0].job.config.trainer.max_epochs

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """Who is in it, as plain data."""
        return [
            {
                "job": share.job.name,
                "fingerprint": share.job.fingerprint,
                "first_seed": share.seeds.start,
                "seeds": len(share.seeds),
            }
            for share in self.shares
        ]

    @cached_property
    def identity(self) -> str:
        """The same for the same members, whenever they are planned."""
        return hashlib.sha256(json.dumps(self.manifest).encode()).hexdigest()[:16]

    @property
    def description(self) -> str:
        """In a few words: `4 jobs, 40 members`."""
        whose = self.shares[0].job.name if len(self.shares) == 1 else counted(len(self.shares), "job")
        return f"{whose}, {counted(self.members, 'member')}"

    def halves(self) -> tuple["Cohort", "Cohort"]:
        """Two cohorts of about half its members each."""
        first, second = cut(self.shares, ceil(self.members / 2))
        return first, second


def cut(shares: Iterable[Share], most: int) -> list[Cohort]:
    """Cohorts of at most `most` members and about equal size, of all members in their order."""
    members = [(share.job, seed) for share in shares for seed in share.seeds]
    count = ceil(len(members) / most)
    ends = [round(len(members) * part / count) for part in range(count + 1)]
    return [Cohort(tuple(shares_of(members[start:end]))) for start, end in pairwise(ends)]


def shares_of(members: Iterable[tuple[Job, int]]) -> list[Share]:
    """Jobs and seeds as shares: one for each run of consecutive seeds of a job."""
    shares: list[Share] = []
    for job, seed in members:
        if shares and shares[-1].job is job and shares[-1].seeds.stop == seed:
            shares[-1] = Share(job, range(shares[-1].seeds.start, seed + 1))
        else:
            shares.append(Share(job, range(seed, seed + 1)))
    return shares


def form_cohorts(shares: Sequence[Share], *, workers: int, most: Mapping[str, int]) -> list[Cohort]:
    """Put members together, in the order of their jobs.

    Members of one program share every operation under vmap. Under the loop engine sharing gains nothing: there each
    job is a cohort, that it is finished early, or several, where there would be too few to keep all workers busy.

    Args:
        shares: What is to be trained.
        workers: How many cohorts train at a time.
        most: The members that a cohort of a program may have.
    """
    programs = {share.job.program: share.job for share in shares}
    vectorized = {program for program, job in programs.items() if runs_vectorized(job)}
    groups: dict[str, list[Share]] = {}
    for share in shares:
        key = share.job.program if share.job.program in vectorized else share.job.name
        groups.setdefault(key, []).append(share)
    loops = [key for key in groups if key not in vectorized]
    # Two cohorts a worker even out what one takes longer than another.
    parts = 1 if workers == 1 or len(loops) >= 2 * workers else ceil(2 * workers / max(1, len(loops)))
    cohorts = []
    for key, group in groups.items():
        limit = most[group[0].job.program]
        if key in loops:
            limit = min(limit, ceil(sum(len(share.seeds) for share in group) / parts))
        cohorts += cut(group, limit)
    return cohorts


def runs_vectorized(job: Job) -> bool:
    """Whether a job's members can train by vmap, as far as can be told before its cohort is built."""
    if job.config.engine == "auto":
        return not (convolves(job) and device_name(job.config.trainer.accelerator) == "cpu")
    return job.config.engine == "vmap"
