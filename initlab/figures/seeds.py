"""Every seed as a dot: what a bar would hide."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from initlab.base.wording import settled
from initlab.figures.looks import OTHERS
from initlab.figures.panels import panel_grid, seeds_text, styles
from initlab.figures.style import literal
from initlab.results.analysis import Analysis, Condition
from initlab.results.baseline import baseline_name, baseline_under
from initlab.results.candidates import CONDITION
from initlab.results.confidence import percent
from initlab.tables.schema import METRICS

MOST_ROWS = 20  # candidates in a panel
SPREAD = 0.28  # of the dots of a row, to either side
LEAST_SPAN = 0.01  # of scores that a panel shows
LEAST_SHARE = 1e-6  # that its span is of them: an R² may be as low as numbers go
SQUEEZED = 6  # times the span of the better half: a panel that shows all shows nothing


def seeds_as_dots(analysis: Analysis) -> Figure:
    """Draw the test score of every member: a row a candidate, best on top, with mean and interval.

    Where members diverged, or dots or the mean lie too far left to be shown, a remark says so.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.seeds import seeds_as_dots
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> seeds_as_dots(analysis).savefig("seeds.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it; each condition gets a panel, up to 12, and each panel up to 20 candidates.
    """
    most = min(MOST_ROWS, int(analysis.candidates.groupby(CONDITION).size().max()))
    figure, panels = panel_grid(analysis, height=0.8 + 0.3 * most)
    for condition, panel in panels:
        _draw_panel(panel, analysis, condition)
    interval = f"{percent(analysis.level)} interval"
    figure.supxlabel(f"a dot a seed ({seeds_text(analysis)}); diamond: mean, with its {interval}", fontsize=10)
    return figure


def _draw_panel(panel: Axes, analysis: Analysis, condition: Condition) -> None:
    table, metric = analysis.candidates_under(condition).head(MOST_ROWS), condition[1]
    looks = styles(analysis)
    remarks: dict[int, str] = {}
    drawn: list[NDArray[np.float64]] = []
    columns = ["candidate", "job", "score", "score_low", "score_high", "diverged", "seeds"]
    for place, (candidate, job, mean, low, high, diverged, seeds) in enumerate(table[columns].to_numpy()):
        members = analysis.by_job[job]
        color = looks.get(candidate, OTHERS).color
        scores = members["test_score"].to_numpy(np.float64, na_value=np.nan)[members["status"] == "finished"]
        heights = place + _spread(len(scores))
        drawn.append(scores)
        panel.plot(scores, heights, "o", color=color, markersize=4.5, alpha=0.55, markeredgewidth=0)
        if np.isfinite(low):
            panel.plot([low, high], [place, place], "-|", color="black", linewidth=1.3, markersize=7, zorder=3)
        panel.plot([mean], [place], "D", color="black", markerfacecolor="white", markersize=5, zorder=4)
        if diverged:
            remarks[place] = f"× {diverged} of {seeds} diverged"
    _limits(panel, table, drawn)
    _draw_baseline(panel, analysis, condition)
    left = panel.get_xlim()[0]
    for place, (mean, scores) in enumerate(zip(table["score"], drawn, strict=True)):
        hidden = int((scores < left).sum())
        if hidden:
            what = (
                f"mean {settled(mean):.3f}"
                if hidden == len(scores)
                else f"{hidden} of {len(scores)}, mean {settled(mean):.3f}"
            )
            remarks[place] = f"← {what}".replace("-", "−") + f" {remarks.get(place, '')}"
    for place, text in remarks.items():
        panel.annotate(text, (left, place), (4, 8), textcoords="offset points", va="center", fontsize=7)
    panel.set_yticks(range(len(table)), [literal(str(name)) for name in table["candidate"]], fontsize=8)
    panel.set_ylim(len(table) - 0.5, -0.5)
    panel.set_xlabel(f"test {METRICS[metric]}", fontsize=9)
    if metric == "accuracy":
        panel.xaxis.set_major_formatter(PercentFormatter(1.0))
    panel.locator_params(axis="x", nbins=6 if len(analysis.conditions) == 1 else 4)
    total = len(analysis.candidates_under(condition))
    if total > len(table):
        panel.annotate(
            f"the best {len(table)} of {total}", (0.99, 0.01), xycoords="axes fraction", ha="right", fontsize=7
        )


def _draw_baseline(panel: Axes, analysis: Analysis, condition: Condition) -> None:
    """Mark what knowing nothing of the inputs scores, where it is within the panel; its limits stay as they are."""
    baseline = baseline_under(analysis, condition)
    left, right = panel.get_xlim()
    if left <= baseline <= right:
        panel.axvline(baseline, color="0.3", linestyle=":", linewidth=1.2, zorder=1)
        name = f" {baseline_name(condition[1])}"
        panel.annotate(name, (baseline, 0.5), (2, 0), textcoords="offset points", rotation=90, fontsize=7, color="0.3")


def _spread(count: int) -> NDArray[np.float64]:
    """Heights that keep dots of one value apart, the same each time."""
    golden = (np.arange(count, dtype=np.float64) * 0.618) % 1
    return np.asarray(SPREAD * (2 * golden - 1)) if count > 1 else np.zeros(count)


def _limits(panel: Axes, table: pd.DataFrame, scores: list[NDArray[np.float64]]) -> None:
    """Let the better half of the candidates have the width, where the others lie so far left as to squeeze them."""
    panel.margins(x=0.05)
    half = table["score"] >= table["score"].median()
    better = np.concatenate([values for values, within in zip(scores, half, strict=True) if within] or [np.empty(0)])
    left, right = panel.get_xlim()
    if not len(better):
        return
    least = max(LEAST_SPAN, LEAST_SHARE * float(np.abs(better).max()))
    span = max(float(np.ptp(better)), least)
    if right - left > SQUEEZED * span:
        panel.set_xlim(float(better.min()) - span, float(better.max()) + 0.3 * span)
    elif right - left < least:
        panel.set_xlim(left - least, right + least)
