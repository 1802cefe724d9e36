"""The launcher that hands a whole sweep to initlab at once. Hydra accepts launchers from this namespace only."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class VectorizedLauncher(Launcher):
    """Composes and checks all jobs of a sweep before it trains any, in one process."""

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,  # noqa: ARG002
        config: DictConfig,
    ) -> None:
        """Take what composing needs; the task function is not called, since jobs are run together."""
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs.

        Raises:
            UserError: a job that cannot work, before anything trains; or the jobs that failed.
        """
        # Heavy, and Hydra imports this module for every command, --help included.
        from initlab.jobs import job_from
        from initlab.study import run_study

        setup_globals()
        jobs, returns = [], []
        for index, overrides in enumerate(job_overrides, start=initial_job_idx):
            composed = self._context.config_loader.load_sweep_config(self._config, list(overrides))
            OmegaConf.set_struct(composed, False)
            composed.hydra.job.id = composed.hydra.job.num = index
            named = list(filter_overrides(overrides))
            jobs.append(job_from(composed, named))
            returns.append(JobReturn(overrides=named, cfg=composed, status=JobStatus.COMPLETED))
        run_study(jobs)
        return returns
