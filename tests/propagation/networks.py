"""Networks that probes look at."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.modules.stack import Stack
from initlab.propagation.probe import Probe, prepare, probe_networks


class Functional(nn.Module):
    """Two layers and a nonlinearity that is no module; a user's own kind of network."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.second(F.relu(self.first(inputs)))
        return outputs


class Repeated(nn.Module):
    """One layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.activation = nn.Linear(6, 6), nn.Tanh()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.activation(self.layer(self.activation(self.layer(inputs))))
        return outputs


class Branching(nn.Module):
    """What it does depends on what it sees, so that its operations cannot be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs if inputs.sum() > 0 else -inputs)
        return outputs


def chain(
    *sizes: int, activation: Callable[[], nn.Module] = nn.Tanh, norm: type[nn.Module] | None = None
) -> nn.Sequential:
    """Linear layers with an activation after each but the last."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), *([norm(fan_out)] if norm else []), activation()]
    return nn.Sequential(*layers[: -2 if norm else -1])


def rows(count: int = 32, width: int = 6, seed: int = 0) -> Tensor:
    """Inputs of about unit variance."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def probe_all(model: nn.Module, batch: Any, *, seed: int = 0, **settings: Any) -> Probe:
    """What the command line finds, of any network."""
    networks, inputs, fitted = prepare(model, batch, seed=seed, **settings)
    seeds = range(seed, seed + networks.members)
    return probe_networks(networks, inputs, seeds=seeds, vectorized=False, loss=None, fitted=fitted)


def together(models: Sequence[nn.Module]) -> Stack:
    """Networks as members."""
    parameters, buffers = torch.func.stack_module_state(list(models))
    return Stack(models[0], parameters, buffers)
