"""What was measured and predicted of each layer, as the signal table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from initlab.propagation.layers import Layout, Site
from initlab.propagation.measure import MEASURED
from initlab.propagation.prediction import Prediction


def theory_columns(layout: Layout, prediction: Prediction) -> dict[str, list[Any]]:
    """What theory says of each layer, as columns of the signal table: a list of one value a layer for each."""

    def at(sites: Sequence[Site], values: Mapping[Site, float]) -> list[float]:
        return [values.get(site, math.nan) for site in sites]

    before, outputs = [layer.before for layer in layout.layers], [layer.output for layer in layout.layers]
    return {
        "predicted_second_moment": at(before, prediction.second_moments),
        "predicted_correlation": at(before, prediction.correlations),
        "predicted_gradient_second_moment": at(outputs, prediction.gradients),
        "no_prediction": [prediction.reason(site) for site in before],
        "no_gradient_prediction": [prediction.gradient_reason(site) for site in outputs],
    }


@dataclass(frozen=True)
class Snapshot:
    """What networks showed at one moment.

    Attributes:
        epoch: How many epochs the networks had trained; 0: none.
        values: What `measure` returned: shape (members, layers) for each name of `MEASURED`.
        theory: What `theory_columns` returned: a value a layer for each column.
    """

    epoch: int
    values: Mapping[str, Tensor]
    theory: Mapping[str, Sequence[Any]]


def signal_table(
    layout: Layout, snapshots: Sequence[Snapshot], seeds: Sequence[int], *, first_seed: int
) -> pd.DataFrame:
    """One row a snapshot, member and layer, in this order.

    Args:
        layout: The layers, in the order in which they run.
        snapshots: One or more, in the order of their epochs.
        seeds: Seeds of the members, in the order of the snapshots' values.
        first_seed: Seed of the job's first member: the column `member` is a seed less this one.

    Returns:
        The columns of `tables.schema.SIGNAL` but for the job's name.
    """
    layers, members, times = layout.layers, len(seeds), len(snapshots)
    rows = members * len(layers)
    columns = {
        "member": np.tile(np.repeat(np.asarray(seeds) - first_seed, len(layers)), times),
        "seed": np.tile(np.repeat(np.asarray(seeds), len(layers)), times),
        "epoch": np.repeat([snapshot.epoch for snapshot in snapshots], rows),
        "layer": [layer.name for layer in layers] * (members * times),
        "position": np.tile(np.arange(1, len(layers) + 1), members * times),
        "units": [layer.units for layer in layers] * (members * times),
        "entries": [layer.entries for layer in layers] * (members * times),
        **{name: torch.cat([each.values[name].flatten() for each in snapshots]).numpy() for name in MEASURED},
        **{
            name: [value for snapshot in snapshots for value in list(snapshot.theory[name]) * members]
            for name in snapshots[0].theory
        },
    }
    return pd.DataFrame(columns).astype({"no_prediction": "string", "no_gradient_prediction": "string"})
