"""The LightningDataModule: all data is in memory, and a batch is indices into it, for each member its own."""

from collections.abc import Sequence

import lightning.pytorch as pl
import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from initlab.base.randomness import stream
from initlab.data.batches import BLOCK_STEPS, CHUNK_ROWS, rest_of_epoch, steps_per_epoch
from initlab.data.dataset import Dataset


class InMemoryData(pl.LightningDataModule):
    """Batches of a data set for a cohort.

    One item of the training loader is a block of many optimizer steps, indices of shape (steps, members, batch).
    Members are small and many: if Lightning went around its loop once for each step, that would cost more than the
    step.

    Args:
        dataset: Already in memory: nothing is read here, so that `setup` may be called any number of times.
        batch_size: Rows that a member sees in a step. The last step of an epoch takes what remains, unless that is a
            single row, of which batch norm knows no variance: it is left out, a different one in each epoch.
        seeds: One for each member; members of equal seed see the rows in the same order.
    """

    def __init__(self, dataset: Dataset, *, batch_size: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.dataset = dataset
        self.batch_size = batch_size
        self.seeds = tuple(seeds)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return steps_per_epoch(len(self.dataset.train), self.batch_size)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Blocks of the current epoch; the order is a function of seed and epoch alone."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return _in_order(self.blocks(epoch))

    def blocks(self, epoch: int) -> list[Tensor]:
        """Blocks of optimizer steps that make up an epoch.

        Args:
            epoch: Counted from 0; with the seeds it decides the order.

        Returns:
            Row indices, each block of shape (steps, members, batch). No member sees a row twice.
        """
        rows = len(self.dataset.train)
        distinct = {
            seed: torch.randperm(rows, generator=stream(seed, f"data order, epoch {epoch}"))
            for seed in dict.fromkeys(self.seeds)
        }
        order = torch.stack([distinct[seed] for seed in self.seeds])
        members, size = len(self.seeds), min(self.batch_size, rows)
        whole = rows // size
        steps = order[:, : whole * size].view(members, whole, size).transpose(0, 1)
        blocks = list(steps.split(BLOCK_STEPS))
        if rest_of_epoch(rows, size):
            blocks.append(order[:, whole * size :].unsqueeze(0))
        return blocks

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Row indices of the validation split in order, shape (rows,), a few hundred at a time."""
        return _in_order(self.chunks(len(self.dataset.val)))

    def chunks(self, rows: int) -> list[Tensor]:
        """All row indices in order, in chunks that need no more memory than a few training steps.

        Args:
            rows: How many rows there are to evaluate.
        """
        return list(torch.arange(rows).split(max(4 * self.batch_size, CHUNK_ROWS)))


def _in_order(items: list[Tensor]) -> DataLoader[Tensor]:
    """A loader over what is in memory, as Lightning wants one. Its own generator spares torch's global one."""
    return DataLoader(items, batch_size=None, generator=Generator())  # type: ignore[arg-type]
