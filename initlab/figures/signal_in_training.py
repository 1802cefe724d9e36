"""What training makes of the signal: sizes of signal and gradient, dead and saturated units, over epochs."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from initlab.figures.looks import Look, looks_of, mark_equal
from initlab.figures.panels import nothing_to_see
from initlab.figures.signal import LARGEST, LEAST_FACTOR, SMALLEST
from initlab.figures.style import literal

# Title, column, whether sizes are compared by factors.
PANELS = (
    ("pre-activations, mean square", "pre_second_moment", True),
    ("gradient, mean square", "gradient_second_moment", True),
    ("dead units", "dead", False),
    ("saturated pre-activations", "saturated", False),
)


def signal_in_training(
    tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None, *, title: str = ""
) -> Figure:
    """Draw what was recorded of the hidden layers over epochs.

    A line is the mean over layers and members, of sizes the geometric one; its band reaches from the layer with the
    least mean over members to the one with the greatest.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.signal_in_training import signal_in_training
        >>> from initlab.tables.store import read_table
        >>> table = read_table(Path("outputs/study/init=he"), "signal")  # doctest: +SKIP
        >>> signal_in_training({"he": table}).savefig("training.png")  # doctest: +SKIP

    Args:
        tables: By label, tables with the columns of `tables.schema.SIGNAL`, each of one job that recorded its signal
            while it trained (`signal.every`).
        looks: How the lines look, by label; None: as `looks_of` says.
        title: Heading of the whole figure; empty: none.
    """
    looks = looks_of(tables) if looks is None else looks
    figure = Figure(figsize=(13.2, 3.6), layout="constrained")
    for panel, (name, column, factors) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        lines = {}
        for label, table in tables.items():
            epochs, mean, low, high = over_epochs(table, column, factors=factors)
            if np.isfinite(mean).any():
                color, dash = looks[label].color, looks[label].dash
                (lines[label],) = panel.plot(
                    epochs, mean, color=color, linestyle=dash, linewidth=1.6, marker="o", markersize=3
                )
                panel.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
        panel.set_title(name, fontsize=10)
        panel.set_xlabel("epoch")
        mark_equal(panel, lines, least_span=np.log(LEAST_FACTOR) if factors else 1.0, factors=factors)
        if not lines:
            nothing_to_see(panel, _why_empty(tables.values(), column, factors=factors))
            continue
        if factors:
            panel.set_yscale("log")
        else:
            panel.set_ylim(-0.03, 1.03)
            panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=looks[name].color, linestyle=looks[name].dash, label=literal(name)) for name in tables
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small")
    if title:
        figure.suptitle(literal(title))
    return figure


def _why_empty(tables: Iterable[pd.DataFrame], column: str, *, factors: bool) -> str:
    """Why no table has anything to draw of a column."""
    if factors and any((table[column] == 0).any() for table in tables):
        return "zero in every layer"
    if column == "saturated" and any(table["dead"].notna().any() for table in tables):
        return "does not apply to ReLU\nand its kin"  # whose flat side is counted as dead
    return "nothing recorded"


def over_epochs(table: pd.DataFrame, column: str, *, factors: bool) -> tuple[NDArray[np.float64], ...]:
    """Epochs, and at each of them the mean of a column over hidden layers and members, its least and greatest layer.

    Args:
        table: A signal table of one job, with several epochs.
        column: What is averaged; null where it is not measured.
        factors: Whether sizes are compared by factors, so that the mean is geometric and zeros are left out.
    """
    last = table["position"].max()
    hidden = table[table["position"] < last] if last > 1 else table
    values = hidden[column].astype(float)
    if factors:
        values = np.log(values.where((values > SMALLEST) & (values < LARGEST)))
    by_layer = values.groupby([hidden["epoch"], hidden["position"]]).mean().unstack()
    ends = (by_layer.mean(axis=1), by_layer.min(axis=1), by_layer.max(axis=1))
    numbers = [end.to_numpy(np.float64) for end in ends]
    return by_layer.index.to_numpy(np.float64), *(np.exp(each) if factors else each for each in numbers)
