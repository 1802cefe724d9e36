"""Keeping a cohort that trains for long, so that a killed one goes on from its last epoch."""

import contextlib
import time
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from initlab.base.files import write_whole


class Checkpoint(Callback):
    """Writes a cohort's state at the end of an epoch, once it has trained for some time since the last one.

    Args:
        path: The file; whole or absent at any moment.
        seconds: Of training between two checkpoints; 0: after each epoch.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._last = time.monotonic()

    @property
    def found(self) -> Path | None:
        """The checkpoint of a run that was cut short."""
        return self._path if self._path.exists() else None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Keep the epoch; not the last, after which only the test rows are left."""
        due = time.monotonic() - self._last >= self._seconds
        if due and trainer.current_epoch + 1 < (trainer.max_epochs or 0):
            with contextlib.suppress(OSError):  # a full disk: the results, which are small, may still find a place
                write_whole(self._path, trainer.save_checkpoint)
            self._last = time.monotonic()
