"""What the signal looks like in every layer while a cohort trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import pandas as pd
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from initlab.cohort.module import CohortModule
from initlab.initializers.context import Batch
from initlab.jobs import Share, rows_of
from initlab.signal.layers import Layout, find_layout
from initlab.signal.networks import Networks
from initlab.signal.prediction import Prediction
from initlab.signal.probe import Look, measure_networks, predict_networks, signal_table, theory_columns


@dataclass(frozen=True)
class _Moment:
    """What one look showed: numbers of shape (members, layers), and what theory says of each share."""

    epoch: int
    values: Mapping[str, Tensor]
    theory: Sequence[Mapping[str, Sequence[Any]]]


class SignalRecording(Callback):
    """Looks at every layer of a cohort's members before training, every few epochs, and after the last.

    It only reads: with it or without, the weights are the same to the bit.

    Args:
        shares: Of jobs of one program, in the order of their members.
        every: How many epochs from one look to the next.
    """

    def __init__(self, shares: Sequence[Share], every: int) -> None:
        self._shares, self._every = shares, every
        self._layout: Layout | None = None
        self._moments: list[_Moment] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Look at the untrained networks, unless a checkpoint knows of them."""
        if not self._moments:
            self._look(pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look, if it is time."""
        epoch = trainer.current_epoch + 1
        if epoch % self._every == 0 or epoch == trainer.max_epochs:
            self._look(pl_module, epoch=epoch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"moments": [(moment.epoch, dict(moment.values), list(moment.theory)) for moment in self._moments]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self._moments = [_Moment(*parts) for parts in state_dict["moments"]]

    def tables(self) -> list[pd.DataFrame]:
        """The signal table of each share, without the job's name."""
        assert self._layout is not None
        tables = []
        for place, (share, rows) in enumerate(zip(self._shares, rows_of(self._shares), strict=True)):
            looks = [
                Look(
                    moment.epoch,
                    {name: value[rows] for name, value in moment.values.items()},
                    moment.theory[place],
                )
                for moment in self._moments
            ]
            tables.append(signal_table(self._layout, looks, share.seeds, first_seed=share.job.config.seed))
        return tables

    def _look(self, module: pl.LightningModule, *, epoch: int) -> None:
        assert isinstance(module, CohortModule)
        stack, job = module.stack, self._shares[0].job
        rows = job.rows_to_look_at().to(module.device)
        batch = Batch(rows.inputs.to(module.parameter_stack[0].dtype), rows.targets)
        if self._layout is None:
            self._layout = find_layout(stack.template, batch)
        seeds = [seed for share in self._shares for seed in share.seeds]
        networks = Networks(stack.template, stack.parameters, stack.buffers, seeds, module.engine_name == "vmap")
        values = measure_networks(
            networks, self._layout, batch, loss=lambda outputs, targets: module.task.loss(outputs, targets).sum()
        )
        self._moments.append(_Moment(epoch, values, self._theory(networks, values, batch, epoch)))

    def _theory(
        self, networks: Networks, values: Mapping[str, Tensor], batch: Batch, epoch: int
    ) -> list[dict[str, list[Any]]]:
        """What theory says of each share."""
        assert self._layout is not None
        found = []
        for share, rows in zip(self._shares, rows_of(self._shares), strict=True):
            reason = "training has changed the weights" if epoch else share.job.fitted
            if reason is not None:
                found.append(theory_columns(self._layout, Prediction(unpredicted=reason)))
                continue
            measured = {name: value[rows] for name, value in values.items()}
            found.append(theory_columns(self._layout, predict_networks(networks.part(rows), measured, batch)))
        return found
