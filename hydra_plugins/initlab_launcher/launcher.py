"""The launcher that hands a whole sweep to initlab at once. Hydra accepts launchers from this namespace only."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from hydra.utils import get_method
from omegaconf import DictConfig

from initlab.base.errors import own_work
from initlab.base.forking import aside
from initlab.base.importing import LIBRARIES, load
from initlab.base.wording import counted
from initlab.config.composing import Composer, read_once
from initlab.config.hydra_errors import explain, missing_key
from initlab.config.names import check_targets, short_name, swept_keys
from initlab.config.plain import PlainConfig, checked_config, hydras_folder


class VectorizedLauncher(Launcher):
    """Composes and checks all jobs of a sweep before it runs any, and runs them together.

    Args:
        run: Dotted name of the function that is called once, with the list of all jobs, and as `left_out` with the
            names of those that lack a key which was typed, by the reason.
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

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:  # noqa: ARG002
        """Compose all jobs and run them; one whose own choices lack a key that was typed is left out.

        Args:
            job_overrides: For each job, the overrides that make it, such as `["init=he", "seeds=3"]`.
            initial_job_idx: Hydra's number for the first of them; it is not used.

        Returns:
            For each job that was run, its overrides, marked as completed.

        Raises:
            UserError: a job cannot work, before anything trains; no job has a key; or jobs have failed.
        """
        setup_globals()
        sys.stdout.write(f"checking {counted(len(job_overrides), 'job')}\n")
        sys.stdout.flush()
        folder = hydras_folder(self._config, "sweep")
        typed = [list(filter_overrides(overrides)) for overrides in job_overrides]
        swept = swept_keys(typed)
        check_targets(swept, typed)
        # First all of it, so that the commonest mistakes are told before torch is imported.
        with aside(lambda: self._checked(job_overrides, typed, swept, folder)) as checked:
            for name in LIBRARIES:
                if not checked.is_at_work():
                    break
                load(name)
            plain, left_out = checked.result()

        load("initlab.jobs.compose")  # heavy, and Hydra imports this module for every command
        from initlab.jobs.compose import job_from

        jobs = [job_from(one, swept=swept) for one in plain]
        del plain  # of many jobs it takes memory
        settings: dict[str, Any] = {"left_out": left_out} if left_out else {}
        load(self._run.rpartition(".")[0])
        with own_work():
            get_method(self._run)(jobs, **settings)
        return [JobReturn(overrides=list(job.typed), status=JobStatus.COMPLETED) for job in jobs]

    def _checked(
        self,
        job_overrides: Sequence[Sequence[str]],
        typed: Sequence[list[str]],
        swept: frozenset[str],
        folder: Path | None,
    ) -> tuple[list[PlainConfig], Mapping[str, list[str]]]:
        """Each job's configuration, resolved and checked; and the names of jobs that are left out, by the reason.

        Raises:
            UserError, ConfigCompositionException: as `_compose_all` raises them; or a value cannot be.
        """
        composed, left_out = self._compose_all(job_overrides, typed, swept)
        return [checked_config(config, named, folder) for config, named in composed], left_out

    def _compose_all(
        self, job_overrides: Sequence[Sequence[str]], typed: Sequence[list[str]], swept: frozenset[str]
    ) -> tuple[list[tuple[Mapping[str, Any], list[str]]], Mapping[str, list[str]]]:
        """Each job's configuration with what was typed for it; and the names of jobs that are left out, by the reason.

        Raises:
            UserError: no job has the keys that were typed.
            ConfigCompositionException: a job cannot be composed for any other reason.
        """
        loader = self._context.config_loader
        read_once(loader)
        composer = Composer(lambda overrides: loader.load_sweep_config(self._config, overrides))
        composed: list[tuple[Mapping[str, Any], list[str]]] = []
        left_out: dict[str, list[str]] = {}
        first: ConfigCompositionException | None = None
        for overrides, named in zip(job_overrides, typed, strict=True):
            try:
                composed.append((composer.plain(overrides), named))
            except ConfigCompositionException as error:
                reason = missing_key(error, named)
                if reason is None:
                    raise
                first = first or error
                left_out.setdefault(reason, []).append(short_name(named, swept))
        if first is not None and not composed:
            raise explain(first, typed[0]) or first
        return composed, left_out
