"""Checkpoints of a cohort that trains for long: after a kill it goes on from the last one."""

import contextlib
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from initlab.base.files import write_whole


class Checkpoint(Callback):
    """Writes a cohort's state at the end of an epoch, if the last checkpoint is some time ago.

    Args:
        path: File that each checkpoint replaces as a whole: a kill leaves the former one or the new one.
        seconds: Least time between two checkpoints, and before the first; 0: one after each epoch.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._last = time.monotonic()

    @property
    def found(self) -> Path | None:
        """Path of the checkpoint that a run left when it was cut short; None if there is none."""
        return self._path if self._path.exists() else None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Write a checkpoint if one is due; never after the last epoch, when only the test rows are left to measure."""
        due = time.monotonic() - self._last >= self._seconds
        if due and trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            with contextlib.suppress(OSError):  # a full disk: the results, which are small, may still find a place
                write_whole(self._path, trainer.save_checkpoint)
            self._last = time.monotonic()
