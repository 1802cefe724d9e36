"""Pictures that several lessons draw, each of one thing, large enough to be read on a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from initlab.figures.looks import looks_of
from initlab.figures.style import ink, literal
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


def differences(pairs: Mapping[str, Pair], *, label: str, rows: str = "", margin: float = MARGIN) -> Figure:
    """A row for each pair: the difference of its scores with its interval, and the verdict in words.

    Args:
        pairs: By the words at the left of the row, the first at the top.
        label: Of the horizontal axis.
        rows: Of the vertical one.
        margin: Differences that do not matter, as a grey band.
    """
    figure = Figure(figsize=(6.4, 1.3 + 0.45 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(-margin, margin, color="0.9", label="too small to matter")
    axes.axvline(0, color="0.5", linewidth=0.8)
    for place, pair in enumerate(pairs.values()):
        color = {"better": "#0072B2", "worse": "#D55E00", "equivalent": "#009E73"}.get(pair.verdict, "0.45")
        axes.plot([pair.low, pair.high], [place, place], color=color, linewidth=2)
        axes.plot(pair.difference, place, "o", color=color)
        axes.annotate(pair.verdict, (pair.high, place), (6, 0), textcoords="offset points", va="center", color=color)
    axes.set_yticks(range(len(pairs)), [literal(name) for name in pairs])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    axes.set_ylabel(rows)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.22 * (high - low))
    axes.set_xlabel(label)
    axes.grid(alpha=0.25, axis="x")
    figure.legend(loc="outside upper right", frameon=False)
    return figure


@dataclass(frozen=True)
class Panel:
    """One of several pictures side by side: what a column has layer by layer.

    Attributes:
        title: Above it.
        rows: With columns position, `column`, and `column` with _min and _max, and the key that tells lines apart.
        column: What is drawn.
        label: Of the vertical axis.
        log: Whether that axis is logarithmic.
        theory: The column of what theory says, dotted; empty: none.
    """

    title: str
    rows: pd.DataFrame
    column: str
    label: str
    log: bool = True
    theory: str = ""


def panels_by_layer(panels: Sequence[Panel], *, by: str, columns: int = 2) -> Figure:
    """A panel each with a line for each value of a key, with the span over networks, and one legend for all.

    Args:
        panels: Left to right, then down.
        by: The key that tells lines apart.
        columns: Panels side by side.
    """
    down = -(-len(panels) // columns)
    figure = Figure(figsize=(6.4, 0.6 + 2.7 * down), layout="constrained")
    names = list(dict.fromkeys(str(name) for panel in panels for name in panel.rows[by]))
    looks = looks_of(names)
    for place, panel in enumerate(panels, 1):
        axes = figure.add_subplot(down, columns, place)
        for name in names:
            part = panel.rows[panel.rows[by].astype(str) == name].sort_values("position")
            column, look = panel.column, looks[name]
            axes.plot(part["position"], part[column], color=look.color, linestyle=look.dash, label=literal(name))
            ends = part[f"{column}_min"], part[f"{column}_max"]
            axes.fill_between(part["position"], *ends, color=look.color, alpha=0.15, lw=0)
            if panel.theory:
                axes.plot(part["position"], part[panel.theory], color=ink(), linestyle=":", linewidth=1)
        if panel.log:
            axes.set_yscale("log")
        axes.set_title(panel.title, fontsize="medium")
        axes.set_xlabel("layer")
        axes.set_ylabel(panel.label)
        axes.grid(alpha=0.25)
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
    known = {label: line for label, line in lines.items() if not label.startswith("_")}
    if any(panel.theory for panel in panels):
        known["theory"] = next(line for line in figure.axes[0].get_lines() if str(line.get_label()).startswith("_"))
    figure.legend(known.values(), known.keys(), loc="outside upper center", ncols=min(len(known), 4), frameon=False)
    return figure


def scores_along(candidates: pd.DataFrame, x: str, *, by: str, label: str, level: float | None = None) -> Figure:
    """A line for each value of a key: the mean test score along a number, with its interval.

    Args:
        candidates: The table of an experiment, with the columns `x` and `by`.
        x: The key along the horizontal axis, whose values are positive.
        by: The key that tells lines apart.
        label: Of the horizontal axis.
        level: What is scored without learning anything, as a dotted line.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    draw_along(axes, candidates, x, "score", by=by, labels=(label, "test accuracy"))
    if level is not None:
        axes.axhline(level, color="0.4", linestyle=":", linewidth=1)
    axes.legend(frameon=False)
    return figure


def lines_by_rate(parts: Mapping[str, pd.DataFrame], *, label: str) -> Figure:
    """A line for each kind of network: its mean test score against the learning rate, with the span over networks.

    A network that diverged counts as 0, as it does in the report.

    Args:
        parts: By what the legend calls them, rows of `members`, with columns optim.lr and test_score.
        label: Of the vertical axis.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    looks = looks_of(parts)
    for name, rows in parts.items():
        scores = rows["test_score"].fillna(0.0).groupby(rows["optim.lr"].astype(float)).agg(["mean", "min", "max"])
        look = looks[name]
        axes.plot(
            scores.index, scores["mean"], marker="o", ms=4, color=look.color, linestyle=look.dash, label=literal(name)
        )
        axes.fill_between(scores.index, scores["min"], scores["max"], color=look.color, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
    return figure


STANDING: Final = {"best": "#0072B2", "equivalent": "#9CC9E3", "undecided": "0.88", "worse": "#F2C38B"}


def grid_of_standings(rows: pd.DataFrame, across: str, *, down: str, names: Mapping[str, str], label: str) -> Figure:
    """A cell for each candidate in each place: its mean test score, and how it stands to the best there.

    Args:
        rows: Of `candidates`, with columns `across`, `down`, score and standing.
        across: The column with the places, from left to right in the order of the rows.
        down: The column with the candidates.
        names: What each candidate is called, from top to bottom.
        label: Of the horizontal axis.
    """
    places = list(dict.fromkeys(rows[across].astype(str)))
    figure = Figure(figsize=(6.4, 0.9 + 0.46 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for row in rows.to_dict("records"):
        x, y = places.index(str(row[across])), list(names).index(str(row[down]))
        color = STANDING[str(row["standing"])]
        axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, color=color, linewidth=0))
        letters = "white" if row["standing"] == "best" else "black"
        axes.text(
            x, y, f"{row['score']:.3f}\n{row['standing']}", ha="center", va="center", color=letters, fontsize="small"
        )
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xticks(range(len(places)), [literal(place) for place in places])
    axes.set_yticks(range(len(names)), list(names.values()))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(label)
    return figure


def draw_along(axes: Axes, rows: pd.DataFrame, x: str, column: str, *, by: str, labels: tuple[str, str]) -> None:
    """Draw a line for each value of a key into a panel, along the logarithm of a number, with intervals.

    Args:
        axes: The panel.
        rows: With the columns `x`, `by` and `column`, and `column` with _low and _high.
        x: The key along the horizontal axis, whose values are positive.
        column: What is drawn.
        by: The key that tells lines apart.
        labels: Of both axes.
    """
    names = list(dict.fromkeys(rows[by].astype(str)))
    looks = looks_of(names)
    for name in names:
        part = rows[rows[by].astype(str) == name].sort_values(x)
        low, high = (part[column] - part[f"{column}_low"]), (part[f"{column}_high"] - part[column])
        look, errors = looks[name], [low.clip(lower=0), high.clip(lower=0)]
        axes.errorbar(
            part[x], part[column], errors, color=look.color, linestyle=look.dash, marker="o", ms=4, label=literal(name)
        )
    values = sorted(rows[x].unique())
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.25)
