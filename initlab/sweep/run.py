"""What all processes of one run of a sweep share."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """What the processes of one run share.

    Attributes:
        identity: Tells this run from others that train the same jobs; metadata.json of each job keeps it.
        cores: CPU cores for each process; None: all that it may use.
        members: By `Job.program`, how many members all its cohorts have together.
        device: Index of the GPU to train on; None: the first, if there is one.
        command: What was typed, for metadata.json; None: the command line of the process that writes it.
    """

    identity: str
    cores: int | None = None
    members: Mapping[str, int] = field(default_factory=dict)
    device: int | None = None
    command: str | None = None
