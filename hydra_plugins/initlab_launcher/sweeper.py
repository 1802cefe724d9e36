"""The sweeper that leaves composing and checking to the launcher, which does both before anything trains."""

import os
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.initlab_launcher.launcher import VectorizedLauncher
from initlab.config.names import SWEPT, swept_keys


class VectorizedSweeper(BasicSweeper):
    """Hydra's basic sweeper for the vectorized launcher: it composes no job itself, and writes nothing."""

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all combinations of the values that the arguments name."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        typed = parser.parse_overrides(arguments)
        known = {override.get_key_element() for override in typed}
        configured = parser.parse_overrides([f"{key}={value}" for key, value in self.params.items()])
        # What was typed comes in the place of what is configured.
        overrides = [*(override for override in configured if override.get_key_element() not in known), *typed]
        (jobs,) = self.split_arguments(overrides, None)
        os.environ[SWEPT] = ",".join(sorted(swept_keys(jobs)))  # for jobs in processes of their own
        if not isinstance(self.launcher, VectorizedLauncher):
            return super().sweep(arguments)
        return [self.launcher.launch(jobs, initial_job_idx=0)]
