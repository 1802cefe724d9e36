"""The command line of python -m initlab.probe."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from initlab.command import CONF, run_command


@hydra.main(config_path=str(CONF), config_name="probe", version_base="1.3")
def app(config: DictConfig) -> None:
    """Probe one job: what launchers other than initlab's call for each."""
    from initlab.jobs import job_from
    from initlab.probing import run_probe

    run_probe([job_from(config, list(HydraConfig.get().overrides.task))])


def main() -> None:
    """Run the command line."""
    run_command(app)
