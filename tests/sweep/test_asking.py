"""What takes what trains is asked of a worker that has it, or done here."""

from collections.abc import Sequence
from typing import Any

import pytest

from initlab.base.errors import UserError
from initlab.jobs.job import Job
from initlab.sweep.asking import ask_here, asking
from initlab.sweep.checks import check_jobs
from initlab.sweep.crew import Crew
from initlab.sweep.in_worker import call
from initlab.sweep.process import EndedError, Home, NotThereError
from tests.helpers import make_job


class Started(Crew):
    """A crew whose worker is this process, or has ended."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__("os")
        self._problem = problem
        self.asked: list[tuple[Any, ...]] = []

    @property
    def has_started(self) -> bool:
        return True

    def call(self, name: str, *arguments: Any) -> Any:
        self.asked.append((name, *arguments))
        if self._problem is not None:
            raise self._problem
        return call(*arguments)


def names(jobs: Sequence[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_a_worker_is_asked_where_there_is_one() -> None:
    jobs, crew = [make_job("init=he")], Started()
    assert asking(crew)(names, jobs) == ask_here(names, jobs) == names(jobs)
    assert crew.asked == [("call", names, jobs, Home.here())]
    assert asking(Crew("os"))(names, jobs) == names(jobs)


@pytest.mark.parametrize("problem", [EndedError(), NotThereError("as it is no function of a module")])
def test_what_a_worker_cannot_do_is_done_here(problem: Exception) -> None:
    jobs = [make_job("init=he")]
    assert asking(Started(problem))(names, jobs) == names(jobs)


@pytest.mark.parametrize("problem", [None, NotThereError("it cannot be sent")])
def test_what_is_wrong_is_said_as_if_nobody_had_been_asked(problem: Exception | None) -> None:
    crew = Started(problem)
    jobs = [make_job("optim.momentum=-1", "optim=momentum")]
    with pytest.raises(UserError, match=r"optim: torch.optim.SGD refuses this"):
        check_jobs(jobs, ask=asking(crew))
    assert len(crew.asked) == 1


def test_jobs_that_train_alike_are_asked_about_once() -> None:
    crew = Started()
    jobs = [make_job(f"init={init}", *rest) for init in ("he", "xavier") for rest in ((), ("activation=tanh",))]
    jobs.append(make_job("init=he", "batch_size=7"))
    assert check_jobs(jobs, ask=asking(crew)).usable == jobs
    assert [job.config.batch_size for _, _, (job,), *_ in crew.asked] == [jobs[0].config.batch_size, 7]
