"""Learning curves: validation score over epochs, a line and a band for each candidate."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from initlab.figures.looks import OTHERS, mark_equal
from initlab.figures.panels import add_legend, nothing_to_see, panel_grid, score_axis, seeds_text, styles
from initlab.results.analysis import Analysis, Condition
from initlab.results.baseline import baseline_name, baseline_under
from initlab.results.confidence import percent
from initlab.results.intervals import RESAMPLES, mean_bands
from initlab.tables.schema import LIMITS, METRICS

LEAST_SPAN = 0.01  # of scores that a panel shows, where all are about the same
LOWEST_R2 = -0.25  # how far below what predicting the mean gets a panel goes: untrained networks may lie at -50


def learning_curves(analysis: Analysis, *, seed: int = 0) -> Figure:
    """Draw validation scores over epochs, each candidate at its best learning rate: mean over members and its interval.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.curves import learning_curves
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> learning_curves(analysis).savefig("curves.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it; each condition gets a panel, up to 12.
        seed: Seed of the bootstrap: an equal one gives equal bands.
    """
    figure, panels = panel_grid(analysis)
    rng = np.random.default_rng(seed)
    baselines: dict[str, Line2D] = {}
    for condition, panel in panels:
        line = _draw_panel(panel, analysis, condition, rng)
        if line is not None:
            baselines.setdefault(str(line.get_label()), line)
    left = " that have not diverged" if analysis.candidates["diverged"].any() else ""
    figure.supxlabel(
        f"epoch (mean and {percent(analysis.level)} interval over {seeds_text(analysis)}{left})", fontsize=10
    )
    add_legend(figure, analysis, more=list(baselines.values()))
    return figure


def _draw_panel(panel: Axes, analysis: Analysis, condition: Condition, rng: np.random.Generator) -> Line2D | None:
    """Draw a condition; returned is the line of what knowing nothing of the inputs scores, where that is known."""
    looks, metric = styles(analysis), condition[1]
    drawn, lines = [], {}
    for candidate, job in analysis.candidates_under(condition)[["candidate", "job"]].to_numpy():
        scores = analysis.curves[job]
        look = looks.get(candidate, OTHERS)
        labelled = candidate in looks
        members = scores.to_numpy(np.float64, na_value=np.nan)
        resamples = RESAMPLES if labelled else 0
        mean, low, high = mean_bands(members, rng=rng, resamples=resamples, level=analysis.level)
        epochs = scores.columns.to_numpy(np.float64)
        width, order = (1.8, 2.0) if labelled else (0.8, 1.0)
        (line,) = panel.plot(epochs, mean, color=look.color, linestyle=look.dash, linewidth=width, label=candidate)
        line.set_zorder(order)
        if labelled:
            lines[candidate] = line
            low, high = np.clip([low, high], *LIMITS[metric])
            panel.fill_between(epochs, low, high, color=look.color, alpha=0.18, linewidth=0)
        drawn.append(mean)
    if not any(np.isfinite(mean).any() for mean in drawn):
        nothing_to_see(panel, "every network diverged")
        return None
    baseline, of_nothing = baseline_under(analysis, condition, "val"), None
    if np.isfinite(baseline):  # named beside the panels, where its name lies on no line
        name = baseline_name(metric)
        of_nothing = panel.axhline(baseline, color="0.3", linestyle=":", linewidth=1.2, zorder=1, label=name)
    panel.set_ylabel(f"validation {METRICS[metric]}")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.margins(x=0.01)
    mark_equal(panel, lines, least_span=LEAST_SPAN)
    score_axis(panel, metric)
    if metric == "r2":
        _clip_bottom(panel, drawn)
    return of_nothing


def _clip_bottom(panel: Axes, means: list[NDArray[np.float64]]) -> None:
    """Leave out of sight what lies far below R² = 0, unless every job ends there, and say so in the panel."""
    ends = [mean[np.isfinite(mean)][-1] for mean in means if np.isfinite(mean).any()]
    best = max(ends, default=0.0)
    floor = LOWEST_R2 if best > LOWEST_R2 / 2 else 2 * best
    bottom, top = panel.get_ylim()
    if bottom >= floor:
        return
    highest = max((np.nanmax(mean) for mean in means if np.isfinite(mean).any()), default=top)
    panel.set_ylim(floor, min(top, highest + 0.05 * (highest - floor)))
    text = f"below {floor:.2g}: not shown".replace("-", "−")  # as the axis writes it
    panel.annotate(text, (0.99, 0.01), xycoords="axes fraction", ha="right", fontsize=7)
