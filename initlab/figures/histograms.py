"""Histograms of activations by layer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from initlab.figures.looks import Look, looks_of
from initlab.figures.panels import nothing_to_see
from initlab.figures.style import in_lines, literal

MOST_LAYERS = 6
LABEL = 20, 3  # letters that a row has room for, side by side, and lines
SMALLEST = 1e-25  # a span below which there is none
EQUAL = 3e-6  # of the largest value: bins that span less are of values that are all the same
TOWERS = 4.0  # times the next highest: a bar at 0 that flattens the others
MOST_ROWS = 8


def activation_histograms(tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw histograms of what some layers hand on: a row a job, up to 8; up to 6 layers from the first to the output.

    A bar at 0 that would flatten the others is cut, and the panel says what share of the values it holds.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.histograms import activation_histograms
        >>> from initlab.tables.store import read_table
        >>> jobs = {"he": "init=he", "xavier": "init=xavier"}  # folders that `python -m initlab.probe` wrote
        >>> tables = {
        ...     name: read_table(Path("outputs/probe") / job, "histograms") for name, job in jobs.items()
        ... }  # doctest: +SKIP
        >>> activation_histograms(tables).savefig("histograms.png")  # doctest: +SKIP

    Args:
        tables: By label, tables with the columns of `tables.schema.HISTOGRAMS`, each of one job.
        looks: How the jobs look, by label; None: as `looks_of` says.
    """
    looks = looks_of(tables) if looks is None else looks
    shown = dict(list(tables.items())[:MOST_ROWS])
    columns = max(min(MOST_LAYERS, int(table["position"].max())) for table in shown.values())
    figure = Figure(figsize=(1.0 + 2.3 * columns, 0.6 + 1.6 * len(shown)), layout="constrained")
    panels = figure.subplots(len(shown), columns, squeeze=False)
    for row, (label, table) in zip(panels, shown.items(), strict=True):
        layers = {int(str(number)): part for number, part in table.groupby("position")}
        chosen = np.unique(np.linspace(1, len(layers), min(columns, len(layers))).round().astype(int))
        for panel in row[len(chosen) :]:
            panel.set_visible(False)
        for panel, number in zip(row, chosen, strict=False):
            _draw(panel, layers[int(number)], looks[label])
        row[0].set_ylabel(in_lines(label, *LABEL), fontsize=8)
    figure.supxlabel("what a layer hands on, of one network; density, each panel on its own scale", fontsize=9)
    return figure


def _draw(panel: Axes, bins: pd.DataFrame, look: Look) -> None:
    """The histogram of one layer; of values that are all the same their value."""
    panel.set_title(literal(str(bins["layer"].iloc[0])), fontsize=8)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.set_yticks([])
    left, right = bins["left"].to_numpy(np.float64), bins["right"].to_numpy(np.float64)
    edges = np.append(left, right[-1])
    if np.ptp(edges) <= max(EQUAL * float(np.abs(edges).max()), SMALLEST):
        panel.stairs([1.0], [-0.5, 0.5], fill=True, color=look.color)
        panel.set(xlim=(-10, 10), ylim=(0, 4))
        nothing_to_see(panel, f"all are {0.0 if abs(edges[0]) <= SMALLEST else edges[0]:.3g}".replace("-", "−"))
        return
    density = bins["density"].to_numpy(np.float64)
    panel.stairs(density, edges.tolist(), fill=True, color=look.color)
    panel.set_ylim(bottom=0)
    panel.tick_params(axis="x", labelsize=7)
    panel.locator_params(axis="x", nbins=3)
    at_0 = (left <= 0) & (right > 0)
    highest = float(density[~at_0].max(initial=0.0))
    if at_0.any() and 0 < TOWERS * highest < density[at_0].max():  # as under ReLU
        panel.set_ylim(top=1.3 * highest)
        share = float((density * (right - left))[at_0].sum())
        panel.text(0.98, 0.98, f"cut: {share:.0%} at 0", transform=panel.transAxes, ha="right", va="top", fontsize=7)
