"""Learning curves: validation score over epochs, a line and a band for each job."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from initlab.figures.style import LINES
from initlab.results.schema import METRICS
from initlab.results.statistics import RESAMPLES, mean_bands
from initlab.results.summary import Study

MOST_LABELLED = 12
MOST_INSIDE = 5  # a longer legend stands beside the axes
LOWEST_R2 = -0.25  # how far below what predicting the mean gets a panel goes: untrained networks may lie at -50


def learning_curves(study: Study, summary: pd.DataFrame, *, seed: int = 0) -> Figure:
    """Draw validation scores over epochs: mean over members and its 95 % bootstrap band.

    There is one panel a data set and metric.

    Args:
        study: Finished jobs.
        summary: Of `results.summary.summarize`; its order is the legend's. Of many jobs in a panel the best are
            labelled and the others grey lines.
        seed: Of the bootstrap.
    """
    of_job = study.members.groupby("job", sort=False)[["data", "metric"]].first()
    kinds = {job: (str(of_job.at[job, "data"]), str(of_job.at[job, "metric"])) for job in study.differing.index}
    distinct = list(dict.fromkeys(kinds.values()))
    figure = Figure(figsize=(1.2 + 5.6 * len(distinct), 4.4), layout="constrained")
    panels = figure.subplots(1, len(distinct), squeeze=False)[0]
    same_metric = len({metric for _, metric in distinct}) == 1
    for panel, kind in zip(panels, distinct, strict=True):
        data, metric = kind
        _draw_panel(panel, study, [job for job in summary["job"] if kinds[job] == kind], metric, seed=seed)
        panel.set_title(data)
        if panel is panels[0] or not same_metric:
            panel.set_ylabel(f"validation {METRICS[metric]}")
    return figure


def _draw_panel(panel: Axes, study: Study, jobs: list[str], metric: str, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = dict(list(study.history[study.history["split"] == "val"].groupby("job")))
    means = []
    for place, job in enumerate(jobs):
        curves = rows[job].pivot(index="member", columns="epoch", values="score")
        scores = curves.to_numpy(np.float64, na_value=np.nan)
        labelled = place < MOST_LABELLED
        mean, low, high = mean_bands(scores, rng=rng, resamples=RESAMPLES if labelled else 0)
        color, dash = LINES[place] if labelled else ("0.75", "-")
        epochs = curves.columns.to_numpy(np.float64)
        label = _label(study, job) if labelled else None
        panel.plot(epochs, mean, color=color, linestyle=dash, linewidth=1.8 if labelled else 0.8, label=label)
        if labelled:
            panel.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
        means.append(mean)
    seeds = sorted(study.members[study.members["job"].isin(jobs)].groupby("job").size().unique())
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    panel.set_xlabel(f"epoch (mean and 95 % interval over {count} {'seed' if count == '1' else 'seeds'})")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.margins(x=0.01)
    if metric == "accuracy":
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        _clip_bottom(panel, means)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if len(jobs) > MOST_LABELLED:
        panel.plot([], [], color="0.75", label=f"{len(jobs) - MOST_LABELLED} more")
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(jobs) > MOST_INSIDE else {"loc": "best"}
    panel.legend(frameon=False, fontsize="small", title="best on test rows first", **beside)


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


def _label(study: Study, job: str) -> str:
    members = study.members[study.members["job"] == job]
    diverged = int((members["status"] == "diverged").sum())
    remark = f" ({diverged} of {len(members)} diverged)" if diverged else ""
    return study.label(job, without=("data",)) + remark
