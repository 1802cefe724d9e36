"""Where a command that trains begins: workers start first, where there will surely be some, as they take seconds."""

import contextlib
from collections.abc import Sequence
from typing import Any

from initlab.base.forking import may_fork_to_train
from initlab.base.importing import load
from initlab.base.machine import trains_on_cuda
from initlab.base.threads import cores_of_process
from initlab.jobs.job import Job
from initlab.sweep.checks import distinct_jobs
from initlab.sweep.cost import surely_workers
from initlab.sweep.crew import Crew, training_crew


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
    """Let workers start where there will surely be several: as forks of this process, where it bears that.

    Not where something of the study is there already, or where the user's own code would have to run for it.

    Args:
        crew: The command's, none of which has started.
        jobs: As they were composed, of one study.
    """
    with contextlib.suppress(Exception):  # as of data that cannot be had, which is said where they are needed
        config, folder = jobs[0].config, jobs[0].study_folder
        targets = [str(job.config.data.get("_target_")) for job in jobs]
        if config.dry_run or config.backend != "loky" or not all(target.startswith("initlab.") for target in targets):
            return
        if trains_on_cuda(config.trainer.accelerator) or any(path.is_dir() for path in folder.glob("[!.]*")):
            return
        workers = surely_workers(distinct_jobs(jobs))
        if workers > 1:
            crew.gather(workers, cores=cores_of_process(workers), may_fork=True, from_here=may_fork_to_train())
