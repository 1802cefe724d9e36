"""Histograms of activations by layer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import Look, looks_of
from initlab.figures.style import literal

MOST_LAYERS = 6
MOST_ROWS = 8


def activation_histograms(tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw histograms of what some layers hand on: a row a job, up to 8; up to 6 layers from the first to the output.

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
            bins = layers[int(number)]
            edges = [*bins["left"], bins["right"].iloc[-1]]
            panel.stairs(bins["density"], edges, fill=True, color=looks[label].color)
            panel.set_ylim(bottom=0)
            panel.set_yticks([])
            panel.tick_params(axis="x", labelsize=7)
            panel.locator_params(axis="x", nbins=3)
            panel.spines[["top", "right", "left"]].set_visible(False)
            panel.set_title(str(bins["layer"].iloc[0]), fontsize=8)
        row[0].set_ylabel(literal(label), fontsize=9)
    figure.supxlabel("what a layer hands on, of one network; density, each panel on its own scale", fontsize=9)
    return figure
