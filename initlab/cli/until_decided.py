"""`seeds=auto`: train a first batch, look at what it shows, and add seeds where a pair is still undecided."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from rich.console import Console

from initlab.base.console import say
from initlab.base.wording import counted
from initlab.config.schema import Config
from initlab.jobs.job import Job
from initlab.jobs.looks import look_sizes

Train = Callable[[Mapping[str, Sequence[int]]], None]


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


def train_until_decided(
    jobs: Sequence[Job], config: Config, train: Train, folder: Path, console: Console, interest: Interest
) -> list[str]:
    """Train the first seeds of all jobs, and more of those of which a pair is undecided; a line is said a look.

    What an interrupted command had decided is decided again by the same seeds, so that it goes on where it was.

    Args:
        jobs: All that can train, each named after its folder.
        config: Of any of them: where the first seed, the limits and the margin stand.
        train: Trains given seeds of jobs, by their names, as far as they are not there.
        folder: The study's.
        console: The terminal.
        interest: What is to be decided.

    Returns:
        Names of the jobs that got more seeds than the first.
    """
    started, sizes, extended = time.monotonic(), look_sizes(config.max_seeds), list[str]()
    wanted: Sequence[str] = [job.name for job in jobs]
    for place, size in enumerate(sizes):
        train({name: range(config.seed, config.seed + size) for name in wanted})
        further = sizes[place + 1] if place + 1 < len(sizes) else size
        wanted = _undecided(folder, config, size, further, console, interest)
        if not wanted or further == size:
            break
        minutes = (time.monotonic() - started) / 60
        if config.max_minutes is not None and minutes >= config.max_minutes:
            say(
                console,
                f"stopped after {minutes:.1f} minutes (max_minutes={config.max_minutes:g}): some pairs are open",
            )
            break
        extended += [name for name in wanted if name not in extended]
    return extended


def _undecided(
    folder: Path, config: Config, size: int, further: int, console: Console, interest: Interest
) -> Sequence[str]:
    """Look at a study with so many seeds, say what it shows, and name the jobs that need more."""
    from initlab.results.analysis import analyse  # pandas and scipy, which take seconds to import
    from initlab.results.sequential import first_seeds, look_at
    from initlab.results.study import read_study

    study = read_study(folder)
    if study.members.empty:
        return []
    analysis = analyse(first_seeds(study, config.seed, size), margin=config.margin, tune=interest.tune)
    look = look_at(analysis, interest=interest.pairs, most=config.max_seeds)
    if not look.pairs:
        say(console, f"seeds=auto: nothing to compare, so that {counted(size, 'seed')} are enough")
        return []
    say(console, look.words(size, further))
    return look.helped
