"""How far back in time the gradient reaches."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from initlab.figures.looks import LOOKS, Look, looks_of, mark_equal
from initlab.figures.style import literal

MOST_SHOWN = len(LOOKS)


def gradient_by_lag(tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw the gradient by the state against how many steps back that state is.

    A line is the geometric mean over members, its band reaches from the smallest to the largest. Of several recurrent
    layers the first is drawn, which is the furthest from the output.

    Args:
        tables: By label, tables with the columns of `tables.schema.LAGS`, each of one job: a line each.
        looks: How the lines look, by label; None: as `looks_of` says.
    """
    looks = looks_of(tables) if looks is None else looks
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    lines = {}
    for label, table in list(tables.items())[:MOST_SHOWN]:
        own = table[table["weight"] == table["weight"].iloc[0]]
        color, dash = looks[label].color, looks[label].dash
        groups = np.log(own["gradient"].where(own["gradient"] > 0).astype(float)).groupby(own["lag"])
        mean, low, high = (np.exp(part.to_numpy(np.float64)) for part in (groups.mean(), groups.min(), groups.max()))
        if not np.isfinite(mean).any():
            panel.plot([], [], color=color, linestyle=dash, label=f"{literal(label)} (all zero)")
            continue
        lag = np.sort(own["lag"].unique()).astype(float)
        (lines[label],) = panel.plot(lag, mean, color=color, linestyle=dash, linewidth=1.8, label=literal(label))
        panel.fill_between(lag, low, high, color=color, alpha=0.15, linewidth=0)
    if lines:
        panel.set_yscale("log")
    panel.set_xlabel("steps back from the last output")
    panel.set_ylabel("norm of the gradient by the state")
    mark_equal(panel, lines, least_span=1.0, factors=True)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize="small")
    return figure
