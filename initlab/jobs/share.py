"""Shares: the members of a job that train in one cohort."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from initlab.jobs.job import Job
from initlab.jobs.member import Member


@dataclass(frozen=True, eq=False)
class Share:
    """The members of one job that train in one cohort: all of them, or some.

    Attributes:
        job: The job that these members belong to.
        seeds: The seeds of these members, ascending: the job's, or some of them.
    """

    job: Job
    seeds: Sequence[int]

    @property
    def complete(self) -> bool:
        """Whether these are all of the job's members."""
        return tuple(self.seeds) == self.job.seeds

    def members(self) -> list[Member]:
        """The members, one for each seed."""
        return [self.job.member(seed) for seed in self.seeds]


def rows_of(shares: Sequence[Share]) -> list[slice]:
    """Where each share's members stand in the stack of a cohort.

    Args:
        shares: In the order in which their members are stacked.

    Returns:
        One slice for each share.
    """
    ends = list(accumulate(len(share.seeds) for share in shares))
    return [slice(end - len(share.seeds), end) for share, end in zip(shares, ends, strict=True)]
