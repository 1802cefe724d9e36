"""A panel for each condition of a study, and the same look for a candidate in all of them."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from initlab.figures.looks import LOOKS, OTHERS, Look, looks_of
from initlab.figures.style import in_lines, literal
from initlab.results.analysis import Analysis, Condition

MOST_PANELS = 12  # conditions in a figure
MOST_LABELLED = 12  # candidates that can be told apart
COLUMNS = 3


def panel_grid(
    analysis: Analysis, *, width: float = 3.3, height: float = 2.6
) -> tuple[Figure, Iterator[tuple[Condition, Axes]]]:
    """A figure with a titled panel for each of the first 12 conditions.

    Args:
        analysis: As `analyse` returns it.
        width: Width of a panel in inches; a single panel gets 1.6 times that.
        height: Height of a panel in inches, likewise.

    Returns:
        The figure, and each condition with its panel.
    """
    conditions = analysis.conditions[:MOST_PANELS]
    scale = 1.6 if len(conditions) == 1 else 1.0  # a single panel may be larger
    figure, panels = grid_of(len(conditions), (scale * width, scale * height), beside=(1.6, 0.4))
    found = list(zip(conditions, panels, strict=True))
    for condition, panel in found:
        panel.set_title(in_lines(analysis.title(condition)), fontsize=10)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, iter(found)


def grid_of(
    count: int,
    size: tuple[float, float],
    *,
    beside: tuple[float, float],
    across: int = COLUMNS,
    most: tuple[float, float] = (np.inf, np.inf),
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, row by row.

    Args:
        count: How many, at least 1.
        size: Width and height of a panel, in inches.
        beside: What the figure has beside its panels, in inches: for a legend, say.
        across: How many stand side by side at most.
        most: Greatest width and height of the figure.
        sharex: Whether all have the same x axis.
        sharey: Whether all have the same y axis.
    """
    columns = min(across, count)
    rows = -(-count // columns)
    inches = (beside[0] + columns * size[0], beside[1] + rows * size[1])
    figure = Figure(figsize=(min(inches[0], most[0]), min(inches[1], most[1])), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).flat)
    for panel in panels[count:]:
        panel.remove()
    return figure, panels[:count]


def styles(analysis: Analysis) -> dict[str, Look]:
    """Looks by candidate, for those that can be told apart: up to 12, with the best mean ranks overall.

    In a part of a study a candidate looks as it does in the whole.
    """
    labelled = analysis.by_overall_rank[:MOST_LABELLED]
    names = analysis.names_in_whole
    everyone = set(names.values()) | set(analysis.whole)
    if len(everyone) > len(LOOKS):  # two of those that are labelled could look the same
        return {name: looks_of(labelled)[name] for name in labelled}
    looks = looks_of(everyone)
    return {name: looks[names[name]] for name in labelled}


def add_legend(figure: Figure, analysis: Analysis, *, more: Sequence[Line2D] = ()) -> None:
    """Name the candidates beside the panels, best overall first.

    Args:
        figure: With its panels.
        analysis: Whose candidates are named.
        more: Further lines that have labels, to be named below them.
    """
    looks = styles(analysis)
    lost = analysis.candidates.groupby("candidate")[["diverged", "seeds"]].sum()
    remarks = {
        str(name): f"\n({row['diverged']} of {row['seeds']} diverged)"
        for name, row in lost.iterrows()
        if row["diverged"]
    }
    handles = [
        Line2D(
            [], [], color=look.color, linestyle=look.dash, linewidth=1.8, label=literal(name) + remarks.get(name, "")
        )
        for name, look in looks.items()
    ]
    others = len(analysis.by_overall_rank) - len(looks)
    if others:
        handles.append(Line2D([], [], color=OTHERS.color, linestyle=OTHERS.dash, label=f"{others} more"))
    title = "best mean rank first" if len(analysis.conditions) > 1 else "best on test rows first"
    handles += more
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small", title=title)


def score_axis(panel: Axes, metric: str) -> None:
    """Write accuracies at the axis as percentages, and R² as it is.

    Args:
        panel: The panel, whose y axis shows scores.
        metric: What the scores are, a name of `schema.METRICS`.
    """
    if metric == "accuracy":
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))


def nothing_to_see(panel: Axes, text: str) -> None:
    """Say in an empty panel why it is empty."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", color="0.4")
    panel.set_xticks([])
    panel.set_yticks([])


def seeds_text(analysis: Analysis) -> str:
    """How many seeds the candidates have: `10 seeds`, or `3 to 10 seeds`."""
    counts = np.unique(analysis.candidates["seeds"])
    return (
        f"{counts[0]} seed{'s' if counts[0] != 1 else ''}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    )
