"""How far a sweep is, while it trains."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from initlab.base.console import say
from initlab.base.wording import counted
from initlab.sweep.cohorts import Cohort


class _Speed(ProgressColumn):
    """Members × epochs a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} member-epochs/s" if task.speed else "", style="cyan")


@contextmanager
def progress_bar(console: Console, cohorts: Sequence[Cohort]) -> Iterator["SweepProgress"]:
    """A bar for a whole sweep; where the output is no terminal, a line a cohort."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns,
        _Speed(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield SweepProgress(console, bar, cohorts)


class SweepProgress:
    """Counts member-epochs over the cohorts of a sweep."""

    def __init__(self, console: Console, bar: Progress, cohorts: Sequence[Cohort]) -> None:
        self._console, self._bar = console, bar
        self._cohorts, self._finished, self._started = len(cohorts), 0, time.monotonic()
        self._task = bar.add_task(self._title, total=sum(cohort.member_epochs for cohort in cohorts))

    @property
    def _title(self) -> str:
        return f"{self._finished} of {counted(self._cohorts, 'cohort')}"

    def start(self, cohort: Cohort) -> None:
        """Name the cohort that trains now, where it is a single one."""
        place = "" if self._cohorts == 1 else f"cohort {self._finished + 1} of {self._cohorts}: "
        self._bar.update(self._task, description=f"{place}{cohort.description}")

    def advance(self, member_epochs: float) -> None:
        """Count work done."""
        self._bar.advance(self._task, member_epochs)

    def finish(self, cohort: Cohort) -> None:
        """Count a cohort."""
        self._finished += 1
        self._cohorts = max(self._cohorts, self._finished)  # some may have been halved
        self._bar.update(self._task, description=self._title)
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._started
            line = f"cohort {self._finished} of {self._cohorts}: {cohort.description}, after {seconds:.1f} s"
            say(self._console, line)
