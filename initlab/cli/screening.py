"""Looking at schemes before training: how long it takes is shown, and the dear ones come last, or not at all."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from initlab.base.console import plain_warnings, say
from initlab.base.errors import UserError
from initlab.base.threads import intra_op_threads
from initlab.base.wording import counted, duration_text
from initlab.cli.progress_bar import Title, bar_width
from initlab.cohort.networks import threads_to_build
from initlab.initializers import find_scheme
from initlab.jobs.job import Job

SECONDS_TIMED = 0.2  # that a scheme's steps are timed for, about
MOST_TIMED = 10  # steps that are timed, beside the first


def is_dear(job: Job) -> bool:
    """Whether a job's scheme fits its weights by many steps of its own, which takes as long as some training."""
    scheme = find_scheme(job.init.scheme)
    return "loss" in scheme.needs and "steps" in scheme.defaults


def seconds_to_build(job: Job) -> float:
    """About how long a dear scheme takes for one network, from a few of its steps; 0 where a step fails.

    What building the network, its rows and the first step take is no part of the others: two counts of steps tell them
    apart. The more steps the shorter they are, so that a moment of the machine's counts for little.

    Args:
        job: A job for which `is_dear` is true.
    """
    scheme = find_scheme(job.init.scheme)
    steps = int(job.init.parameters.get("steps", scheme.defaults["steps"]))
    try:
        with plain_warnings(), intra_op_threads(threads_to_build(job)):
            _seconds(job, 1)  # the first one also loads what it needs
            first = _seconds(job, 1)
            more = min(MOST_TIMED, max(1, int(SECONDS_TIMED / first))) if first > 0 else MOST_TIMED
            each = max(0.0, _seconds(job, 1 + more) - first) / more
    except Exception:  # whatever is wrong with it, looking at it says
        return 0.0
    return first + each * (steps - 1)


def _seconds(job: Job, steps: int) -> float:
    """How long it takes to fill a network with so many of the scheme's own steps."""
    short = replace(job.init, parameters={**job.init.parameters, "steps": steps})
    before = time.perf_counter()
    job.build_member(replace(job.members()[0], init=short))
    return time.perf_counter() - before


def split_by_cost(jobs: Sequence[Job], networks: int, max_minutes: float | None) -> tuple[list[Job], list[str]]:
    """Put dear schemes last, and leave out those that would take too long.

    Args:
        jobs: One a scheme.
        networks: How many of its networks a scheme makes, for looking at them and for training.
        max_minutes: How long it may take for all of these; None: as long as it takes.

    Returns:
        The jobs that are left; and a line for each dear scheme, how long it takes or that it is left out.

    Raises:
        UserError: none is left.
    """
    dear = [job for job in jobs if is_dear(job)]
    left, lines = [job for job in jobs if job not in dear], []
    for job in dear:
        name, seconds = job.init.scheme, seconds_to_build(job) * networks
        if max_minutes is not None and seconds > 60 * max_minutes:
            lines.append(
                f"left out: {name} fits each network by steps of its own: {counted(networks, 'network')} would take "
                f"about {duration_text(seconds)}, and recommend.max_minutes={max_minutes:g}"
            )
            continue
        left.append(job)
        lines.append(f"{name} fits each network by steps of its own: {duration_text(seconds)} if it trains, too")
    if not left:
        raise UserError(f"{'; '.join(lines)}; raise it, or set null")
    return left, lines


@contextmanager
def screening_bar(console: Console, schemes: int) -> Iterator["ScreeningProgress"]:
    """A bar over the schemes that are looked at; where the output is no terminal, a line a scheme."""
    bar_of = bar_width(console.width)
    others = bar_of + 2 * len(str(schemes)) + len("/") + len("0:00:00") + 3
    columns = (Title(console, others), BarColumn(bar_of), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield ScreeningProgress(console, bar, schemes)


class ScreeningProgress:
    """Counts the schemes that were looked at."""

    def __init__(self, console: Console, bar: Progress, schemes: int) -> None:
        self._console, self._bar = console, bar
        self._task = bar.add_task("", total=schemes, place="looking")
        self._started = time.perf_counter()

    def start(self, scheme: str) -> None:
        """Name the scheme that is looked at now."""
        self._bar.update(self._task, place=f"looking at {scheme}")
        self._started = time.perf_counter()

    def finish(self, scheme: str, outlook: str) -> None:
        """Count a scheme."""
        self._bar.advance(self._task)
        if not self._console.is_terminal:
            say(self._console, f"  {scheme}: {outlook}, after {time.perf_counter() - self._started:.1f} s")
