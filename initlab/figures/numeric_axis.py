"""Test score against a swept number, such as depth, a line a candidate."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from initlab.base.wording import shortest
from initlab.figures.looks import OTHERS, Look, looks_of
from initlab.figures.panels import COLUMNS, MOST_LABELLED, MOST_PANELS, grid_of, score_axis
from initlab.figures.style import in_lines, literal
from initlab.results.confidence import percent
from initlab.results.numeric_axes import NumericAxis
from initlab.tables.schema import METRICS

MOST_ACROSS = 4  # panels, of a grid of factors
CROSS, WIDER = 7.0, 5.0  # the size of a cross, and by how much one below it is larger
MOST_TICKS = 8  # values that all stand at the axis
WIDE = 20.0  # the greatest value over the least, from which on the axis is logarithmic


def score_along_axis(found: NumericAxis, looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw mean test score against the values of an axis, with intervals, a panel a condition.

    Panels share both axes, so that heights compare, and stand as a grid of the factors where they are all combinations
    of several: rows are the outer ones, columns the last. A cross marks a value at which networks diverged.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.numeric_axis import score_along_axis
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.numeric_axes import numeric_axes
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> for found in numeric_axes(analysis):  # doctest: +SKIP
        ...     score_along_axis(found).savefig(f"{found.key}.png")

    Args:
        found: One of the axes that `results.numeric_axes.numeric_axes` returns; the first 12 panels are drawn, and
            the first 12 lines get a colour of their own.
        looks: How these lines look, by name; None: as `looks_of` says.
    """
    looks = looks_of(found.lines[:MOST_LABELLED]) if looks is None else looks
    names = list(dict.fromkeys(found.points["panel"]))[:MOST_PANELS]
    grid_of_factors = found.innermost if found.innermost in range(2, MOST_ACROSS + 1) else None
    across = grid_of_factors or COLUMNS
    scale = 1.6 if len(names) == 1 else 1.0
    one_metric = found.points["metric"].nunique() == 1
    size = (scale * 3.3, scale * 2.6)
    figure, panels = grid_of(len(names), size, beside=(1.6, 0.4), across=across, sharex=True, sharey=one_metric)
    lowest = panels[-across:]  # with nothing below them
    for name, panel in zip(names, panels, strict=True):
        _draw(panel, found, name, looks)
        if one_metric and panel.get_subplotspec().colspan.start > 0:  # type: ignore[union-attr]
            panel.set_ylabel("")
        panel.tick_params(axis="x", labelbottom=panel in lowest)
    figure.supxlabel(f"{literal(found.key)} (band: {percent(found.level)} interval)", fontsize=10)
    handles = [
        Line2D([], [], color=looks[line].color, linestyle=looks[line].dash, linewidth=1.8, label=literal(line) or "all")
        for line in found.lines[:MOST_LABELLED]
    ]
    if (found.points["diverged"] > 0).any():
        handles.append(Line2D([], [], color="0.3", marker="x", linestyle="", label="some diverged"))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _draw(panel: Axes, found: NumericAxis, name: str, looks: Mapping[str, Look]) -> None:
    """One panel."""
    points = found.points[found.points["panel"] == name]
    crosses: Counter[tuple[float, float]] = Counter()
    for line, rows in points.groupby("line", sort=False):
        look = looks.get(str(line), OTHERS)
        values, scores = rows["value"].to_numpy(np.float64), rows["score"].to_numpy(np.float64)
        low, high = (rows[end].to_numpy(np.float64) for end in ("low", "high"))
        panel.plot(values, scores, color=look.color, linestyle=look.dash, linewidth=1.8, marker="o", markersize=3.5)
        panel.fill_between(values, low, high, color=look.color, alpha=0.16, linewidth=0)
        lost = (rows["diverged"] > 0).to_numpy()
        heights = np.where(np.isfinite(scores), scores, 0.0)
        for place in zip(values[lost].tolist(), heights[lost].round(2).tolist(), strict=True):
            # Where several lines have one, those below are larger, so that each is seen.
            size, below = CROSS + WIDER * crosses[place], 3 - 0.01 * crosses[place]
            panel.plot(*place, "x", color=look.color, markersize=size, markeredgewidth=1.5, zorder=below)
            crosses[place] += 1
    values = found.points["value"].to_numpy(np.float64)
    if values.min() > 0 and values.max() / values.min() >= WIDE:
        panel.set_xscale("log")
    ticks = np.unique(values)
    if len(ticks) <= MOST_TICKS:
        panel.set_xticks(ticks, [shortest(value) for value in ticks.tolist()])
        panel.set_xticks([], minor=True)
    metric = str(points["metric"].iloc[0])
    panel.set_ylabel(f"test {METRICS[metric]}")
    score_axis(panel, metric)
    panel.set_title(in_lines(name), fontsize=10)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
