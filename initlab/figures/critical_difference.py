"""The critical-difference diagram: mean ranks across data sets, and which of them cannot be told apart."""

import numpy as np
from matplotlib.figure import Figure

from initlab.figures.style import literal
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent, significance
from initlab.results.ranks import Ranks


def critical_difference_diagram(analysis: Analysis) -> Figure:
    """Draw mean ranks on a line, the best at the left; a bar joins those that Nemenyi's test does not tell apart.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.critical_difference import critical_difference_diagram
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> critical_difference_diagram(analysis).savefig("ranks.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it, of a study whose `ranks` are not None: it takes two data sets.

    Source: Demšar 2006, figure 1.
    """
    ranks = analysis.ranks
    assert ranks is not None, "ranks need at least two data sets"
    order = np.argsort(ranks.mean, kind="stable")
    means, names = ranks.mean[order], [analysis.ranked[place] for place in order]
    count, half = len(names), (len(names) + 1) // 2
    bars = indistinguishable(ranks)
    figure = Figure(figsize=(7.6, 1.5 + 0.26 * half + 0.12 * len(bars)), layout="constrained")
    panel = figure.subplots()
    panel.axis("off")
    below = 0.35 + 0.16 * len(bars)
    panel.set_xlim(1 - 0.55 * (count - 1) - 0.4, count + 0.55 * (count - 1) + 0.4)
    panel.set_ylim(below + 0.32 * half, -1.15)
    panel.plot([1, count], [0, 0], color="black", linewidth=1.2)
    for rank in range(1, count + 1):
        panel.plot([rank, rank], [-0.1, 0], color="black", linewidth=1)
        panel.text(rank, -0.16, str(rank), ha="center", va="bottom", fontsize=8)
    for place, (mean, name) in enumerate(zip(means, names, strict=True)):
        left = place < half
        height = below + 0.32 * (place if left else count - 1 - place)
        edge = 1 - 0.08 * (count - 1) if left else count + 0.08 * (count - 1)
        panel.plot([mean, mean, edge], [0, height, height], color="0.3", linewidth=0.9)
        side = "right" if left else "left"
        panel.text(edge, height, f" {literal(name)} ({mean:.2f}) ", ha=side, va="center", fontsize=9)
    for place, (first, last) in enumerate(bars):
        height = 0.2 + 0.16 * place
        panel.plot([means[first] - 0.03, means[last] + 0.03], [height, height], color="black", linewidth=3.5)
    width = ranks.critical_difference
    text = f"critical difference {width:.2f} at {percent(significance(analysis.level))}"
    if ranks.can_differ:
        panel.plot([1, 1 + width], [-0.72, -0.72], color="black", linewidth=1.2, marker="|", markersize=7)
        panel.text(1 + width / 2, -0.78, text, ha="center", va="bottom", fontsize=8)
    else:
        text += f": more than {ranks.data_sets} data sets can show"
        panel.text((1 + count) / 2, -0.75, text, ha="center", va="bottom", fontsize=8)
    return figure


def indistinguishable(ranks: Ranks) -> list[tuple[int, int]]:
    """First and last place of each largest group whose mean ranks are within the critical difference, best first."""
    means = np.sort(ranks.mean)
    groups: list[tuple[int, int]] = []
    for first in range(len(means)):
        last = int(np.searchsorted(means, means[first] + ranks.critical_difference, side="right")) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
