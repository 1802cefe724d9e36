"""The Lightning loggers that a job may have, each opened as its own run with the job's name."""

import contextlib
import importlib.util
import inspect
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from initlab.base.errors import UserError
from initlab.base.lock import locked
from initlab.jobs.job import Job
from initlab.jobs.targets import target
from initlab.tracking.log_files import OF_CSV, OF_TENSORBOARD

# Epochs, each with what was measured at its end.
Rows = Mapping[int, Mapping[str, float]]

# What needs a package that initlab does not bring, called as its extra is.
PACKAGES: Mapping[object, str] = MappingProxyType({WandbLogger: "wandb", MLFlowLogger: "mlflow"})
FORMER: Mapping[object, tuple[str, ...]] = MappingProxyType({TensorBoardLogger: OF_TENSORBOARD, CSVLogger: OF_CSV})
LARGEST_BATCH = 1000  # metrics that MLflow takes at once


def _logger_configs(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The loggers in a `logger` group: the one that it is, or those that it holds, as `logger=[csv,tensorboard]` does.

    Args:
        config: The group; a logger has a `_target_`, and a group without one holds loggers by their names, or none.
    """
    if config.get("_target_") is not None:
        return [config]
    return [one for one in config.values() if isinstance(one, Mapping) and one.get("_target_") is not None]


def has_logger(config: Mapping[str, Any]) -> bool:
    """Whether a `logger` group names any logger."""
    return bool(_logger_configs(config))


def check_logger(config: Mapping[str, Any]) -> None:
    """See that the configured loggers can be made.

    Raises:
        UserError: one cannot be imported, takes no such argument, or needs a package that is not installed.
    """
    for one in _logger_configs(config):
        package = PACKAGES.get(_builder(one).func)
        if package is not None and importlib.util.find_spec(package) is None:
            raise UserError(f"logger={package}: it is not installed; pip install 'initlab[{package}]'")


def _builder(config: Mapping[str, Any]) -> partial[Logger]:
    build = target("logger", config)
    assert isinstance(build, partial)
    return build


def _logs_live(config: Mapping[str, Any]) -> bool:
    """Whether a logger can be open while others train: wandb has one run a process, and MLflow's store is slow."""
    return _builder(config).func not in PACKAGES


def open_loggers(job: Job, *, live: bool) -> list[Logger]:
    """Open a job's loggers, and remove the files that a former run of the job has left.

    Args:
        job: The job whose configuration names them.
        live: Those that can be open while others train; else the others.
    """
    return [_open(job, config) for config in _logger_configs(job.config.logger) if _logs_live(config) == live]


def _open(job: Job, config: Mapping[str, Any]) -> Logger:
    build = _builder(config)
    declared = inspect.signature(build.func).parameters
    known = {"save_dir": str(job.folder), "name": job.name, "run_name": job.name}
    given = {key: value for key, value in known.items() if key in declared and build.keywords.get(key) is None}
    if build.func is MLFlowLogger:
        given |= _prepare_mlflow(job, build)
    if build.func is WandbLogger:
        given |= _prepare_wandb(build)
    logger = build(**given)
    for pattern in FORMER.get(build.func, ()):  # TensorBoard would draw a former run's curves into these
        for path in Path(logger.log_dir or ".").glob(pattern):
            path.unlink(missing_ok=True)
    return logger


def _prepare_wandb(build: partial[Logger]) -> dict[str, str]:
    """Keep wandb from talking: here, and to its makers where it is to be offline, even if it is in use already."""
    os.environ.setdefault("WANDB_SILENT", "true")
    offline = bool(build.keywords.get("offline"))
    if offline:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    wandb.setup()  # `settings` of a run come too late for what it says first
    return {"mode": "offline"} if offline else {}


def _prepare_mlflow(job: Job, build: partial[Logger]) -> dict[str, str]:
    """See that a job's MLflow experiment is there, and say where the store is unless that is configured."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported: nothing is sent unasked
    import mlflow

    folder = job.study_folder.parent.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    local = f"sqlite:///{folder / 'mlflow.db'}"
    store = build.keywords.get("tracking_uri") or local
    name = build.keywords["experiment_name"]
    # Workers may be done at the same moment, and MLflow does not expect two to make a store's tables, or an experiment.
    with locked(folder / ".mlflow.lock", wait=True), _quiet_making_of_tables():
        client = mlflow.MlflowClient(store)
        if client.get_experiment_by_name(name) is None:  # a server has a place of its own for artifacts
            client.create_experiment(name, (folder / "mlruns").as_uri() if store == local else None)
    return {"tracking_uri": store}


@contextlib.contextmanager
def _quiet_making_of_tables() -> Iterator[None]:
    """Keep MLflow from telling of each step by which it makes its tables."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(alembic|mlflow|sqlalchemy)\..*")
        yield


def log_rows(logger: Logger, rows: Rows) -> None:
    """Log what was measured at some epochs.

    Args:
        logger: As `open_logger` returns it.
        rows: By epoch, the values by their tags.
    """
    if isinstance(logger, MLFlowLogger):  # for which every call is a transaction
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, epoch) for epoch, row in rows.items() for name, value in row.items()]
        for first in range(0, len(metrics), LARGEST_BATCH):
            logger.experiment.log_batch(logger.run_id, metrics=metrics[first : first + LARGEST_BATCH])
        return
    for epoch, row in rows.items():
        logger.log_metrics(dict(row), step=epoch)


def close_logger(logger: Logger) -> None:
    """End a logger's run."""
    logger.finalize("success")
    if isinstance(logger, WandbLogger):  # the next job's would go on with this one's run
        logger.experiment.finish()
