"""Shares: the members of a job that train in one cohort."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from initlab.jobs.job import Job, Member


@dataclass(frozen=True, eq=False)
class Share:
    """Some members of one job, that train in one cohort.

    Attributes:
        job: Theirs.
        seeds: Of these members; a part of the job's.
    """

    job: Job
    seeds: range

    @property
    def complete(self) -> bool:
        """Whether these are all of the job's members."""
        return self.seeds == self.job.seeds

    def members(self) -> list[Member]:
        """Its members, one a seed."""
        return [member for member in self.job.members() if member.seed in self.seeds]


def rows_of(shares: Sequence[Share]) -> list[slice]:
    """Where each share's members stand in the stack."""
    ends = list(accumulate(len(share.seeds) for share in shares))
    return [slice(end - len(share.seeds), end) for share, end in zip(shares, ends, strict=True)]
