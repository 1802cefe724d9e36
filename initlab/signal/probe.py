"""Probing a stack of networks: measured signal, prediction, histograms and the Jacobian, as tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from initlab.errors import UserError, first_line
from initlab.initializers.context import Batch, measuring
from initlab.initializers.slots import find_slots
from initlab.randomness import stream
from initlab.signal.histograms import histograms
from initlab.signal.jacobian import singular_values
from initlab.signal.layers import Layout, Site, find_layout
from initlab.signal.measure import MEASURED, OUTPUT_GRADIENT, Loss, first_tensor, measure
from initlab.signal.networks import Networks
from initlab.signal.predict import predict
from initlab.signal.prediction import Prediction, weight_law

SPECTRUM_ROWS: Final = 8


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        signal: One row a member and layer; `results.schema.SIGNAL` says what its columns are.
        histograms: One row a layer and bin, of the first member.
        spectrum: One row a member, row of the batch and singular value; empty where there is no Jacobian.
        unseen: Weights of which nothing was measured, with the reason.
    """

    signal: pd.DataFrame
    histograms: pd.DataFrame
    spectrum: pd.DataFrame
    unseen: Mapping[str, str]


def probe_networks(networks: Networks, batch: Batch, *, loss: Loss | None, fitted: str | None = None) -> Probe:
    """All that a probe finds; the arguments are those of `probe_signal`."""
    table, layout, found = probe_signal(networks, batch, loss=loss, fitted=fitted)
    spread = histograms(networks, layout, batch)
    return Probe(table, spread, _spectrum(networks, batch, found), layout.unseen)


def probe_signal(
    networks: Networks, batch: Batch, *, loss: Loss | None, fitted: str | None = None
) -> tuple[pd.DataFrame, Layout, Prediction]:
    """Measure what a batch and its gradient look like in every layer, before any training, and what theory says.

    Args:
        networks: At initialization.
        batch: The same rows for all.
        loss: From outputs and targets to the sum over the rows of their losses; None: a random direction of the
            outputs is sent back, one for each row, drawn from the first seed.
        fitted: Why theory, which is about random weights, has nothing to say; None: it has.
    """
    layout = find_layout(networks.template, batch)
    measured = measure_networks(networks, layout, batch, loss=loss)
    found = Prediction(unpredicted=fitted) if fitted else predict_networks(networks, measured, batch)
    look = Look(0, measured, theory_columns(layout, found))
    return signal_table(layout, [look], networks.seeds, first_seed=networks.seeds[0]), layout, found


def measure_networks(networks: Networks, layout: Layout, batch: Batch, *, loss: Loss | None) -> dict[str, Tensor]:
    """One forward and one backward pass; without a loss along a random direction of the outputs."""
    cotangent = None
    if loss is None:
        with measuring(networks.template), torch.no_grad():
            outputs = first_tensor(batch.through(networks.template))
        generator = stream(networks.seeds[0], "direction of the outputs")
        cotangent = torch.randn(outputs.shape, generator=generator).to(outputs)
    try:
        return measure(networks, layout, batch, loss=loss, cotangent=cotangent)
    except RuntimeError as error:  # an operation that torch.func does not know, as old autograd functions are
        name = type(networks.template).__name__
        raise UserError(f"{name}: torch.func cannot differentiate it: {first_line(error)}") from error


def predict_networks(networks: Networks, measured: Mapping[str, Tensor], batch: Batch) -> Prediction:
    """What theory says, given the variances of the weights as they are and the gradient at the output."""
    inputs = single_input(batch)
    if inputs is None or inputs.dim() < 2:
        return Prediction(unpredicted="the inputs are not one tensor of numbers")
    laws = {
        slot.layer_name: weight_law(
            networks.parameters[slot.name],
            None if slot.bias_name is None else networks.parameters[slot.bias_name],
        )
        for slot in find_slots(networks.template)
        if slot.name in networks.parameters
    }
    square = measured[f"{OUTPUT_GRADIENT}_second_moment"]
    crossed = square * measured[f"{OUTPUT_GRADIENT}_correlation"].nan_to_num()
    norms = {
        name
        for name, module in networks.template.named_modules()
        if all(
            bool((networks.parameters[f"{name}.{part}"] == value).all())
            for part, value in (("weight", 1), ("bias", 0))
            if getattr(module, part, None) is not None and f"{name}.{part}" in networks.parameters
        )
    }
    gradient = float(square.mean()), float(crossed.mean())
    return predict(networks.template, laws, inputs, gradient=gradient, plain_norms=norms)


def single_input(batch: Batch) -> Tensor | None:
    """The one tensor of numbers that a network takes; None if it takes something else."""
    leaves = tree_leaves(batch.inputs)
    alone = len(leaves) == 1 and isinstance(leaves[0], Tensor) and leaves[0].is_floating_point()
    return leaves[0] if alone and not isinstance(batch.inputs, Mapping) else None


def theory_columns(layout: Layout, prediction: Prediction) -> dict[str, list[Any]]:
    """What theory says of each layer, as columns of the signal table."""

    def of(values: Mapping[Site, float]) -> list[float]:
        return [values.get(layer.before, math.nan) for layer in layout.layers]

    return {
        "predicted_second_moment": of(prediction.second_moments),
        "predicted_correlation": of(prediction.correlations),
        "predicted_gradient_second_moment": of(prediction.gradients),
        "no_prediction": [prediction.reason(layer.before) for layer in layout.layers],
    }


@dataclass(frozen=True)
class Look:
    """What networks showed at one moment.

    Attributes:
        epoch: 0 before any training.
        values: What was measured, shape (members, layers) each.
        theory: `theory_columns`.
    """

    epoch: int
    values: Mapping[str, Tensor]
    theory: Mapping[str, Sequence[Any]]


def signal_table(layout: Layout, looks: Sequence[Look], seeds: Sequence[int], *, first_seed: int) -> pd.DataFrame:
    """One row a look, member and layer, in this order.

    Args:
        layout: Of the networks.
        looks: At least one.
        seeds: One a member.
        first_seed: Members count from it.
    """
    layers, members, times = layout.layers, len(seeds), len(looks)
    each = members * len(layers)
    columns = {
        "member": np.tile(np.repeat(np.asarray(seeds) - first_seed, len(layers)), times),
        "seed": np.tile(np.repeat(np.asarray(seeds), len(layers)), times),
        "epoch": np.repeat([look.epoch for look in looks], each),
        "layer": [layer.name for layer in layers] * (members * times),
        "position": np.tile(np.arange(1, len(layers) + 1), members * times),
        "units": [layer.units for layer in layers] * (members * times),
        "entries": [layer.entries for layer in layers] * (members * times),
        **{name: torch.cat([look.values[name].flatten() for look in looks]).numpy() for name in MEASURED},
        **{name: [value for look in looks for value in list(look.theory[name]) * members] for name in looks[0].theory},
    }
    return pd.DataFrame(columns).astype({"no_prediction": "string"})


def _has_rows(networks: Networks, batch: Batch) -> bool:
    """Whether the output has a row for each of the batch, as a Jacobian of one row needs."""
    with measuring(networks.template), torch.no_grad():
        outputs = first_tensor(batch.through(networks.template))
    return outputs.dim() > 0 and len(outputs) == len(batch)


def _spectrum(networks: Networks, batch: Batch, prediction: Prediction) -> pd.DataFrame:
    """Singular values as a table, with the mean of their squares that theory predicts."""
    inputs = single_input(batch)
    columns = ("member", "seed", "row", "index", "singular_value", "predicted_mean_square")
    if inputs is None or not _has_rows(networks, batch):
        return pd.DataFrame(columns=list(columns))
    values = singular_values(networks, inputs, rows=SPECTRUM_ROWS)
    count = values.shape[-1]
    member, row, index = np.indices(values.shape).reshape(3, -1)
    entries = inputs[0].numel()
    square = math.nan if prediction.gain is None or count == 1 else prediction.gain * entries / min(count, entries)
    return pd.DataFrame(
        {
            "member": member,
            "seed": np.asarray(networks.seeds)[member],
            "row": row,
            "index": index,
            "singular_value": values.flatten().numpy(),
            "predicted_mean_square": square,
        }
    )
