"""python -m initlab.train: train every combination of a sweep over many seeds, and say how sure the result is."""

from functools import partial

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from initlab.command import CONF, run_command, stop
from initlab.errors import UserError


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def app(config: DictConfig) -> None:
    """Train one job: what Hydra calls without -m, and what its own launchers call for each job of a sweep."""
    from initlab.jobs import job_from
    from initlab.study import report, run_study

    try:
        # Where Hydra's other launchers run a sweep, the report would be written anew after each of its jobs.
        reporting = None if HydraConfig.get().mode is RunMode.RUN else partial(report, whole=False)
        run_study([job_from(config, list(HydraConfig.get().overrides.task))], alone=True, reporting=reporting)
    except UserError as error:
        if HydraConfig.get().mode is RunMode.RUN:
            stop(error)  # Hydra would first say the overrides, which the user has just typed
        raise


def main() -> None:
    """Run the command line."""
    run_command(app)


if __name__ == "__main__":
    # Not this module's own functions: another process could not find what stands in __main__.
    from initlab import train

    train.main()
