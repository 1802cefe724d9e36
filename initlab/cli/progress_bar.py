"""How far a sweep is, while it trains."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from initlab.base.console import say
from initlab.base.wording import counted, duration_text
from initlab.sweep.cohorts import Cohort

LEAST_SHARE = 0.02  # of the work, and
LEAST_SECONDS = 3.0  # of it, before it is said how long the rest takes


class Pace:
    """How fast work gets done, as a mean over all of it: what the last seconds did says little of other networks.

    Args:
        total: All the work, in any unit in which its parts compare.
        clock: Gives the time in seconds.
    """

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._done = self._before = 0.0
        self._began: float | None = None

    def add(self, work: float) -> None:
        """Count work done. Nobody knows how long the first piece took; the pace is that of the others."""
        self._done += work
        if self._began is None:
            self._began, self._before = self._clock(), self._done

    def rate(self) -> float | None:
        """Work a second; None as long as too little was done to say."""
        if self._began is None:
            return None
        seconds, done = self._clock() - self._began, self._done - self._before
        enough = seconds >= LEAST_SECONDS and done >= LEAST_SHARE * (self._total - self._before)
        return done / seconds if enough and done > 0 else None

    def remaining(self) -> float | None:
        """Seconds that the rest takes at this pace; None as long as too little was done to say."""
        rate = self.rate()
        return None if rate is None else max(0.0, self._total - self._done) / rate


class _Speed(ProgressColumn):
    """Members × epochs a second."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:  # noqa: ARG002
        rate = self._pace.rate()
        return Text("" if rate is None else f"{rate:,.0f} member-epochs/s", style="cyan")


class _Remaining(ProgressColumn):
    """How long the rest takes, once that can be said."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        seconds = self._pace.remaining()
        known = f"≈ {duration_text(seconds)} left" if seconds is not None else ""
        return Text(known or f"{duration_text(task.elapsed or 0)} so far", style="cyan")


@contextmanager
def progress_bar(
    console: Console, cohorts: Sequence[Cohort], seconds: Mapping[str, float]
) -> Iterator["SweepProgress"]:
    """A bar for a whole sweep; where the output is no terminal, a line a cohort.

    Args:
        console: Where it is shown.
        cohorts: What trains.
        seconds: By `Job.program`, what a member-epoch is expected to take, in any unit: a convolutional network's
            counts more than a small one's.
    """
    total = sum(cohort.member_epochs * seconds[cohort.program] for cohort in cohorts)
    member_epochs, work = Pace(sum(cohort.member_epochs for cohort in cohorts)), Pace(total)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns,
        _Speed(member_epochs),
        _Remaining(work),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield SweepProgress(console, bar, len(cohorts), seconds, total, member_epochs, work)


class SweepProgress:
    """Counts work over the cohorts of a sweep."""

    def __init__(
        self,
        console: Console,
        bar: Progress,
        cohorts: int,
        seconds: Mapping[str, float],
        total: float,
        member_epochs: Pace,
        work: Pace,
    ) -> None:
        self._console, self._bar, self._seconds = console, bar, seconds
        self._member_epochs, self._work = member_epochs, work
        self._cohorts, self._finished, self._started = cohorts, 0, time.monotonic()
        self._task = bar.add_task(self._title, total=total)

    @property
    def _title(self) -> str:
        return f"{self._finished} of {counted(self._cohorts, 'cohort')}"

    def start(self, cohort: Cohort) -> None:
        """Name the cohort that trains now, where it is a single one."""
        place = "" if self._cohorts == 1 else f"cohort {self._finished + 1} of {self._cohorts}: "
        self._bar.update(self._task, description=f"{place}{cohort.description}")

    def advance(self, cohort: Cohort, member_epochs: float) -> None:
        """Count work done on a cohort."""
        work = member_epochs * self._seconds[cohort.program]
        self._member_epochs.add(member_epochs)
        self._work.add(work)
        self._bar.advance(self._task, work)

    def finish(self, cohort: Cohort) -> None:
        """Count a cohort."""
        self._finished += 1
        self._cohorts = max(self._cohorts, self._finished)  # some may have been halved
        self._bar.update(self._task, description=self._title)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            line = f"cohort {self._finished} of {self._cohorts}: {cohort.description}, after {seconds:.1f} s"
            say(self._console, line)
