"""Early stopping: a member whose validation value gets no better stays as it is, and its cohort goes on."""

import math
from typing import Any

import torch
from torch import Tensor

from initlab.config.schema import EarlyStoppingConfig
from initlab.tables.records import EpochRecord


class Stopping:
    """Which members of a cohort have stopped.

    What a member does depends on its own validation values alone. The untrained network's do not count.

    Args:
        config: When a member stops.
        members: How many there are.
    """

    def __init__(self, config: EarlyStoppingConfig, members: int) -> None:
        self._config = config
        self._best = torch.full((members,), math.inf, dtype=torch.float64)
        self._waited = torch.zeros(members, dtype=torch.int64)
        self.epochs = torch.zeros(members, dtype=torch.int64)  # 0: has not stopped

    @property
    def stopped(self) -> Tensor:
        """Which members have stopped, shape (members,), truth values, on the CPU."""
        return self.epochs > 0

    def see(self, record: EpochRecord) -> None:
        """Take note of an epoch's validation values, and stop the members that have waited long enough.

        Args:
            record: Of the validation rows.
        """
        sign = 1 if self._config.metric == "loss" else -1
        value = sign * record.values[self._config.metric]
        better = value < self._best - self._config.min_delta  # NaN is not
        self._best = torch.where(better, value, self._best)
        self._waited = torch.where(better, 0, self._waited + 1)
        now = (self._waited >= (self._config.patience or math.inf)) & ~self.stopped
        self.epochs[now] = record.epoch

    def carried(self, record: EpochRecord, former: EpochRecord) -> EpochRecord:
        """A record in which members that have stopped keep the values of the former one.

        Args:
            record: Of an epoch after which a member may have stopped.
            former: Of the same rows, an epoch before.
        """
        stopped = self.stopped
        values = {name: torch.where(stopped, former.values[name], value) for name, value in record.values.items()}
        return EpochRecord(record.epoch, record.split, values)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self._best, "waited": self._waited, "epochs": self.epochs}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint has kept."""
        self._best, self._waited, self.epochs = (state[name].clone() for name in ("best", "waited", "epochs"))
