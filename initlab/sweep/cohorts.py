"""Which members train together."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from math import ceil
from typing import Any, Final

from initlab.base.wording import counted
from initlab.jobs.job import Job
from initlab.jobs.share import Share

# Jobs of a cohort, at most: those of more are divided, and each part has half as many at least, enough for a bundle.
MANY: Final = 200
ENOUGH: Final = 500  # members of a cohort of many jobs


@dataclass(frozen=True, eq=False)
class Cohort:
    """Members that train together: the unit of work of a sweep.

    Attributes:
        shares: The members, as shares of jobs that have one `Job.program`, in the order in which they are stacked.
    """

    shares: tuple[Share, ...]

    @property
    def program(self) -> str:
        """What all of its members share, as `Job.program` says it."""
        return self.shares[0].job.program

    @property
    def members(self) -> int:
        """Number of its members."""
        return sum(len(share.seeds) for share in self.shares)

    @property
    def splits(self) -> int:
        """How many different seeds its members have, each of which may have a split of the data of its own."""
        return len({seed for share in self.shares for seed in share.seeds})

    @property
    def member_epochs(self) -> int:
        """Its size, as progress counts it: members times epochs."""
        return self.members * self.shares[0].job.config.trainer.max_epochs

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """Its members as plain data: of each share the job's name and fingerprint, and the seeds."""
        return [
            {
                "job": share.job.name,
                "fingerprint": share.job.fingerprint,
                "seeds": list(share.seeds),
            }
            for share in self.shares
        ]

    @cached_property
    def folder_name(self) -> str:
        """Name of its folder, 16 hex digits: the same for the same members, whenever they are planned."""
        return hashlib.sha256(json.dumps(self.manifest).encode()).hexdigest()[:16]

    @property
    def description(self) -> str:
        """The cohort in a few words: `4 jobs, 40 members`, or the job's name in place of `1 job`."""
        names = {share.job.name for share in self.shares}
        whose = self.shares[0].job.name if len(names) == 1 else counted(len(names), "job")
        return f"{whose}, {counted(self.members, 'member')}"

    def halves(self) -> tuple["Cohort", "Cohort"]:
        """Two cohorts of about half its members each; it must have at least two."""
        first, second = cut(self.shares, ceil(self.members / 2))
        return first, second


def cut(shares: Iterable[Share], most: int) -> list[Cohort]:
    """Split members, in their order, into cohorts of about equal size and at most `most` members."""
    members = [(share.job, seed) for share in shares for seed in share.seeds]
    count = ceil(len(members) / most)
    ends = [round(len(members) * part / count) for part in range(count + 1)]
    return [Cohort(tuple(shares_of(members[start:end]))) for start, end in pairwise(ends)]


def shares_of(members: Iterable[tuple[Job, int]]) -> list[Share]:
    """Put members, each a job and a seed, into shares: one for each run of members of a job."""
    return [
        Share(run[0][0], tuple(seed for _, seed in run))
        for run in (list(group) for _, group in groupby(members, key=lambda member: member[0].name))
    ]


def form_cohorts(
    shares: Sequence[Share], *, workers: int, most: Mapping[str, int], vectorized: Collection[str]
) -> list[Cohort]:
    """Form cohorts of the members that are to be trained, in the order of their jobs.

    Under vmap members of one program go through every operation together. Under the loop engine that gains nothing:
    there each job is a cohort of its own, so that it is finished early, or several cohorts if else a worker would be
    idle. Of many jobs a cohort has no more than `MANY`, or than have `ENOUGH` members: more gain nothing, and what a
    cohort needs, its networks and tables, is there for all of its jobs at once.

    Args:
        shares: The members that are to be trained, each in one share.
        workers: How many cohorts train at a time, at least 1.
        most: By `Job.program`, how many members a cohort may have.
        vectorized: Each `Job.program` whose members train under vmap.
    """
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
        for some in _divided(group):
            cohorts += cut(some, limit)
    return cohorts


def _divided(shares: Sequence[Share]) -> list[Sequence[Share]]:
    """Shares of many jobs in parts of about equal size, none of which is divided; those of a few jobs as they are."""
    most = max(MANY, ENOUGH * len(shares) // sum(len(share.seeds) for share in shares))
    ends = [round(len(shares) * part / parts) for parts in [ceil(len(shares) / most)] for part in range(parts + 1)]
    return [shares[start:end] for start, end in pairwise(ends)]
