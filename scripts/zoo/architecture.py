"""What the zoo keeps of an architecture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One network that the zoo builds.

    Attributes:
        name: Library and name in it, e.g. `"timm/resnet18"`.
        family: The row of the table in which it counts, e.g. `"timm: convolutions"`.
        build: Returns the network, small and without pretrained weights.
        batch: Returns what the network is called with: a tensor, a tuple of positional or a dict of keyword arguments.
    """

    name: str
    family: str
    build: Callable[[], nn.Module]
    batch: Callable[[], Any]
