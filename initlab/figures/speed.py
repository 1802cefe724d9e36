"""How soon networks learn: the share that has reached a score by each epoch."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from initlab.base.wording import shortest
from initlab.figures.looks import OTHERS
from initlab.figures.panels import add_legend, panel_grid, styles
from initlab.results.analysis import Analysis
from initlab.results.speed import epochs_to_threshold, share_reached
from initlab.tables.schema import METRICS


def speed(analysis: Analysis) -> Figure:
    """Draw the share of a candidate's members that have reached the threshold by each epoch; some never do.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.speed import speed
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> speed(analysis).savefig("speed.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it; each condition gets a panel, up to 12.
    """
    looks = styles(analysis)
    figure, panels = panel_grid(analysis)
    for condition, panel in panels:
        table = analysis.candidates_under(condition)
        for candidate, job in table[["candidate", "job"]].to_numpy():
            members = analysis.by_job[job]
            last = int(members["epochs"].max())
            look = looks.get(candidate, OTHERS)
            width = 1.8 if candidate in looks else 0.8
            shares = share_reached(epochs_to_threshold(members), last)
            panel.step(
                np.arange(last + 1), shares, where="post", color=look.color, linestyle=look.dash, linewidth=width
            )
        panel.set_ylim(-0.03, 1.03)
        panel.margins(x=0.01)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        thresholds = " or ".join(dict.fromkeys(map(shortest, table["threshold"])))
        panel.set_ylabel(f"reached {METRICS[condition[1]]} {thresholds}", fontsize=9)
    figure.supxlabel("epoch", fontsize=10)
    add_legend(figure, analysis)
    return figure
