"""How far a sweep is, while it trains."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from initlab.base.console import say
from initlab.base.wording import counted, duration_text
from initlab.sweep.cohorts import Cohort

LEAST_SHARE = 0.02  # of the work, and
LEAST_SECONDS = 3.0  # of it, before it is said how long the rest takes
LEAST_BAR = 4  # characters
LEAST_NAME = 8  # characters of a name that say anything
ROOM = len("100 %") + len("≈ 100.5 h left") + 3  # characters that a line needs beside title and bar, with the gaps
ROOM_FOR_SPEED = len("1,000,000 member-epochs/s") + 1
WIDE = 100  # characters of a terminal in which the speed has room


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


def bar_width(width: int) -> int:
    """Characters of a bar in a terminal of so many columns: a tenth, and never none."""
    return max(LEAST_BAR, width // 10)


def title_within(width: int, place: str, what: str = "", how_many: str = "") -> str:
    """What a bar is called, in so many characters: the middle of the longest part goes first, then whole parts do.

    Example:
        >>> title_within(40, "cohort 9 of 9", "data=arrays,init=torch_default,optim.lr=0.0316", "4 members")
        'cohort 9 of 9: data=ar…0.0316, 4 members'
        >>> title_within(20, "cohort 9 of 9", "data=arrays,init=torch_default,optim.lr=0.0316", "4 members")
        'cohort 9 of 9'

    Args:
        width: The most characters.
        place: Which one of several it is.
        what: What it is at work on, of any length.
        how_many: How much of it.
    """
    before = f"{place}: " if place and what else place
    for behind in (f", {how_many}" if how_many else "", ""):
        left = width - len(before) - len(behind)
        if what and left >= min(LEAST_NAME, len(what)):
            return f"{before}{_without_middle(what, left)}{behind}"
    return _without_middle(place or what, width)


def _without_middle(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    tail = max(0, width - 1) // 2
    return f"{text[: max(0, width - 1 - tail)]}…{text[len(text) - tail :]}"


class Title(ProgressColumn):
    """What trains now, in the room that the rest of the line leaves: a bar is one line, however long a name is.

    Args:
        console: Where the bar is shown; the task's fields are the arguments of `title_within`.
        others: Characters of all other columns, with a space before each.
    """

    def __init__(self, console: Console, others: int) -> None:
        super().__init__(Column(no_wrap=True))
        self._console, self._others = console, others

    def render(self, task: Task) -> Text:
        """The title, as long as there is room for it now."""
        fields = {key: str(task.fields.get(key, "")) for key in ("place", "what", "how_many")}
        return Text(title_within(self._console.width - self._others, **fields))


class _Percent(ProgressColumn):
    """How much is done; 100 % is all of it, and not a little less."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        return Text(f"{int(task.percentage):>3} %")


class _Speed(ProgressColumn):
    """Members × epochs a second."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(Column(no_wrap=True))
        self._pace = pace

    def render(self, task: Task) -> Text:  # noqa: ARG002
        rate = self._pace.rate()
        return Text("" if rate is None else f"{rate:,.0f} member-epochs/s", style="cyan")


class _Remaining(ProgressColumn):
    """How long the rest takes, once that can be said."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(Column(no_wrap=True))
        self._pace = pace

    def render(self, task: Task) -> Text:
        seconds = None if task.finished else self._pace.remaining()
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
    member_epochs = Pace(sum(cohort.member_epochs for cohort in cohorts))
    total = sum(cohort.member_epochs * seconds[cohort.program] for cohort in cohorts)
    work = Pace(total)
    bar_of, speed = bar_width(console.width), [_Speed(member_epochs)] if console.width >= WIDE else []
    others = bar_of + ROOM + (ROOM_FOR_SPEED if speed else 0)
    with Progress(
        Title(console, others),
        BarColumn(bar_of),
        _Percent(),
        *speed,
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
        self._task = bar.add_task("", total=total, place=self._count)

    @property
    def _count(self) -> str:
        return f"{self._finished} of {counted(self._cohorts, 'cohort')}"

    def start(self, cohort: Cohort) -> None:
        """Name the cohort that trains now, where it is a single one."""
        place = "" if self._cohorts == 1 else f"cohort {self._finished + 1} of {self._cohorts}"
        what, _, how_many = cohort.description.rpartition(", ")
        self._bar.update(self._task, place=place, what=what, how_many=how_many)

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
        self._bar.update(self._task, place=self._count, what="", how_many="")
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            what, _, how_many = cohort.description.rpartition(", ")
            parts = [f"cohort {self._finished} of {self._cohorts}: {what},", f"{how_many}, after {seconds:.1f} s"]
            fits = len(" ".join(parts)) <= self._console.width
            say(self._console, (" " if fits else "\n  ").join(parts))
