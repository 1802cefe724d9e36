"""The Hydra apps of `python -m initlab.train`, `.probe` and `.recommend`, which import what is heavy only to run.

Hydra calls an app for a single job, and its own launchers call it for each job of a sweep; initlab's launcher hands all
jobs of a command to `cli.train_study`, `cli.run_probe` or `cli.run_recommend` at once.
"""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from initlab.base.console import stop
from initlab.base.errors import UserError, own_work
from initlab.base.files import remove_bare
from initlab.base.importing import load
from initlab.cli.command import run_command, swept
from initlab.config.files import CONF
from initlab.config.plain import hydras_folder, plain_config

if TYPE_CHECKING:
    from initlab.jobs.job import Job


@hydra.main(config_path=str(CONF), config_name="train", version_base="1.3")
def _train_app(config: DictConfig) -> None:
    """Train one job."""
    single = HydraConfig.get().mode is RunMode.RUN
    try:
        job = _job(config)
        load("initlab.cli.train_study")
        from initlab.cli.train_study import train_study

        with own_work():
            # Where Hydra's other launchers run a sweep, the report would be written anew after each of its jobs.
            train_study([job], beside_others=True, with_report=single)
    except UserError as error:
        if single:
            stop(error)  # Hydra would first say the overrides, which the user has just typed
        raise
    finally:
        _remove_empty(Path(HydraConfig.get().runtime.output_dir))
        if not single:
            remove_bare(Path(HydraConfig.get().sweep.dir))


@hydra.main(config_path=str(CONF), config_name="probe", version_base="1.3")
def _probe_app(config: DictConfig) -> None:
    """Probe one job."""
    job = _job(config)
    load("initlab.cli.run_probe")
    from initlab.cli.run_probe import run_probe

    with own_work():
        run_probe([job])


@hydra.main(config_path=str(CONF), config_name="recommend", version_base="1.3")
def _recommend_app(config: DictConfig) -> None:
    """Recommend of a single job."""
    job = _job(config)
    load("initlab.cli.run_recommend")
    from initlab.cli.run_recommend import run_recommend

    with own_work():
        run_recommend([job])


def train() -> None:
    """Run `python -m initlab.train`."""
    run_command(_train_app, "train")


def probe() -> None:
    """Run `python -m initlab.probe`."""
    run_command(_probe_app, "probe")


def recommend() -> None:
    """Run `python -m initlab.recommend`."""
    run_command(_recommend_app, "recommend")


def _job(config: DictConfig) -> "Job":
    """The job that Hydra has composed; what is wrong with its values is told before torch is imported.

    Raises:
        UserError: a misspelt key, or a value that is unknown, of the wrong type, or out of range.
    """
    single = HydraConfig.get().mode is RunMode.RUN
    typed = list(HydraConfig.get().overrides.task)
    whole: Any = HydraConfig.instance().cfg
    folder = hydras_folder(whole, "run" if single else "sweep")
    plain = plain_config(config, typed, folder)
    if single:  # what follows takes seconds
        sys.stdout.write("checking 1 job\n")
        sys.stdout.flush()
    load("initlab.jobs.compose")
    from initlab.jobs.compose import job_from

    return job_from(plain, swept=() if single else swept())


def _remove_empty(folder: Path) -> None:
    """Remove a folder that Hydra has made for a job which is not there."""
    if not Path.cwd().is_relative_to(folder):
        with contextlib.suppress(OSError):  # there is something in it
            folder.rmdir()
