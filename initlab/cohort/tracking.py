"""What a job's Lightning logger is told: each epoch, the weights, and in the end what came out."""

import shutil
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from initlab.cohort.module import CohortModule
from initlab.figures.signal import signal_by_depth
from initlab.figures.style import pixels
from initlab.jobs import Job, target
from initlab.results.differences import flat_config
from initlab.results.store import config_text
from initlab.results.tables import FloatArray, JobTables, Record, records_of

# What is logged of each layer, and how it is called there.
SHOWN_OF_SIGNAL = {
    "pre_second_moment": "pre_activation_mean_square",
    "gradient_second_moment": "gradient_mean_square",
    "correlation": "correlation",
    "dead": "dead",
    "saturated": "saturated",
}
MOST_EPOCHS = 6  # in one picture


class JobTracking(Callback):
    """Logs each epoch's mean over a job's members and their spread, and weight histograms at the start and the end.

    It only reads: with it or without, the weights are the same to the bit.

    Args:
        job: Whose logger and directory are used.
        rows: Where its members stand in the cohort's stack; None: they train elsewhere, and `finish` logs all.
    """

    def __init__(self, job: Job, rows: slice | None) -> None:
        self._job, self._rows = job, rows
        self._logged = 0
        configured = job.config.logger.get("_target_") is not None
        self._logger: Logger | None = (
            target("logger", job.config.logger)(save_dir=str(job.directory)) if configured else None
        )
        if isinstance(self._logger, TensorBoardLogger):  # which would draw a former run's curves into these
            shutil.rmtree(self._logger.log_dir, ignore_errors=True)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Log the untrained networks, before a checkpoint may replace them."""
        self._log_histograms(pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the epoch, and with the first one what a checkpoint knows of those before."""
        assert isinstance(pl_module, CohortModule)
        if self._rows is not None:
            self._log([row.of(self._rows) for row in pl_module.history[self._logged :]], pl_module.task.metric)
            self._logged = len(pl_module.history)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the trained weights."""
        self._log_histograms(pl_module, epoch=trainer.current_epoch)

    def finish(self, tables: JobTables) -> None:
        """Log the configuration with the job's final metrics, which is what the HParams tab shows, and close."""
        if self._logger is None:
            return
        members = tables.members
        metric = members["metric"].iloc[0]
        if not self._logged:
            self._log(records_of(tables.history), metric)
        if tables.signal is not None:
            self._log_signal(tables.signal)
        columns = ("test_score", "test_loss", "best_val_score", "val_loss", "train_loss", "auc")
        final = {f"final/{name.replace('score', metric)}": float(members[name].mean()) for name in columns}
        final["final/diverged"] = float((members["status"] == "diverged").sum())
        parameters = hyperparameters(self._job)
        if isinstance(self._logger, TensorBoardLogger):
            self._logger.log_hyperparams(parameters, final, step=int(members["epochs"].iloc[0]))
            self._logger.experiment.add_text("config", f"```yaml\n{config_text(self._job.resolved)}```")
            self._logger.experiment.close()  # not `finalize`, which would write the parameters once more, slowly
        else:
            self._logger.log_hyperparams(parameters)
            self._logger.log_metrics(final)
            self._logger.finalize("success")

    def _log(self, records: Sequence[Record], metric: str) -> None:
        for record in records:
            if self._logger is not None:
                measured = {"loss": record.loss, metric: record.score, "gradient_norm": record.gradient_norm}
                spread = {
                    f"{record.split}_{name}/{key}": value
                    for name, values in measured.items()
                    if values is not None
                    for key, value in mean_and_spread(values).items()
                }
                self._logger.log_metrics(spread, step=record.epoch)

    def _log_signal(self, signal: pd.DataFrame) -> None:
        """Log each layer's mean over members at each epoch, and in TensorBoard the picture over depth."""
        assert self._logger is not None
        means = signal.groupby(["epoch", "position", "layer"], sort=True)[list(SHOWN_OF_SIGNAL)].mean().reset_index()
        for epoch, rows in means.groupby("epoch"):
            tags = [f"{position:03d}_{layer}" for position, layer in zip(rows["position"], rows["layer"], strict=True)]
            values = {
                f"signal_{name}/{tag}": float(value)
                for column, name in SHOWN_OF_SIGNAL.items()
                for tag, value in zip(tags, rows[column], strict=True)
                if np.isfinite(value)
            }
            self._logger.log_metrics(values, step=int(str(epoch)))
        if isinstance(self._logger, TensorBoardLogger):
            epochs = signal["epoch"].unique()
            places = np.linspace(0, len(epochs) - 1, min(MOST_EPOCHS, len(epochs))).round().astype(int)
            tables = {f"epoch {epoch}": signal[signal["epoch"] == epoch] for epoch in epochs[np.unique(places)]}
            picture = pixels(signal_by_depth(tables, title=self._job.name))
            self._logger.experiment.add_image("signal by depth", picture, int(epochs[-1]), dataformats="HWC")

    def _log_histograms(self, module: pl.LightningModule, *, epoch: int) -> None:
        assert isinstance(module, CohortModule)
        if self._rows is None or not isinstance(self._logger, TensorBoardLogger):
            return
        for name, parameter in module.stack.parameters.items():
            values = parameter.detach()[self._rows].flatten().float().cpu()
            values = values[values.isfinite()]
            if len(values):
                self._logger.experiment.add_histogram(f"weights/{name}", values, epoch)


def hyperparameters(job: Job) -> dict[str, Any]:
    """What the HParams tab compares jobs by: few columns, since it shows the first five; the rest is logged as text."""
    init = {f"init.{key}": value for key, value in flat_config(job.config.init).items() if key != "name"}
    identity = {key: value for key, value in job.identity.items() if key != "job"}
    return {**identity, **init, "batch_size": job.config.batch_size, "seeds": job.config.seeds}


def mean_and_spread(values: FloatArray) -> dict[str, float]:
    """Mean and standard deviation of the finite values, shape (members,); empty if there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    return {"mean": float(finite.mean()), "std": float(finite.std())}
