"""Members: the networks of a job, one a seed."""

from dataclasses import dataclass

from initlab.initializers import InitSpec


@dataclass(frozen=True)
class Member:
    """One network of a cohort: its weights at the start, the order of its data, and its learning rate.

    Attributes:
        job: Name of the job that it belongs to.
        seed: Decides its initial weights, the order in which it sees the data, and which rows these are where the job
            `resplits`.
        init: The rule by which its weights are drawn.
        learning_rate: Its own; the members of a cohort may differ in it.
    """

    job: str
    seed: int
    init: InitSpec
    learning_rate: float
