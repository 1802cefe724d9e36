"""What a job's Lightning logger is told: the scores of each epoch, the weights, and the final results."""

from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from initlab.cohort.module import CohortModule
from initlab.figures.signal import signal_by_depth
from initlab.figures.style import pixels
from initlab.jobs.job import Job
from initlab.results.differences import flat_config
from initlab.results.intervals import student_interval
from initlab.tables.job_tables import JobTables, records_of
from initlab.tables.records import EpochRecord
from initlab.tables.store import config_text
from initlab.tracking.hyperparameters import final_metrics, hyperparameters, session_end, session_start
from initlab.tracking.loggers import close_logger, has_logger, log_rows, open_loggers

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
    """Logs the mean over a job's members at each epoch, with its 95 % interval, and in TensorBoard histograms, too.

    The histograms are of the weights at the start and the end, and of the gradients, after clipping, in the last step
    of the first epoch and of the last. The intervals are by Student's t, which is quick; the report has bootstrap
    intervals.

    It only reads: with it or without, the weights are the same to the bit.

    Args:
        job: The job whose configured loggers are opened, and whose folder their files go to.
        rows: Where the job's members stand in the cohort's stack; None: nothing is logged while they train, and
            `finish` logs every epoch, but no histograms.
    """

    def __init__(self, job: Job, rows: slice | None) -> None:
        self._job, self._rows = job, rows
        self._told = -1  # the last epoch of which the live loggers know
        self._last_gradients: tuple[int, dict[str, Tensor]] | None = None
        self._live = open_loggers(job, live=True) if rows is not None else []

    @property
    def logs(self) -> bool:
        """Whether there is a logger that `finish` tells anything."""
        return has_logger(self._job.config.logger)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        """Log the untrained networks, before a checkpoint may replace them, and ask for gradients to log."""
        assert isinstance(pl_module, CohortModule)
        pl_module.leaves_gradients |= bool(self._boards)
        self._log_weights(pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the epoch; where training went on from a checkpoint, first those before it."""
        assert isinstance(pl_module, CohortModule)
        if self._rows is None or not self._live:
            return
        records = [record.part(self._rows) for record in pl_module.history if record.epoch > self._told]
        rows = epoch_rows(records, pl_module.task.metric)
        for logger in self._live:
            log_rows(logger, rows)
        self._told = max(rows, default=self._told)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,  # noqa: ARG002
        batch: Tensor,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Log the gradients of the first epoch's last step, and keep those of later ones, as any may be the last.

        Lightning drops them before it validates, and it is there that the last members may stop.
        """
        assert isinstance(pl_module, CohortModule)
        if not self._boards or not trainer.is_last_batch:
            return
        parameters = pl_module.stack.parameters.items()
        gradients = self._own({name: values.grad for name, values in parameters if values.grad is not None})
        if trainer.current_epoch == 0:
            self._log_histograms("gradients", gradients, epoch=1)
        else:
            kept = {name: values.clone() for name, values in gradients.items()}
            self._last_gradients = (trainer.current_epoch + 1, kept)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the trained weights, and the last gradients."""
        self._log_weights(pl_module, epoch=trainer.current_epoch)
        if self._last_gradients is not None:
            epoch, gradients = self._last_gradients
            self._log_histograms("gradients", gradients, epoch=epoch)

    def finish(self, tables: JobTables) -> None:
        """Log the configuration and the job's final metrics, by which trackers compare jobs, and close the loggers.

        Args:
            tables: The measurements of all members of the job.
        """
        for logger in self._live:
            self._finish(logger, tables, told=self._told)
        others = [] if self._live else open_loggers(self._job, live=True)
        for logger in [*others, *open_loggers(self._job, live=False)]:
            self._finish(logger, tables, told=-1)

    def _finish(self, logger: Logger, tables: JobTables, *, told: int) -> None:
        """Log what one logger has not been told yet, and close it.

        Args:
            logger: One that is open.
            tables: The measurements of all members of the job.
            told: The last epoch of which it knows; of later ones the tables repeat what those that stopped early had.
        """
        members, epochs = tables.members, tables.history["epoch"]
        rows = epoch_rows(records_of(tables.history[epochs > told]), str(members["metric"].iloc[0]))
        for epoch, row in {} if tables.signal is None else _signal_rows(tables.signal).items():
            rows.setdefault(epoch, {}).update(row)
        rows.setdefault(int(epochs.max()), {}).update(final_metrics(members))
        parameters = hyperparameters(flat_config(self._job.resolved))
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(parameters)
            log_rows(logger, rows)
            close_logger(logger)
            return
        log_rows(logger, rows)
        writer = logger.experiment
        if tables.signal is not None:
            self._draw_signal(logger, tables.signal)
        writer.file_writer.add_summary(session_start(parameters))
        writer.file_writer.add_summary(session_end())
        writer.add_text("config", f"```yaml\n{config_text(self._job.resolved)}```")
        writer.close()  # not `finalize`, which would write the parameters once more, slowly

    def _draw_signal(self, logger: TensorBoardLogger, signal: pd.DataFrame) -> None:
        """Log the picture over depth, at a few of the epochs."""
        epochs = signal["epoch"].unique()
        places = np.linspace(0, len(epochs) - 1, min(MOST_EPOCHS, len(epochs))).round().astype(int)
        tables = {f"epoch {epoch}": signal[signal["epoch"] == epoch] for epoch in epochs[np.unique(places)]}
        picture = pixels(signal_by_depth(tables, title=self._job.name))
        logger.experiment.add_image("signal by depth", picture, int(epochs[-1]), dataformats="HWC")

    def _log_weights(self, module: pl.LightningModule, *, epoch: int) -> None:
        assert isinstance(module, CohortModule)
        if self._boards:
            self._log_histograms("weights", self._own(module.stack.parameters), epoch=epoch)

    @property
    def _boards(self) -> list[TensorBoardLogger]:
        """Those of the live loggers that know histograms."""
        return [logger for logger in self._live if isinstance(logger, TensorBoardLogger)]

    def _own(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This job's members of tensors of shape (members, …)."""
        assert self._rows is not None
        return {name: tensor.detach()[self._rows] for name, tensor in tensors.items()}

    def _log_histograms(self, kind: str, tensors: Mapping[str, Tensor], *, epoch: int) -> None:
        """Log histograms of the finite numbers of tensors."""
        for name, tensor in tensors.items():
            values = tensor.flatten().float().cpu()
            values = values[values.isfinite()]
            if len(values):
                for logger in self._boards:
                    logger.experiment.add_histogram(f"{kind}/{name}", values, epoch)


def epoch_rows(records: Sequence[EpochRecord], metric: str) -> dict[int, dict[str, float]]:
    """What was measured at each epoch: `val_loss/mean` and its 95 % interval, `/low` and `/high`, and so on.

    What is not finite is absent, as where all members have diverged.

    Args:
        records: What each epoch measured of one job's members, on training and validation rows.
        metric: What the scores are, a name of `schema.METRICS`; tags have it in place of `score`.

    Returns:
        By epoch, the values by their tags.
    """
    rows: dict[int, dict[str, float]] = {}
    for record in records:
        row = rows.setdefault(record.epoch, {})
        for name, values in record.values.items():
            found = dict(zip(("mean", "low", "high"), student_interval(values.numpy()), strict=True))
            tag = f"{record.split}_{metric if name == 'score' else name}"
            row |= {f"{tag}/{key}": end for key, end in found.items() if np.isfinite(end)}
    return rows


def _signal_rows(signal: pd.DataFrame) -> dict[int, dict[str, float]]:
    """The mean over members of what a signal table has of each layer.

    Returns:
        By epoch, the means by tags such as `signal_correlation/001_0`: the layer's position and its name.
    """
    means = signal.groupby(["epoch", "position", "layer"], sort=True)[list(SHOWN_OF_SIGNAL)].mean().reset_index()
    rows: dict[int, dict[str, float]] = {}
    for values in means.to_dict("records"):
        row = rows.setdefault(int(values["epoch"]), {})
        for column, name in SHOWN_OF_SIGNAL.items():
            if np.isfinite(values[column]):
                row[f"signal_{name}/{values['position']:03d}_{values['layer']}"] = float(values[column])
    return rows
