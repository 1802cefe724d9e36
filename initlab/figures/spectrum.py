"""Singular values of the input-output Jacobian."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from initlab.figures.looks import LOOKS, Look, looks_of, mark_equal
from initlab.figures.style import literal

SMALLEST = 1e-40
MOST_SHOWN = len(LOOKS)


def jacobian_spectrum(tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw singular values from the largest to the smallest, with the spread over members and rows.

    A line is the geometric mean, its band reaches from the smallest to the largest; the thin line is the root of the
    mean square that mean-field theory predicts.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.spectrum import jacobian_spectrum
        >>> from initlab.tables.store import read_table
        >>> jobs = {"he": "init=he", "xavier": "init=xavier"}  # folders that `python -m initlab.probe` wrote
        >>> tables = {
        ...     name: read_table(Path("outputs/probe") / job, "spectrum") for name, job in jobs.items()
        ... }  # doctest: +SKIP
        >>> jacobian_spectrum(tables).savefig("spectrum.png")  # doctest: +SKIP

    Args:
        tables: By label, tables with the columns of `tables.schema.SPECTRUM`, each of one job: a line each.
        looks: How the lines look, by label; None: as `looks_of` says.
    """
    looks = looks_of(tables) if looks is None else looks
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = figure.subplots()
    shown = dict(list(tables.items())[:MOST_SHOWN])
    lines = {}
    for label, table in shown.items():
        color, dash = looks[label].color, looks[label].dash
        values = table["singular_value"].where(table["singular_value"] > SMALLEST)
        groups = np.log(values).groupby(table["index"])
        mean, low, high = (np.exp(part.to_numpy(np.float64)) for part in (groups.mean(), groups.min(), groups.max()))
        if not np.isfinite(mean).any():
            panel.plot([], [], color=color, linestyle=dash, label=f"{literal(label)} (all zero)")
            continue
        index = np.arange(1, len(mean) + 1)
        (lines[label],) = panel.plot(
            index, mean, color=color, linestyle=dash, linewidth=1.8, marker="o", markersize=3, label=literal(label)
        )
        panel.fill_between(index, low, high, color=color, alpha=0.15, linewidth=0)
        predicted = float(table["predicted_mean_square"].iloc[0])
        if np.isfinite(predicted) and predicted > 0:
            panel.axhline(np.sqrt(predicted), color=color, linewidth=0.8, alpha=0.8)
    if lines:
        panel.set_yscale("log")
    panel.set_xlabel("singular value of the Jacobian, largest first")
    mark_equal(panel, lines, least_span=1.0, factors=True)
    panel.set_ylabel("size (thin: theory's root mean square)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize="small")
    return figure
