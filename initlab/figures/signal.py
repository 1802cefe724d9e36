"""Signal and gradient against depth: what was measured, and what theory says."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from initlab.figures.looks import LOOKS, Look, looks_of, mark_equal
from initlab.figures.style import literal

MOST_SHOWN = len(LOOKS)
MARKS = 8  # a line
# A gradient that falls by more than this in one layer, measured by the weights, is what rounding left of a sum of 0.
ROUNDING = 1e-13
# Where an axis of sizes ends: a layer beyond has lost its signal, or all measure.
SMALLEST, LARGEST = 1e-60, 1e60
LEAST_FACTOR = 100.0  # a panel of sizes shows at least this factor
LEAST_SPAN = 0.1  # of correlations that a panel shows, where all are about the same

# Title, column, prediction, whether sizes are compared by factors.
PANELS = (
    ("pre-activations, mean square", "pre_second_moment", "predicted_second_moment", True),
    ("gradient, mean square", "gradient_second_moment", "predicted_gradient_second_moment", True),
    ("correlation of different inputs", "correlation", "predicted_correlation", False),
)


def signal_by_depth(
    tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None, *, title: str = ""
) -> Figure:
    """Draw what becomes of signal, gradient and geometry from the first layer to the last.

    A line is the mean over members (of sizes the geometric one), its band one standard deviation to either side; the
    dashed line beside it is the prediction of mean-field theory, where there is one. Of lines that are equal the first
    is the widest, so that all are seen, and the panel says so.

    Example:
        >>> import torch, initlab
        >>> from initlab.figures.signal import signal_by_depth
        >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(100, 100), torch.nn.Tanh())]
        >>> model, batch = torch.nn.Sequential(*layers), torch.randn(64, 100)
        >>> names = ("xavier", "normal")
        >>> tables = {name: initlab.probe_model(model, batch, seed=0, scheme=name, seeds=3) for name in names}
        >>> figure = signal_by_depth(tables, title="20 tanh layers")

    Args:
        tables: By label, tables with the columns of `tables.schema.SIGNAL`, each of one job and epoch: a line each.
        looks: How the lines look, by label; None: as `looks_of` says.
        title: Heading of the whole figure; empty: none.
    """
    looks = looks_of(tables) if looks is None else looks
    figure = Figure(figsize=(14.4, 4.4), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    shown = dict(list(tables.items())[:MOST_SHOWN])
    for panel, (name, column, predicted, factors) in zip(panels, PANELS, strict=True):
        lines = {}
        for label, table in shown.items():
            lines[label] = _draw(panel, table, (column, predicted), looks[label], factors=factors)
        panel.set_title(name)
        panel.set_xlabel("layer")
        mark_equal(panel, lines, least_span=np.log(LEAST_FACTOR) if factors else LEAST_SPAN, factors=factors)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if factors:
            _logarithmic(panel)
        else:
            panel.set_ylim(max(panel.get_ylim()[0], -1.05), 1.05)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=looks[label].color, marker=looks[label].marker, label=literal(label)) for label in shown
    ]
    if any(table[predicted].notna().any() for table in shown.values() for _, _, predicted, _ in PANELS):
        handles.append(Line2D([], [], color="0.3", linestyle="--", label="theory"))
    figure.legend(handles=handles, loc="outside right upper", frameon=False)
    if title:
        figure.suptitle(title)
    return figure


def _draw(panel: Axes, table: pd.DataFrame, columns: tuple[str, str], look: Look, *, factors: bool) -> Line2D:
    """Draw one job: the line of what was measured, which is returned, its band, and theory beside it."""
    column, predicted = columns
    values = table.pivot(index="member", columns="position", values=column)
    if column == "gradient_second_moment":
        values = values.mask(_is_rounding(table))
    layers = values.columns.to_numpy(np.float64)
    mean, low, high = _mean_and_spread(values.to_numpy(np.float64), factors=factors)
    every = max(1, len(layers) // MARKS)
    (line,) = panel.plot(
        layers, mean, color=look.color, marker=look.marker, linewidth=1.6, markersize=4, markevery=every
    )
    panel.fill_between(layers, low, high, color=look.color, alpha=0.18, linewidth=0)
    theory = table.groupby("position")[predicted].first().to_numpy(np.float64)
    if factors:
        theory = np.where((theory > SMALLEST) & (theory < LARGEST), theory, np.nan)
    panel.plot(layers, theory, color=look.color, linestyle="--", linewidth=1.1)
    return line


def _is_rounding(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Where a gradient is what rounding leaves of terms that cancel, as under equal weights; shape (members, layers).

    A weight W takes a gradient g back to one of at most ‖W‖ ‖g‖. What is smaller than that by some epsilons is noise,
    and so is all that is made of it further back.

    Args:
        table: A table of one job and epoch, with the columns of `tables.schema.SIGNAL`.
    """
    frame = table.assign(size=table["gradient_second_moment"] * table["entries"], most=table["weight_norm"] ** 2)
    sizes, most = (
        frame.pivot(index="member", columns="position", values=name).to_numpy(np.float64) for name in ("size", "most")
    )
    noise = np.zeros(sizes.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):  # of members that diverged: infinite weights, zero gradients
        for layer in range(sizes.shape[1] - 2, -1, -1):
            bound = most[:, layer + 1] * sizes[:, layer + 1]
            noise[:, layer] = (sizes[:, layer] < ROUNDING * bound) | (
                noise[:, layer + 1] & (sizes[:, layer] <= 2 * bound)
            )
    return noise


def _mean_and_spread(values: NDArray[np.float64], *, factors: bool) -> tuple[NDArray[np.float64], ...]:
    """Mean and one standard deviation to either side, over members; by their logarithms if factors are meant.

    Args:
        values: What was measured of each layer, shape (members, layers).
        factors: Whether sizes are compared by factors; those beyond what the axis shows are left out.
    """
    usable = np.isfinite(values) & (((values > SMALLEST) & (values < LARGEST)) | (not factors))
    numbers = np.where(usable, values, np.nan)
    if factors:
        numbers = np.log(numbers)
    known = usable.any(0)
    mean, std = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    mean[known], std[known] = np.nanmean(numbers[:, known], 0), np.nanstd(numbers[:, known], 0)
    ends = (mean, mean - std, mean + std)
    return tuple(np.exp(end) for end in ends) if factors else ends


def _logarithmic(panel: Axes) -> None:
    """A log axis of at least two decades, so that a size that is kept looks kept."""
    heights = [line.get_ydata() for line in panel.get_lines()]
    seen = np.concatenate([np.asarray(height, np.float64) for height in heights]) if heights else np.array([])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        panel.text(0.5, 0.5, "zero in every layer", transform=panel.transAxes, ha="center", color="0.4")
        panel.set_yticks([])
        return
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high / low < LEAST_FACTOR:
        middle = np.sqrt(low * high)
        panel.set_ylim(middle / 10, middle * 10)
