"""What has to be known of jobs that takes what trains, seconds to import: asked here, or of a worker that has it."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from initlab.base.errors import UserError
from initlab.jobs.job import Job
from initlab.sweep.crew import Crew
from initlab.sweep.process import EndedError, Home, NotThereError

Answer = TypeVar("Answer")


class Ask(Protocol):
    """Calls a function of a module with jobs, in whatever process, and returns what it returns, or raises likewise."""

    def __call__(self, function: Callable[[Sequence[Job]], Answer], jobs: Sequence[Job]) -> Answer:
        """What the function returns."""
        ...


def ask_here(function: Callable[[Sequence[Job]], Answer], jobs: Sequence[Job]) -> Answer:
    """Ask this process."""
    return function(jobs)


def asking(crew: Crew) -> Ask:
    """Ask a worker of a crew, where some have started and none is at work.

    What it cannot do this process does, and raises what there is to raise.
    """

    def ask(function: Callable[[Sequence[Job]], Answer], jobs: Sequence[Job]) -> Answer:
        if crew.has_started:
            with contextlib.suppress(EndedError, NotThereError):
                found: tuple[Answer, UserError | None] = crew.call("call", function, jobs, Home.here())
                answer, problem = found
                if problem is not None:
                    raise problem
                return answer
        return function(jobs)

    return ask
