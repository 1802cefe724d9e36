"""How much the learning rate matters: validation score against it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from initlab.figures.looks import OTHERS
from initlab.figures.panels import add_legend, panel_grid, score_axis, styles
from initlab.results.analysis import Analysis, Condition
from initlab.results.confidence import percent
from initlab.results.intervals import bootstrap_intervals
from initlab.results.scores import counted_scores
from initlab.tables.schema import METRICS


def learning_rates(analysis: Analysis, *, seed: int = 0) -> Figure:
    """Draw mean validation score against learning rate, with its interval; a ring marks each candidate's best.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.learning_rates import learning_rates
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> learning_rates(analysis).savefig("learning_rates.png")  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it, of a study that tunes the learning rate; each condition gets a panel, up
            to 12.
        seed: Seed of the bootstrap: an equal one gives equal bands.
    """
    figure, panels = panel_grid(analysis)
    rng = np.random.default_rng(seed)
    for condition, panel in panels:
        _draw_panel(panel, analysis, condition, rng)
    figure.supxlabel(
        f"learning rate (band: {percent(analysis.level)} interval; ring: the best on validation rows; a diverged "
        "network counts as 0)",
        fontsize=9,
    )
    add_legend(figure, analysis)
    return figure


def _draw_panel(panel: Axes, analysis: Analysis, condition: Condition, rng: np.random.Generator) -> None:
    metric, looks = condition[1], styles(analysis)
    chosen = analysis.candidates_under(condition).set_index("candidate")["rate"]
    for candidate, jobs in analysis.jobs_under(condition).groupby("candidate", sort=False):
        look = looks.get(str(candidate), OTHERS)
        labelled = str(candidate) in looks
        jobs = jobs.sort_values("rate")
        rates, means = jobs["rate"].to_numpy(np.float64), jobs["validation"].to_numpy(np.float64)
        width, order = (1.8, 2.0) if labelled else (0.8, 1.0)
        panel.plot(
            rates, means, color=look.color, linestyle=look.dash, linewidth=width, zorder=order, label=str(candidate)
        )
        if labelled:
            low, high = _intervals(analysis, jobs, rng)
            panel.fill_between(rates, low, high, color=look.color, alpha=0.18, linewidth=0)
            best = rates == chosen[candidate]
            panel.plot(rates[best], means[best], "o", color=look.color, markerfacecolor="white", markersize=7, zorder=3)
    panel.set_xscale("log")
    panel.set_ylabel(f"validation {METRICS[metric]}")
    score_axis(panel, metric)


def _intervals(analysis: Analysis, jobs: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.float64]:
    """Ends of the intervals of some jobs' validation scores, shape (2, jobs); NaN of a single seed."""
    scores = [counted_scores(analysis.by_job[str(job)], "val_score").to_numpy(np.float64) for job in jobs.index]
    counts = np.array([len(values) for values in scores])
    ends = np.full((2, len(scores)), np.nan)
    for seeds in np.unique(counts[counts > 1]):
        places = np.flatnonzero(counts == seeds)
        values = np.stack([scores[place] for place in places])
        ends[:, places] = bootstrap_intervals(values, level=analysis.level, rng=rng)
    return np.asarray(np.clip(ends, 0.0, 1.0))
