"""What a worker is told besides the cohort that it is to train."""

from dataclasses import dataclass

from initlab.sweep.process import Home
from initlab.sweep.run import Run


@dataclass(frozen=True)
class Order:
    """What a worker is told besides the cohort that it is to train.

    Attributes:
        run: What the processes of this run share.
        attempt: Number of the attempt at the sweep that is on.
        home: The process that it works for.
    """

    run: Run
    attempt: str
    home: Home
