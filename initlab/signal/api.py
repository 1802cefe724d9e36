"""Probing as a library: one call for any network."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from torch import Tensor, nn
from torch.func import stack_module_state

from initlab.activations import Activation
from initlab.errors import UserError
from initlab.initializers.api import initialize
from initlab.initializers.context import Batch
from initlab.initializers.registry import find_scheme
from initlab.signal.measure import Loss
from initlab.signal.networks import Networks
from initlab.signal.probe import probe_signal


def probe(
    model: nn.Module,
    batch: Any,
    *,
    seed: int,
    scheme: str | None = None,
    seeds: int = 1,
    activation: str | Activation | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    **params: Any,
) -> pd.DataFrame:
    """Measure what a batch and its gradient look like in every layer of a network, and what theory says of it.

    The network stays as it is: its numbers, modes, buffers, and torch's random state.

        >>> import torch, initlab
        >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(100, 100), torch.nn.Tanh())]
        >>> table = initlab.probe(torch.nn.Sequential(*layers), torch.randn(64, 100), seed=0, scheme="xavier", seeds=3)
        >>> len(table), table["layer"].iloc[1]
        (60, '2')
        >>> from initlab.figures.signal import signal_by_depth
        >>> figure = signal_by_depth({"xavier": table})

    Args:
        model: Any network, on any device.
        batch: What it is called with: a tensor, a tuple of positional or a dict of keyword arguments, rows first. With
            a loss: a pair of those inputs and the targets.
        seed: Of the first member, and of the direction of the outputs.
        scheme: Initialize copies of the network by this before; None: it is looked at with the weights it has.
        seeds: How many copies, with seeds seed, seed + 1, …; needs a scheme.
        activation: For schemes that depend on it; as in `initialize`.
        loss: From outputs and targets to the mean loss; None: a random direction of the outputs is sent back.
        **params: The scheme's.

    Returns:
        One row a member and layer, in the order in which the layers run; `help(initlab.results.schema)` says what the
        columns are. `table.attrs["unseen"]` names the weights of which nothing was measured, with the reason.

    Raises:
        UserError: a batch that the network cannot take or that holds NaN, a network in which no layer can be seen, or a
            scheme that does not fit it; one line.
    """
    networks, rows, fitted = prepare(
        model, batch, seed=seed, scheme=scheme, seeds=seeds, activation=activation, loss=loss, **params
    )
    table, layout, _ = probe_signal(networks, rows, loss=_summed(loss, len(rows)), fitted=fitted)
    table.attrs["unseen"] = dict(layout.unseen)
    return table


def prepare(
    model: nn.Module,
    batch: Any,
    *,
    seed: int,
    scheme: str | None = None,
    seeds: int = 1,
    activation: str | Activation | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    **params: Any,
) -> tuple[Networks, Batch, str | None]:
    """The networks that `probe` looks at, the rows, and why theory has nothing to say of them, if so."""
    if not isinstance(model, nn.Module):
        raise UserError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if seeds < 1 or (seeds > 1 and scheme is None):
        raise UserError(f"seeds={seeds}: expected 1, or with a scheme at least 1")
    if scheme is None and params:
        raise UserError(f"{next(iter(params))}: a parameter of a scheme, and none is named; set scheme=NAME")
    model = getattr(model, "_orig_mod", model)
    rows = _rows(model, batch, loss)
    copies: Sequence[nn.Module] = [model]
    fitted = None
    if scheme is not None:
        copies = [copy.deepcopy(model) for _ in range(seeds)]
        for offset, network in enumerate(copies):
            initialize(network, scheme, activation=activation, batch=batch, loss=loss, seed=seed + offset, **params)
        needs = find_scheme(scheme).needs
        fitted = f"{scheme} fits the weights to data" if "batch" in needs else None
    if next(model.parameters(), None) is None:
        raise UserError(f"{type(model).__name__} has no parameters")
    parameters, buffers = stack_module_state(list(copies))
    return Networks(copies[0], parameters, buffers, range(seed, seed + len(copies)), vectorized=False), rows, fitted


def _rows(model: nn.Module, batch: Any, loss: object) -> Batch:
    if loss is not None and (not isinstance(batch, tuple | list) or len(batch) != 2):
        raise UserError(f"batch: with a loss, expected a pair of inputs and targets, got {type(batch).__name__}")
    rows = Batch(batch) if loss is None else Batch(*batch)
    parameter = next(model.parameters(), None)
    if parameter is not None:
        rows = rows.to(parameter.device)
    rows.check(model)
    return rows


def _summed(loss: Callable[[Any, Any], Tensor] | None, rows: int) -> Loss | None:
    """The sum over rows of a mean loss."""
    if loss is None:
        return None
    return lambda outputs, targets: loss(outputs, targets) * rows
