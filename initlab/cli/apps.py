"""The Hydra apps of `python -m initlab.train`, `.probe` and `.recommend`, which import what is heavy only to run.

Hydra calls an app for a single job, and its own launchers call it for each job of a sweep; initlab's launcher hands all
jobs of a command to `cli.run_train`, `cli.run_probe` or `cli.run_recommend` at once.
"""

from functools import partial

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from initlab.base.errors import UserError, own_work
from initlab.cli.command import run_command, stop
from initlab.config.files import CONF


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def _train_app(config: DictConfig) -> None:
    """Train one job."""
    from initlab.cli.conclude import conclude_study
    from initlab.cli.run_train import run_study
    from initlab.jobs.compose import job_from

    single = HydraConfig.get().mode is RunMode.RUN
    try:
        # Where Hydra's other launchers run a sweep, the report would be written anew after each of its jobs.
        conclude = None if single else partial(conclude_study, with_report=False)
        with own_work():
            run_study([job_from(config, _overrides())], beside_others=True, conclude=conclude)
    except UserError as error:
        if single:
            stop(error)  # Hydra would first say the overrides, which the user has just typed
        raise


@hydra.main(config_path=str(CONF), config_name="probe", version_base="1.3")
def _probe_app(config: DictConfig) -> None:
    """Probe one job."""
    from initlab.cli.run_probe import run_probe
    from initlab.jobs.compose import job_from

    with own_work():
        run_probe([job_from(config, _overrides())])


@hydra.main(config_path=str(CONF), config_name="recommend", version_base="1.3")
def _recommend_app(config: DictConfig) -> None:
    """Recommend of a single job."""
    from initlab.cli.run_recommend import run_recommend
    from initlab.jobs.compose import job_from

    with own_work():
        run_recommend([job_from(config, _overrides())])


def train() -> None:
    """Run `python -m initlab.train`."""
    run_command(_train_app)


def probe() -> None:
    """Run `python -m initlab.probe`."""
    run_command(_probe_app)


def recommend() -> None:
    """Run `python -m initlab.recommend`."""
    run_command(_recommend_app)


def _overrides() -> list[str]:
    """What was typed for this job."""
    return list(HydraConfig.get().overrides.task)
