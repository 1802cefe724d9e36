"""The launcher that hands a whole sweep to initlab at once. Hydra accepts launchers from this namespace only."""

import copy
import re
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from initlab.base.errors import own_work

# Plain numbers that many jobs of a sweep differ in. Composing a job takes Hydra 0.17 s, setting a number nothing.
NUMBER = re.compile(r"(optim\.lr|seeds|seed)=(\d+|\d*\.\d+|\d+\.\d*|\d+(?:\.\d*)?[eE][+-]?\d+)")


class VectorizedLauncher(Launcher):
    """Composes and checks all jobs of a sweep before it runs any, and runs them together.

    Args:
        run: Dotted name of the function that is called once, with the list of all jobs.
    """

    def __init__(self, run: str) -> None:
        self._run = run

    def setup(
        self,
        *,
        hydra_context: HydraContext,
        task_function: TaskFunction,  # noqa: ARG002
        config: DictConfig,
    ) -> None:
        """Take what composing needs, as Hydra calls it before `launch`.

        Args:
            hydra_context: Has the loader that composes configurations.
            task_function: What Hydra would call for each job; it is not used, since jobs are run together.
            config: The configuration of the command, with its `hydra` node.
        """
        self._context, self._config = hydra_context, config
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Compose all jobs and run them.

        Args:
            job_overrides: For each job, the overrides that make it, such as `["init=he", "seeds=3"]`.
            initial_job_idx: Hydra's number for the first of them; it is not used.

        Returns:
            For each job, its configuration, marked as completed.

        Raises:
            UserError: a job cannot work, before anything trains; or jobs have failed.
        """
        # Heavy, and Hydra imports this module for every command, --help included.
        from initlab.jobs.compose import job_from

        setup_globals()
        jobs, returns = [], []
        for overrides in job_overrides:
            config, named = self._compose(overrides), list(filter_overrides(overrides))
            jobs.append(job_from(config, named))
            returns.append(JobReturn(overrides=named, cfg=config, status=JobStatus.COMPLETED))
        with own_work():
            get_method(self._run)(jobs)
        return returns

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        """A job's configuration without Hydra's own part; plain numbers are set in what was composed without them."""
        numbers = {found[1]: found[2] for text in overrides if (found := NUMBER.fullmatch(text))}
        others = tuple(text for text in overrides if not NUMBER.fullmatch(text))
        if others not in self._composed:
            composed = self._context.config_loader.load_sweep_config(self._config, list(others))
            self._composed[others] = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        if any(OmegaConf.select(self._composed[others], key) is None for key in numbers):
            return self._context.config_loader.load_sweep_config(self._config, list(overrides))  # Hydra says why not
        config = copy.deepcopy(self._composed[others])
        for key, text in numbers.items():
            OmegaConf.update(config, key, int(text) if text.isdigit() else float(text))
        return config
