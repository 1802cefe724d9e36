"""What a worker is told besides the cohort that it is to train."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from initlab.data.dataset import Dataset
from initlab.sweep.process import Home
from initlab.sweep.run import Run


@dataclass(frozen=True)
class Order:
    """What a worker is told besides the cohort that it is to train.

    Attributes:
        run: What the processes of this run share.
        attempt: Number of the attempt at the sweep that is on.
        home: The process that it works for.
        data: Data sets that it need not load itself, as `jobs.data.take_data` takes them.
    """

    run: Run
    attempt: str
    home: Home
    data: Mapping[str, Dataset] = field(default_factory=dict)
