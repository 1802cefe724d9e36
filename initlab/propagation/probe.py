"""Probing networks: signal, prediction, histograms and the Jacobian as tables; `probe_model` is the call for users."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import stack_module_state
from torch.utils._pytree import tree_leaves

from initlab.activations import Activation
from initlab.base.errors import UserError, first_line
from initlab.base.randomness import stream
from initlab.initializers.api import initialize
from initlab.initializers.rules import Given, Rules, spec_of
from initlab.initializers.slots import find_slots
from initlab.initializers.spec import beyond_theory
from initlab.modules.batch import Batch
from initlab.modules.measuring import measuring
from initlab.modules.stack import Stack
from initlab.modules.wrappers import is_sharded, unwrapped
from initlab.propagation.blocks import look_at_blocks
from initlab.propagation.first_loss import FirstLoss, first_loss
from initlab.propagation.histograms import histograms
from initlab.propagation.jacobian import singular_values
from initlab.propagation.layers import Layout, find_layout
from initlab.propagation.measure import LOSS, OUTPUT_GRADIENT, Loss, measure, output_numbers
from initlab.propagation.predict import NORMS, predict
from initlab.propagation.prediction import Prediction, weight_law
from initlab.propagation.recurrence import Recurrence, look_at_recurrence
from initlab.propagation.signal_table import Snapshot, signal_table, theory_columns

SPECTRUM_ROWS: Final = 8


def probe_model(
    model: nn.Module,
    batch: Any,
    *,
    seed: int,
    scheme: Given | Rules | None = None,
    seeds: int = 1,
    activation: str | Activation | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    **params: Any,
) -> pd.DataFrame:
    """Measure what a batch and its gradient look like in every layer of a network, and what theory says of it.

    The network stays as it is: its weights, modes and buffers; and so does torch's random state.

    Example:
        >>> import torch, initlab
        >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(100, 100), torch.nn.Tanh())]
        >>> model = torch.nn.Sequential(*layers)
        >>> table = initlab.probe_model(model, torch.randn(64, 100), seed=0, scheme="xavier", seeds=3)
        >>> len(table), table["layer"].iloc[1]
        (60, '2')
        >>> from initlab.figures.signal import signal_by_depth
        >>> figure = signal_by_depth({"xavier": table})

    Args:
        model: Any network, on any device.
        batch: What the network is called with: a tensor, a tuple of positional or a dict of keyword arguments, rows
            first. With a loss: a pair of those inputs and the targets.
        seed: Seed of the first copy's weights, and of the random direction that is sent back without a loss.
        scheme: What copies of the network are initialized by, as in `initialize`: a name, a function or rules; None:
            the network is looked at with the weights that it has.
        seeds: How many copies to initialize, with the seeds seed, seed + 1, …; more than 1 needs a scheme.
        activation: Nonlinearity of the network, for schemes that depend on it; as in `initialize`.
        loss: From what the network returns and the targets to the mean loss, a scalar; None: a random direction of the
            outputs is sent back.
        **params: Parameters of the scheme, as in `initialize`.

    Returns:
        One row a member (here: a copy) and layer, in the order in which the layers run; its columns are explained by
        `initlab.tables.schema.describe_columns("signal")`. `table.attrs["unseen"]` names the weights of which nothing
        was measured, with the reason.

    Raises:
        UserError: a batch that the network cannot take or that holds NaN, a network in which no layer can be seen, or a
            scheme that does not fit it; one line.
    """
    seed, seeds = int(seed), int(seeds)
    networks, rows, fitted = prepare(
        model, batch, seed=seed, scheme=scheme, seeds=seeds, activation=activation, loss=loss, **params
    )
    table, layout, *_ = _probe_signal(
        networks, rows, range(seed, seed + seeds), vectorized=False, loss=_summed(loss, len(rows)), fitted=fitted
    )
    table.attrs["unseen"] = dict(layout.unseen)
    return table


def prepare(
    model: nn.Module,
    batch: Any,
    *,
    seed: int,
    scheme: Given | Rules | None = None,
    seeds: int = 1,
    activation: str | Activation | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    **params: Any,
) -> tuple[Stack, Batch, str | None]:
    """What `probe_model` looks at: the networks and the rows.

    Args:
        model: As in `probe_model`, and so are the other arguments.
        batch: The inputs, or with a loss a pair of inputs and targets.
        seed: Seed of the first copy's weights.
        scheme: Name of the scheme for the copies; None: the network itself, with the weights that it has.
        seeds: How many copies to make, at least 1.
        activation: Nonlinearity of the network, for schemes that depend on it.
        loss: From outputs and targets to the mean loss, for schemes that look at gradients.
        **params: Parameters of the scheme.

    Returns:
        The networks; the rows on their device; and why theory has nothing to say of them, None if it has.

    Raises:
        UserError: as `probe_model` raises it, but for a network in which no layer can be seen.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if seeds < 1 or (seeds > 1 and scheme is None):
        raise UserError(f"seeds={seeds}: expected 1, or with a scheme at least 1")
    if scheme is None and params:
        raise UserError(f"{next(iter(params))}: a parameter of a scheme, and none is named; set scheme=NAME")
    model = unwrapped(model)
    if is_sharded(model):
        raise UserError(f"{type(model).__name__} is sharded over processes: probe it before that")
    rows = _rows(model, batch, loss)
    copies: Sequence[nn.Module] = [model]
    fitted = None
    if scheme is not None:
        copies = [copy.deepcopy(model) for _ in range(seeds)]
        for offset, network in enumerate(copies):
            initialize(network, scheme, activation=activation, batch=batch, loss=loss, seed=seed + offset, **params)
        fitted = beyond_theory(spec_of(scheme, params))
    if next(model.parameters(), None) is None:
        raise UserError(f"{type(model).__name__} has no parameters")
    parameters, buffers = stack_module_state(list(copies))
    return Stack(copies[0], parameters, buffers), rows, fitted


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        signal: One row a member and layer; `tables.schema.describe_columns("signal")` says what its columns are.
        histograms: One row a layer and bin, of the first member.
        spectrum: One row a member, row of the batch and singular value; empty where there is no Jacobian.
        unseen: By the names of the weights of which nothing was measured, the reason.
        first_loss: Where the loss starts; None where there is no loss.
        blocks: One row a member and block with attention; empty where there is none.
        recurrence: How the networks remember; None where none of their weights acts on a state.
    """

    signal: pd.DataFrame
    histograms: pd.DataFrame
    spectrum: pd.DataFrame
    unseen: Mapping[str, str]
    first_loss: FirstLoss | None = None
    blocks: pd.DataFrame = field(default_factory=pd.DataFrame)
    recurrence: Recurrence | None = None

    @property
    def lags(self) -> pd.DataFrame | None:
        """Gradients against time; None where none of the weights acts on a state."""
        return None if self.recurrence is None else self.recurrence.lags

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Its tables by their names in `tables.schema.TABLES`; of those that only some networks have, what there is."""
        some = {"blocks": self.blocks}
        if self.recurrence is not None:
            some |= {"eigenvalues": self.recurrence.eigenvalues, "lags": self.recurrence.lags}
        always = {"signal": self.signal, "histograms": self.histograms, "spectrum": self.spectrum}
        return {**always, **{name: table for name, table in some.items() if len(table)}}


def probe_networks(
    networks: Stack,
    batch: Batch,
    *,
    seeds: Sequence[int],
    vectorized: bool,
    loss: Loss | None,
    fitted: str | None = None,
    workers: int = 1,
    spectrum: bool = True,
) -> Probe:
    """Measure what a batch and its gradient look like in every layer, before any training, and what theory says.

    Args:
        networks: Members with their initial weights.
        batch: Rows to send through, the same for all members.
        seeds: Seeds of the members, in the order of the stack.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
        loss: From outputs and targets to the sum over the rows of their losses; None: a random direction of the
            outputs is sent back, one for each row, drawn from the first seed.
        fitted: Why theory, which is about random weights, has nothing to say of these; None: it has.
        workers: Threads that share the members, where these go one after another.
        spectrum: Whether singular values of Jacobians are wanted.

    Raises:
        UserError: no layer can be seen, or no gradient goes back through the networks.
    """
    look = networks, batch, seeds
    table, layout, found, sums = _probe_signal(*look, vectorized=vectorized, loss=loss, fitted=fitted, workers=workers)
    spread = histograms(networks, layout, batch)
    jacobians = networks, layout, batch, seeds, found
    rows = SPECTRUM_ROWS if spectrum else 0
    values = _spectrum(*jacobians, rows=rows, vectorized=vectorized, workers=workers)
    start = None if loss is None or sums is None else first_loss(networks, layout, batch, loss, sums)
    blocks = look_at_blocks(networks, batch, seeds)
    recurrence = look_at_recurrence(networks, layout, batch, seeds, vectorized=vectorized)
    return Probe(table, spread, values, layout.unseen, start, blocks, recurrence)


def _probe_signal(
    networks: Stack,
    batch: Batch,
    seeds: Sequence[int],
    *,
    vectorized: bool,
    loss: Loss | None,
    fitted: str | None,
    workers: int = 1,
) -> tuple[pd.DataFrame, Layout, Prediction, Tensor | None]:
    """The signal table, the layers in their order, the prediction that the table holds, and the members' losses."""
    layout = find_layout(networks.template, batch)
    measured = measure_networks(
        networks, layout, batch, direction_seed=seeds[0], vectorized=vectorized, loss=loss, workers=workers
    )
    found = Prediction(unpredicted=fitted) if fitted else predict_networks(networks, measured, batch)
    snapshot = Snapshot(0, measured, theory_columns(layout, found))
    table = signal_table(layout, [snapshot], seeds, first_seed=seeds[0])
    slots = find_slots(networks.template)
    table.attrs["recurrent"] = [slot.layer_name for slot in slots if slot.stored.recurrent]
    table.attrs["looked_up"] = [slot.layer_name for slot in slots if slot.stored.one_hot]
    table.attrs["gated"] = [slot.layer_name for slot in slots if slot.stored.gates]
    return table, layout, found, measured.get(LOSS)


def measure_networks(
    networks: Stack,
    layout: Layout,
    batch: Batch,
    *,
    direction_seed: int,
    vectorized: bool,
    loss: Loss | None,
    workers: int = 1,
) -> dict[str, Tensor]:
    """Send a batch forth and its gradient back through every member, as `measure` does.

    Args:
        networks: Members at any moment of their training.
        layout: The layers of their template, for this batch.
        batch: Rows to send through, the same for all members.
        direction_seed: Seed of the random direction of the outputs that is sent back where there is no loss.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
        loss: From outputs and targets to the sum over the rows of their losses; None: the direction is sent back.
        workers: Threads that share the members, where these go one after another.

    Returns:
        As `measure` returns it: shape (members, layers) for each name of `MEASURED`, float64, and what has one number a
        member.

    Raises:
        UserError: no gradient goes back through an operation of the networks, or they return no floating-point
            numbers.
    """
    cotangent = None
    if loss is None:
        with measuring(networks.template), torch.no_grad():
            outputs = output_numbers(batch.through(networks.template))
        generator = stream(direction_seed, "direction of the outputs")
        cotangent = torch.randn(outputs.shape, generator=generator, dtype=torch.float32, device="cpu").to(outputs)
    try:
        return measure(networks, layout, batch, vectorized=vectorized, loss=loss, cotangent=cotangent, workers=workers)
    except RuntimeError as error:  # as where a network changes in place what its gradient needs
        name = type(networks.template).__name__
        raise UserError(f"{name}: no gradient goes back through it: {first_line(error)}") from error


def predict_networks(networks: Stack, measured: Mapping[str, Tensor], batch: Batch) -> Prediction:
    """What theory says, given the variances of the weights as they are and the gradient at the output.

    Args:
        networks: Members with their initial weights; their variances are taken over all members.
        measured: As `measure_networks` returns it; the gradient at the output is taken from it.
        batch: The rows that `measured` is of.
    """
    inputs = _single_input(batch)
    if inputs is None or inputs.dim() < 2:
        leaves = tree_leaves(batch.inputs)
        tokens = len(leaves) == 1 and isinstance(leaves[0], Tensor) and not leaves[0].is_floating_point()
        what = "tokens, and no numbers" if tokens else "not one tensor of numbers"
        return Prediction(unpredicted=f"the inputs are {what}")
    slots = find_slots(networks.template)
    if any(slot.stored.recurrent for slot in slots):
        return Prediction(unpredicted="theory is about weights that act once, and these act on a state at every step")
    laws = {
        slot.layer_name: weight_law(
            networks.parameters[slot.name],
            None if slot.bias_name is None else networks.parameters[slot.bias_name],
        )
        for slot in slots
        if slot.name in networks.parameters
    }
    square = measured[f"{OUTPUT_GRADIENT}_second_moment"]
    crossed = square * measured[f"{OUTPUT_GRADIENT}_correlation"].nan_to_num()
    norms = {
        name
        for name, module in networks.template.named_modules()
        if isinstance(module, NORMS)
        and all(
            bool((networks.parameters[f"{name}.{part}"] == value).all())
            for part, value in (("weight", 1), ("bias", 0))
            if f"{name}.{part}" in networks.parameters and getattr(module, part, None) is not None
        )
    }
    gradient = float(square.mean()), float(crossed.mean())
    return predict(networks.template, laws, inputs, gradient=gradient, plain_norms=norms)


def _single_input(batch: Batch) -> Tensor | None:
    """The one tensor of numbers that a network takes; None if it takes something else."""
    leaves = tree_leaves(batch.inputs)
    single = len(leaves) == 1 and isinstance(leaves[0], Tensor) and leaves[0].is_floating_point()
    return leaves[0] if single and not isinstance(batch.inputs, Mapping) else None


def _spectrum(
    networks: Stack,
    layout: Layout,
    batch: Batch,
    seeds: Sequence[int],
    prediction: Prediction,
    *,
    rows: int,
    vectorized: bool,
    workers: int,
) -> pd.DataFrame:
    """Singular values as a table, with the mean of their squares that theory predicts."""
    inputs = _single_input(batch)
    columns = ("member", "seed", "row", "index", "singular_value", "predicted_mean_square")
    shape = () if layout.output is None else layout.output.shape
    # A Jacobian of one row needs that row's output.
    if not rows or inputs is None or not shape or shape[0] != len(batch):
        return pd.DataFrame(columns=list(columns))
    shared = 1 if layout.draws else workers
    values = singular_values(networks, inputs, rows=rows, vectorized=vectorized, workers=shared)
    count = values.shape[-1]
    member, row, index = np.indices(values.shape).reshape(3, -1)
    entries = inputs[0].numel()
    square = math.nan if prediction.gain is None or count == 1 else prediction.gain * entries / min(count, entries)
    return pd.DataFrame(
        {
            "member": member,
            "seed": np.asarray(seeds)[member],
            "row": row,
            "index": index,
            "singular_value": values.flatten().numpy(),
            "predicted_mean_square": square,
        }
    )


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
