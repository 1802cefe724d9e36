"""Pictures that several lessons draw, each of one thing, large enough to be read on a page."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.figures.style import literal
from initlab.lessons.reading import Pair
from initlab.results.confidence import MARGIN


def lines_by_epoch(rows: pd.DataFrame, column: str, *, by: str, label: str, log: bool = False) -> Figure:
    """A line for each value of a key: what a column has epoch by epoch, with the span over networks.

    Args:
        rows: With columns epoch, `by`, `column`, and `column` with _min and _max.
        column: What is drawn.
        by: The key that tells lines apart.
        label: Of the vertical axis.
        log: Whether that axis is logarithmic.
    """
    return _lines(rows, "epoch", column, by=by, labels=("epoch", label), log=log)


def lines_by_layer(rows: pd.DataFrame, column: str, *, by: str, label: str, log: bool = True) -> Figure:
    """A line for each value of a key: what a column has layer by layer; the arguments are those of `lines_by_epoch`."""
    return _lines(rows, "position", column, by=by, labels=("layer", label), log=log)


def _lines(rows: pd.DataFrame, x: str, column: str, *, by: str, labels: tuple[str, str], log: bool) -> Figure:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(rows[by].astype(str)))
    looks = looks_of(names)
    for name in names:
        part = rows[rows[by].astype(str) == name].sort_values(x)
        look = looks[name]
        axes.plot(part[x], part[column], color=look.color, linestyle=look.dash, label=literal(name))
        axes.fill_between(part[x], part[f"{column}_min"], part[f"{column}_max"], color=look.color, alpha=0.15, lw=0)
    if log:
        axes.set_yscale("log")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def points_of_networks(rows: pd.DataFrame, x: str, column: str, *, by: str, labels: tuple[str, str]) -> Figure:
    """A point for each network above the name of its kind, the kinds of a key side by side.

    Args:
        rows: One a network, with columns `x`, `by` and `column`.
        x: The column with the names along the horizontal axis.
        column: What is drawn.
        by: The key that tells colours apart.
        labels: Of both axes.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = list(dict.fromkeys(rows[x].astype(str)))
    names = list(dict.fromkeys(rows[by].astype(str)))
    looks = looks_of(names)
    for at, name in enumerate(names):
        part = rows[rows[by].astype(str) == name]
        beside = 0.5 * ((at + 0.5) / len(names) - 0.5)
        within = part.groupby(x).cumcount() / part.groupby(x)[column].transform("size") - 0.5
        where = part[x].astype(str).map(places.index) + beside + 0.3 / len(names) * within
        axes.plot(where, part[column], "o", ms=3.5, alpha=0.6, color=looks[name].color, label=literal(name))
    axes.set_xticks(range(len(places)), [literal(place) for place in places])
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def differences(found: Mapping[str, Pair], *, label: str, margin: float = MARGIN) -> Figure:
    """A line for each place: the interval of a difference of scores, beside the band in which it does not matter.

    Args:
        found: By the name of a place, how one candidate stands to another there.
        label: Of the horizontal axis.
        margin: Half the width of the band.
    """
    figure = Figure(figsize=(6.4, 1.5 + 0.45 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(-margin, margin, color="0.9", lw=0, label="differences that do not matter")
    axes.axvline(0, color="0.5", lw=1)
    looks = looks_of(("better", "worse", "equivalent", "undecided"))
    for verdict, look in looks.items():
        rows = [(pair, at) for at, pair in enumerate(found.values()) if pair.verdict == verdict]
        for pair, at in rows:
            axes.plot([pair.low, pair.high], [at, at], color=look.color, lw=2)
        if rows:
            points = [pair.difference for pair, _ in rows]
            axes.plot(points, [at for _, at in rows], "o", color=look.color, label=verdict)
    axes.set_yticks(range(len(found)), [literal(place) for place in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel(label)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    return figure
