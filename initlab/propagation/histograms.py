"""How the values of every layer are spread."""

from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from initlab.modules.batch import Batch
from initlab.modules.calling import call_with
from initlab.modules.measuring import measuring
from initlab.modules.stack import Stack
from initlab.propagation.layers import Layout, Site, looking

BINS: Final = 60
MOST_ROWS: Final = 64  # of the batch
TAILS: Final = 0.001  # of the values on either side, that the bins leave out


def histograms(networks: Stack, layout: Layout, batch: Batch) -> pd.DataFrame:
    """Histograms of the first member's post-activations in every layer, and of its outputs: 60 bins each.

    The bins leave out a thousandth of the values at either end.

    Args:
        networks: The first member is looked at; dropout is off, norms normalize by the batch.
        layout: The layers of the networks' template, for this batch, as `find_layout` returns them.
        batch: Rows to send through; the values of the first 64 are counted.

    Returns:
        One row a layer and bin, with the columns of `tables.schema.HISTOGRAMS` but for the job's name; no row of a
        layer that has no finite value.
    """
    template = networks.template
    places = {layer.after or layer.before: (number, layer) for number, layer in enumerate(layout.layers, start=1)}
    columns = ("layer", "position", "left", "right", "density")
    parts: dict[int, tuple[list[str], list[int], np.ndarray, np.ndarray, np.ndarray]] = {}

    def look(site: Site, _module: nn.Module, signal: Tensor) -> Tensor:
        if site in places:
            number, layer = places[site]
            values = layer.rows_first(signal.detach())[:MOST_ROWS].flatten().double().cpu().numpy()
            values = values[np.isfinite(values)]
            if not len(values):
                return signal
            low, high = np.quantile(values, [TAILS, 1 - TAILS])
            spread = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-30)
            density, edges = np.histogram(values, BINS, range=(low, low + spread), density=True)
            parts[number] = [layer.name] * BINS, [number] * BINS, edges[:-1], edges[1:], density
        return signal

    with measuring(template), torch.no_grad(), looking(template, layout, look):
        batch.through(lambda *args, **kwargs: call_with(template, networks.member(0), *args, **kwargs))
    if not parts:  # no number is finite
        return pd.DataFrame(columns=list(columns))
    every = zip(*(parts[number] for number in sorted(parts)), strict=True)
    return pd.DataFrame({name: np.concatenate(values) for name, values in zip(columns, every, strict=True)})
