"""Who beats whom: a matrix of differences under each condition."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from initlab.figures.panels import nothing_to_see, panel_grid
from initlab.figures.style import LONGEST_LABEL, literal
from initlab.results.analysis import Analysis, Condition
from initlab.results.candidates import CONDITION
from initlab.results.pairs import MOST_COMPARED


def pairwise_matrix(analysis: Analysis) -> Figure:
    """Draw for each pair of candidates the mean test score of the row's less that of the column's.

    Purple: the row is better, orange: the column is, bold with a star. An equals sign: equivalent. Grey: undecided.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.pairwise import pairwise_matrix
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> pairwise_matrix(analysis).savefig("pairs.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it, with at least one pair; each condition gets a panel, up to 12.
    """
    sizes = analysis.candidates.groupby(CONDITION).size()
    most = int(min(MOST_COMPARED, sizes.max()))
    label = 0.065 * min(LONGEST_LABEL, max(map(len, analysis.candidates["candidate"])))  # inches
    figure, panels = panel_grid(analysis, width=0.3 + label + 0.5 * most, height=0.4 + 0.6 * label + 0.34 * most)
    for condition, panel in panels:
        _draw_panel(panel, analysis, condition)
    figure.supxlabel(
        "test score of the row less that of the column\n"
        f"* better, = equivalent (within ±{analysis.margin:g}), grey: undecided",
        fontsize=9,
    )
    return figure


def _draw_panel(panel: Axes, analysis: Analysis, condition: Condition) -> None:
    names = list(analysis.candidates_under(condition)["candidate"])
    panel.grid(visible=False)
    if not 2 <= len(names) <= MOST_COMPARED:
        nothing_to_see(panel, "one candidate" if len(names) < 2 else f"{len(names)} candidates: see the table")
        return
    places = {name: place for place, name in enumerate(names)}
    differences, certain = np.full((len(names),) * 2, np.nan), np.zeros((len(names),) * 2, dtype=bool)
    alike = np.zeros_like(certain)
    columns = ["a", "b", "difference", "verdict"]
    for a, b, difference, verdict in analysis.pairs_under(condition)[columns].to_numpy():
        i, j = places[a], places[b]
        differences[i, j], differences[j, i] = difference, -difference
        certain[i, j] = certain[j, i] = verdict in ("better", "worse")
        alike[i, j] = alike[j, i] = verdict == "equivalent"
    largest = max(float(np.nanmax(np.abs(differences), initial=0.0)), 1e-6)
    # The middle of the colour map is light in grey, too; sign and star say the rest.
    shown = np.where(certain, differences, 0.0)
    norm = TwoSlopeNorm(0.0, -1.6 * largest, 1.6 * largest)
    panel.imshow(np.where(np.isnan(differences), np.nan, shown), cmap="PuOr", norm=norm, aspect="auto")
    for (i, j), value in np.ndenumerate(differences):
        if np.isfinite(value):
            text = f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")
            text = "0" if value == 0 else "≈ 0" if abs(value) < 0.0005 else text
            weight = "bold" if certain[i, j] else "normal"
            color = "black" if certain[i, j] or alike[i, j] else "0.45"
            text += "*" if certain[i, j] else " =" if alike[i, j] else ""
            panel.text(j, i, text, ha="center", va="center", fontsize=8, fontweight=weight, color=color)
    labels = [literal(name) for name in names]
    panel.set_xticks(range(len(names)), labels, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    panel.set_yticks(range(len(names)), labels, fontsize=8)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
