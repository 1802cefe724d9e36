"""Learning curves: validation accuracy over epochs, a line and a band for each job."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from initlab.figures.style import LINES
from initlab.results.statistics import mean_bands
from initlab.results.summary import Study

MOST_LABELLED = 12
MOST_INSIDE = 5  # a longer legend stands beside the axes


def learning_curves(study: Study, summary: pd.DataFrame, *, seed: int = 0) -> Figure:
    """Draw validation accuracy over epochs: mean over members and its 95 % bootstrap band, one panel a data set.

    Args:
        study: Finished jobs.
        summary: Of `results.summary.summarize`; its order is the legend's. Of many jobs in a panel the best are
            labelled and the others drawn in grey.
        seed: Of the bootstrap.
    """
    data_of = study.members.groupby("job", sort=False)["data"].first()
    data_sets = list(dict.fromkeys(data_of[job] for job in study.differing.index))
    figure = Figure(figsize=(1.2 + 5.6 * len(data_sets), 4.4), layout="constrained")
    panels = figure.subplots(1, len(data_sets), squeeze=False)[0]
    for panel, data in zip(panels, data_sets, strict=True):
        jobs = [job for job in summary["job"] if data_of[job] == data]
        _draw_panel(panel, study, jobs, rng=np.random.default_rng(seed))
        panel.set_title(data)
    panels[0].set_ylabel("validation accuracy")
    return figure


def _draw_panel(panel: Axes, study: Study, jobs: list[str], *, rng: np.random.Generator) -> None:
    rows = study.history[study.history["split"] == "val"]
    for place, job in enumerate(jobs):
        curves = rows[rows["job"] == job].pivot(index="member", columns="epoch", values="accuracy")
        scores = curves.to_numpy(np.float64, na_value=np.nan)
        mean, low, high = mean_bands(scores, rng=rng)
        labelled = place < MOST_LABELLED
        color, dash = LINES[place] if labelled else ("0.75", "-")
        epochs = curves.columns.to_numpy(np.float64)
        label = _label(study, job) if labelled else None
        panel.plot(epochs, mean, color=color, linestyle=dash, linewidth=1.8 if labelled else 0.8, label=label)
        panel.fill_between(epochs, low, high, color=color, alpha=0.18, linewidth=0)
    seeds = sorted(study.members[study.members["job"].isin(jobs)].groupby("job").size().unique())
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    panel.set_xlabel(f"epoch (mean and 95 % interval over {count} {'seed' if count == '1' else 'seeds'})")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.yaxis.set_major_formatter(PercentFormatter(1.0))
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.margins(x=0.01)
    if len(jobs) > MOST_LABELLED:
        panel.plot([], [], color="0.75", label=f"{len(jobs) - MOST_LABELLED} more")
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)} if len(jobs) > MOST_INSIDE else {"loc": "best"}
    panel.legend(frameon=False, fontsize="small", title="best on test rows first", **beside)


def _label(study: Study, job: str) -> str:
    members = study.members[study.members["job"] == job]
    diverged = int((members["status"] == "diverged").sum())
    remark = f" ({diverged} of {len(members)} diverged)" if diverged else ""
    return study.label(job, without=("data",)) + remark
