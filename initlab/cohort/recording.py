"""What the signal looks like in every layer while a cohort trains."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from initlab.cohort.module import CohortModule
from initlab.jobs.share import Share, rows_of
from initlab.modules.batch import Batch
from initlab.modules.stack import Stack
from initlab.propagation.layers import Layout, find_layout
from initlab.propagation.prediction import Prediction
from initlab.propagation.probe import measure_networks, predict_networks
from initlab.propagation.signal_table import Snapshot, signal_table, theory_columns


class SignalRecording(Callback):
    """Looks at every layer of a cohort's members before training, every few epochs, and after the last.

    It only reads: with it or without, the weights are the same to the bit.

    Args:
        shares: The cohort's, in the order in which their members are stacked.
        every: Epochs from one look to the next, at least 1.
    """

    def __init__(self, shares: Sequence[Share], every: int) -> None:
        self._shares, self._every = shares, every
        self._layout: Layout | None = None
        self._snapshots: list[list[Snapshot]] = []  # of each share, at each moment

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Look at the untrained networks, unless a checkpoint has brought what was seen of them."""
        if not self._snapshots:
            self._look(pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look if it is time: every few epochs, and after the last."""
        epoch = trainer.current_epoch + 1
        if epoch % self._every == 0 or epoch == trainer.max_epochs:
            self._look(pl_module, epoch=epoch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: all that was seen so far."""
        return {"snapshots": [[asdict(snapshot) for snapshot in moment] for moment in self._snapshots]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint has kept."""
        self._snapshots = [[Snapshot(**kept) for kept in moment] for moment in state_dict["snapshots"]]

    def tables(self) -> list[pd.DataFrame]:
        """The signal table of each share, in their order, without the column `job`."""
        assert self._layout is not None
        return [
            signal_table(self._layout, snapshots, share.seeds, first_seed=share.job.config.seed)
            for share, snapshots in zip(self._shares, zip(*self._snapshots, strict=True), strict=True)
        ]

    def _look(self, module: pl.LightningModule, *, epoch: int) -> None:
        assert isinstance(module, CohortModule)
        stack, job = module.stack, self._shares[0].job
        rows = job.rows_to_look_at().to(module.device)
        inputs = rows.inputs.to(module.parameter_stack[0].dtype) if rows.inputs.is_floating_point() else rows.inputs
        batch = Batch(inputs, rows.targets)
        if self._layout is None:
            self._layout = find_layout(stack.template, batch)
        vectorized = module.engine_name == "vmap"
        with module.own_threads():
            values = measure_networks(
                stack,
                self._layout,
                batch,
                direction_seed=self._shares[0].seeds[0],
                vectorized=vectorized,
                loss=lambda outputs, targets: module.loss(outputs, targets).sum(),
            )
            moment = []
            for share, places in zip(self._shares, rows_of(self._shares), strict=True):
                measured = {name: value[places] for name, value in values.items()}
                theory = self._theory(share, stack.part(places), measured, batch, epoch)
                moment.append(Snapshot(epoch, measured, theory))
        self._snapshots.append(moment)

    def _theory(
        self, share: Share, networks: Stack, measured: Mapping[str, Tensor], batch: Batch, epoch: int
    ) -> dict[str, list[Any]]:
        """What theory says of a share's networks, as columns; after epoch 0 only why it says nothing."""
        assert self._layout is not None
        reason = "training has changed the weights" if epoch else share.job.fitted
        prediction = Prediction(unpredicted=reason) if reason else predict_networks(networks, measured, batch)
        return theory_columns(self._layout, prediction)
