"""Where a command that trains begins: workers start first, where there will surely be some, as they take seconds."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from initlab.base.forking import may_fork_to_train
from initlab.base.importing import load
from initlab.base.machine import trains_on_cuda
from initlab.base.threads import cores_of_process
from initlab.jobs.job import Job
from initlab.sweep.checks import distinct_jobs
from initlab.sweep.cost import possible_workers, surely_workers
from initlab.sweep.crew import Crew, training_crew

MUCH: Final = 5_000  # member-epochs


def train_study(jobs: Sequence[Job], **settings: Any) -> None:
    """Train the jobs of one command: `run_study`, while whose imports and checks workers have theirs.

    Args:
        jobs: As they were composed, of one study.
        settings: What else `run_study` is told.

    Raises:
        UserError, JobsFailedError, KeyboardInterrupt: as `run_study` raises them.
    """
    with training_crew() as crew:
        gather_early(crew, jobs)
        load("initlab.cli.run_train")
        from initlab.cli.run_train import run_study

        run_study(jobs, crew=crew, **settings)


def gather_early(crew: Crew, jobs: Sequence[Job]) -> None:
    """Let workers start where there will surely be several; or, where there is much to do, may be several.

    In the latter case data need not be loaded first, which takes a second; it is done where workers can be forks of
    this process, which cost little, and run no code of the user's own. Neither is done where something of the study is
    there already, or where the user's own code loads the data.

    Args:
        crew: The command's, none of which has started.
        jobs: As they were composed, of one study.
    """
    with contextlib.suppress(Exception):  # as of data that cannot be had, which is said where they are needed
        config, folder = jobs[0].config, jobs[0].study_folder
        if config.dry_run or config.backend != "loky":
            return
        if not all(str(job.config.data.get("_target_")).startswith("initlab.") for job in jobs):
            return
        if trains_on_cuda(config.trainer.accelerator) or any(path.is_dir() for path in folder.glob("[!.]*")):
            return
        distinct = distinct_jobs(jobs)
        much = sum(len(job.seeds) * job.config.trainer.max_epochs for job in distinct) >= MUCH
        if much and may_fork_to_train() and all(map(_is_ours, jobs)):
            workers = possible_workers(distinct)
        else:
            workers = surely_workers(distinct)
        if workers > 1:
            crew.gather(workers, cores=cores_of_process(workers), may_fork=True, from_here=may_fork_to_train())


def _is_ours(job: Job) -> bool:
    """Whether a job runs no code of the user's own, of which a debugger is of no use in a worker."""
    return not job.config.plugins and not job.sources
