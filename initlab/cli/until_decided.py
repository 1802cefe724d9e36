"""`seeds=auto`: train a first batch, look at what it shows, and add seeds where a pair is still undecided."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console

from initlab.base.console import say
from initlab.base.errors import UserError
from initlab.base.wording import counted
from initlab.jobs.job import Job
from initlab.jobs.looks import look_sizes
from initlab.sweep.folders import note_looks

if TYPE_CHECKING:
    from initlab.results.sequential import Look
    from initlab.results.study import Study

# Trains given seeds of jobs, by their names, as far as they are not there; returns the names of those that have failed.
Train = Callable[[Mapping[str, Sequence[int]]], Sequence[str]]


@dataclass(frozen=True)
class Interest:
    """What a command wants to be decided.

    Attributes:
        pairs: All pairs of a condition, or those with its best candidate.
        tune: Whether each candidate counts at its best learning rate, even if nothing else differs.
    """

    pairs: Literal["all", "best"] = "all"
    tune: bool = False


EVERY_PAIR: Final = Interest()


def check_looks(jobs: Sequence[Job]) -> None:
    """Refuse jobs of one command that would be looked at with different seeds.

    Raises:
        UserError: with `seeds=auto` they differ in what says with which seeds.
    """
    if all(job.config.seeds != "auto" for job in jobs):
        return
    for key in ("seeds", "seed"):
        values = list(dict.fromkeys(getattr(job.config, key) for job in jobs))
        if len(values) > 1:
            several = " and ".join(map(str, values[:2]))
            raise UserError(f"{key}: with seeds=auto one value holds for all jobs, not {several}")


def train_until_decided(jobs: Sequence[Job], train: Train, console: Console, interest: Interest) -> None:
    """Train the first seeds of all jobs, and more of those of which a pair is undecided; a line is said a look.

    What an interrupted command had decided is decided again by the same seeds, so that it goes on where it was.

    Args:
        jobs: All that can train, of one study, each named after its folder.
        train: Trains seeds.
        console: The terminal.
        interest: What is to be decided.
    """
    started, config = time.monotonic(), jobs[0].config
    sizes = look_sizes(config.max_seeds)
    failed = train({job.name: job.seeds for job in jobs})
    note_looks(jobs)
    for size, next_size in zip(sizes, [*sizes[1:], None], strict=True):
        found = _look(jobs, size, failed, interest)
        if found is None:
            return
        study, look = found
        if not look.pairs:
            among = " among these jobs" if study.members["job"].nunique() > len(jobs) else ""
            say(console, f"seeds=auto: nothing to compare{among}, so that {counted(size, 'seed')} are enough")
            return
        if not look.helped or next_size is None:
            say(console, look.words + _why_it_ends(look, failed, config.max_seeds, at_most=next_size is None))
            return
        wanted = range(config.seed, config.seed + next_size)
        more = _most_missing(study, look.helped, wanted)
        if not more:  # an interrupted command has said it
            continue
        minutes = (time.monotonic() - started) / 60
        if config.max_minutes is not None and minutes >= config.max_minutes:
            say(console, f"{look.words}; max_minutes={config.max_minutes:g} leaves the others open")
            return
        say(console, look.going_on(more))
        failed = train(dict.fromkeys(look.helped, wanted))


def _look(jobs: Sequence[Job], size: int, failed: Collection[str], interest: Interest) -> "tuple[Study, Look] | None":
    """Look at the jobs of a study with so many seeds; None where there is nothing to see.

    Returns:
        The study with whatever seeds it has, and what these first ones show.
    """
    from initlab.results.analysis import analyse  # pandas and scipy, which take seconds to import
    from initlab.results.sequential import look_at, seen_with
    from initlab.results.study import read_study

    config, study = jobs[0].config, read_study(jobs[0].study_folder)
    if study.members.empty:
        return None
    earlier = study.members.loc[study.members["seed"] < config.seed, "seed"].nunique()
    analysis = analyse(seen_with(study, config.seed, size), margin=config.margin, tune=interest.tune)
    names = {job.name for job in jobs}
    most = config.max_seeds + earlier
    return study, look_at(analysis, interest=interest.pairs, most=most, jobs=names, failed=failed)


def _why_it_ends(look: "Look", failed: Collection[str], most: int, *, at_most: bool) -> str:
    """Why no seeds are added though pairs may be open, to go on with after how many are decided."""
    if look.decided == look.pairs:
        return ""
    if at_most:
        return f"; max_seeds={most} leaves the others open"
    return f"; up to {most} would hardly decide the others" if not failed else "; more would not decide the others"


def _most_missing(study: "Study", jobs: Sequence[str], seeds: Sequence[int]) -> int:
    """How many of some seeds a job lacks, the one that lacks most."""
    members = study.members[study.members["seed"].isin(seeds)]
    there = members.groupby("job", sort=False)["seed"].nunique().reindex(list(jobs), fill_value=0)
    return len(seeds) - int(there.min())
