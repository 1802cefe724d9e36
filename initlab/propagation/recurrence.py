"""How a recurrent network remembers: eigenvalues of what acts on its state, and the gradient against time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.base.randomness import stream
from initlab.base.wording import listed
from initlab.initializers.context import by_layer
from initlab.initializers.slots import Slot, find_slots
from initlab.modules.batch import Batch
from initlab.modules.calling import call_with
from initlab.modules.measuring import measuring
from initlab.modules.stack import Stack, State
from initlab.propagation.layers import Layout
from initlab.propagation.measure import output_numbers
from initlab.theory.mean_field import DEPTH_SCALES

MOST_TOGETHER: Final = 16  # networks
STEADY: Final = 2.0  # a factor over all steps up to which the gradient counts as kept
LARGE: Final = math.exp(DEPTH_SCALES / 2)  # one from which on it is lost: in mean squares, that of the expected depth


@dataclass(frozen=True)
class Recurrence:
    """How networks remember at the start.

    Attributes:
        eigenvalues: A row a member, recurrent weight and gate, with the columns of `tables.schema.EIGENVALUES`.
        lags: A row a member, recurrent layer and number of steps back, with the columns of `tables.schema.LAGS`.
    """

    eigenvalues: pd.DataFrame
    lags: pd.DataFrame

    def sentences(self) -> list[str]:
        """What it shows, a sentence a recurrent weight, with geometric means over the networks."""
        back = {str(name): table for name, table in self.lags.groupby("weight", sort=False)}
        sizes = {str(name): table for name, table in self.eigenvalues.groupby("weight", sort=False)}
        return [f"{name}: {_on_gradient(back.get(name))}{_on_eigenvalues(table)}" for name, table in sizes.items()]


def look_at_recurrence(
    networks: Stack, layout: Layout, batch: Batch, seeds: Sequence[int], *, vectorized: bool
) -> Recurrence | None:
    """Eigenvalues of the recurrent weights, and how far back the gradient reaches; None where nothing is recurrent.

    What is sent back is a random direction of the outputs, after the last step alone where there are outputs at each.
    The gradient is taken by the states as the recurrent weight reads them, so that it must be that of a module which is
    called step by step: the steps inside nn.RNN, nn.LSTM and nn.GRU are not seen, nor are those of torch's cells.

    Args:
        networks: Members at any moment of their training; they stay as they are.
        layout: The layers of their template, for this batch.
        batch: Rows to send through, the same for all members.
        seeds: Seeds of the members, in the order of the stack.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
    """
    slots = [slot for slot in find_slots(networks.template) if slot.stored.recurrent]
    if not slots:
        return None
    called = by_layer(slots)
    calls = {
        slot: sum(layer.name.partition("#")[0] == slot.layer_name for layer in layout.layers)
        for slot in slots
        if called.get(slot.layer) is slot
    }
    stepwise = {slot: count for slot, count in calls.items() if count > 1}
    lags = [
        pd.DataFrame(
            {
                "member": np.repeat(np.arange(networks.members), values.shape[1]),
                "seed": np.repeat(np.asarray(seeds), values.shape[1]),
                "weight": name,
                "lag": np.tile(np.arange(values.shape[1], 0, -1), networks.members),
                "gradient": values.flatten().numpy(),
            }
        )
        for name, values in _gradients(networks, stepwise, batch, seeds[0], vectorized=vectorized).items()
    ]
    columns = ["member", "seed", "weight", "lag", "gradient"]
    found = pd.concat(lags, ignore_index=True) if lags else pd.DataFrame(columns=columns)
    return Recurrence(_eigenvalues(networks, slots, seeds), found)


def spectral_radius(matrix: Tensor) -> float:
    """The largest modulus of a square matrix' eigenvalues; NaN where it is not finite."""
    if not bool(matrix.isfinite().all()):
        return math.nan
    return float(torch.linalg.eigvals(matrix.double().cpu()).abs().max())


def _eigenvalues(networks: Stack, slots: Sequence[Slot], seeds: Sequence[int]) -> pd.DataFrame:
    rows = [
        (member, seed, slot.name, gate, spectral_radius(matrix))
        for slot in slots
        if slot.name in networks.parameters
        for member, seed in enumerate(seeds)
        for gate, matrix in zip(
            slot.stored.gates or [None] * slot.blocks,
            slot.maps(networks.parameters[slot.name][member].detach()),
            strict=True,
        )
        if matrix.shape[0] == matrix.shape[1]
    ]
    return pd.DataFrame(rows, columns=["member", "seed", "weight", "gate", "spectral_radius"])


def _gradients(
    networks: Stack, calls: Mapping[Slot, int], batch: Batch, seed: int, *, vectorized: bool
) -> dict[str, Tensor]:
    """By the name of each recurrent weight, the gradient's root mean square norm at each call: (members, calls)."""
    if not calls:
        return {}
    names = [slot.name for slot in calls]
    with measuring(networks.template), torch.no_grad():
        like = _last(output_numbers(batch.through(networks.template)))
    direction = torch.randn(like.shape, generator=stream(seed, "direction of the last outputs"), device="cpu").to(like)
    rows = len(like)

    def of_member(template: nn.Module, parameters: State, buffers: State) -> dict[str, Tensor]:
        def sent_back(added: list[list[Tensor]]) -> Tensor:
            state = {**parameters, **{name: value.clone() for name, value in buffers.items()}}
            with _adding(template, dict(zip((slot.layer_name for slot in calls), added, strict=True))):
                outputs = batch.through(lambda *args, **kwargs: call_with(template, state, *args, **kwargs))
            return (_last(output_numbers(outputs)) * direction).sum()

        zeros = [
            [parameters[slot.name].new_zeros(rows, slot.fan.fan_in) for _ in range(count)]
            for slot, count in calls.items()
        ]
        gradients = torch.func.grad(sent_back)(zeros) if vectorized else _by_graph(sent_back, zeros)
        return {
            name: torch.stack([part.double().square().sum(-1).mean().sqrt() for part in parts])
            for name, parts in zip(names, gradients, strict=True)
        }

    with measuring(networks.template):
        found = networks.each(of_member, vectorized=vectorized, most=MOST_TOGETHER)
    return {name: value.cpu() for name, value in found.items()}


def _by_graph(function: Any, zeros: list[list[Tensor]]) -> list[list[Tensor]]:
    """The gradient of a function of lists of tensors, by autograd, which knows what `torch.func` does not."""
    flat = [part.requires_grad_() for parts in zeros for part in parts]
    with torch.enable_grad():
        found = iter(torch.autograd.grad(function(zeros), flat, allow_unused=True, materialize_grads=True))
    return [[next(found) for _ in parts] for parts in zeros]


def _last(outputs: Tensor) -> Tensor:
    """The outputs after the last step, of networks that answer at each."""
    return outputs[:, -1] if outputs.dim() > 2 else outputs


@contextmanager
def _adding(model: nn.Module, added: Mapping[str, list[Tensor]]) -> Iterator[None]:
    """Add a tensor to what enters each of some modules at each of its calls."""
    with ExitStack() as hooks:
        for name, parts in added.items():
            left = iter(parts)

            def enter(_: nn.Module, args: tuple[Any, ...], left: Iterator[Tensor] = left) -> tuple[Any, ...]:
                return (args[0] + next(left), *args[1:])

            hooks.callback(model.get_submodule(name).register_forward_pre_hook(enter).remove)
        yield


@dataclass(frozen=True)
class OverTime:
    """How the gradient by a state changes with how many steps before the last output the state is.

    Attributes:
        lags: Numbers of steps, ascending.
        sizes: Norms of the gradient, geometric means over the networks in which there is any; NaN where there is none.
    """

    lags: NDArray[np.int64]
    sizes: NDArray[np.float64]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "OverTime":
        """From the rows of `tables.schema.LAGS` of one weight."""
        positive = table["gradient"].where(table["gradient"] > 0)
        logarithms = positive.astype(float).map(np.log).groupby(table["lag"]).mean()  # in ascending order of the lags
        return cls(logarithms.index.to_numpy(np.int64), np.exp(logarithms.to_numpy(np.float64)))

    @property
    def arrives(self) -> bool:
        """Whether any gradient gets back over a single step."""
        return not np.isnan(self.sizes[0])

    @property
    def factor(self) -> float:
        """The gradient by the farthest state over that by the nearest; 0 where nothing arrives, infinite if it is."""
        if np.isposinf(self.sizes).any():
            return math.inf
        return float(self.sizes[-1] / self.sizes[0]) if np.isfinite(self.sizes[[0, -1]]).all() else 0.0

    @property
    def reach(self) -> int:
        """How many steps back the gradient is not yet lost."""
        kept = self.sizes >= self.sizes[0] / LARGE  # false of NaN
        return int(self.lags[kept].max(initial=0))

    def __str__(self) -> str:
        lags, steps = self.lags, int(self.lags[-1] - self.lags[0])
        if np.isposinf(self.sizes).any():
            return f"the gradient explodes: it is no finite number {lags[np.isposinf(self.sizes)][0]} steps back"
        if not self.arrives:
            return "no gradient gets back over a single step"
        if not np.isfinite(self.sizes[-1]):
            return (
                f"the gradient gets back over {lags[np.isfinite(self.sizes)][-1]} of {lags[-1]} steps, and no further"
            )
        if 1 / STEADY <= self.factor <= STEADY:
            return f"the gradient keeps its size over {steps} steps"
        verb, by = ("vanishes", 1 / self.factor) if self.factor < 1 else ("explodes", self.factor)
        many = f"{by:.3g}" if by < 1000 else f"{by:.0e}"
        return f"the gradient {verb} by a factor of {many} over {steps} steps"


def _on_gradient(table: pd.DataFrame | None) -> str:
    if table is None:
        return "the gradient against time is not measured, as no call of it for several steps is seen"
    return str(OverTime.of(table))


def _on_eigenvalues(table: pd.DataFrame) -> str:
    means = table.groupby(table["gate"].fillna(""), sort=False)["spectral_radius"].mean()
    parts = [f"{size:.3g}{f' in gate {gate}' if gate else ''}" for gate, size in means.items()]
    return f"; the largest eigenvalue has modulus {listed(parts, 4)}"
