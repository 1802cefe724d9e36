"""A bad start ends in a bad local minimum?"""

import math
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import named

ARRIVED: Final = 0.1  # a training loss that counts as the bottom
PLATEAU: Final = 0.9 * math.log(3)  # nearly the loss of a constant answer, for three classes
ENDS: Final = {
    "arrived": "#0072B2",
    "on the plateau": "#E69F00",
    "in between": "#D55E00",
    "diverged": "0.6",
}


def networks(tables: Tables) -> pd.DataFrame:
    """A row each network at its start's best learning rate: σ, and where it has ended."""
    rows, members = tables["trained.candidates"], tables["trained.members"]
    chosen = members[members["job"].isin(rows["job"])]
    loss = chosen["train_loss"].astype(float)
    diverged = (chosen["status"] == "diverged") | loss.isna()
    places = np.select(
        [diverged, loss <= ARRIVED, loss >= PLATEAU], ["diverged", "arrived", "on the plateau"], "in between"
    )
    ended: pd.DataFrame = chosen.assign(sigma=chosen["init.std"].astype(float), end=places)
    return ended.sort_values("sigma")


def judge(tables: Tables) -> Finding:
    """The claim asks that most networks of a start that fails come to rest between the plateau and the bottom."""
    ended = networks(tables)
    counts = pd.crosstab(ended["sigma"], ended["end"]).reindex(columns=list(ENDS), fill_value=0)
    told = [f"{counts[end].sum()} {end}{_where(counts.index[counts[end] > 0].tolist())}" for end in ENDS]
    seen = [f"How {len(ended)} networks ended: {'; '.join(told)}."]
    epochs = int(ended["epochs"].max())
    certainty = (
        f"{int(counts.sum(axis=1).min())} networks of each start after {epochs} epochs; a start "
        "fails if no more than half of its networks arrive."
    )
    most = counts.gt(counts.sum(axis=1) / 2, axis=0)
    bad = [float(sigma) for sigma in counts.index[~most["arrived"]]]
    stuck = [sigma for sigma in bad if most["in between"][sigma]]
    if not bad:
        return Finding("undecided", seen, certainty, "no start is bad enough to fail")
    if stuck == bad:
        return Finding("holds", seen, certainty)
    if stuck:
        return Finding("holds only where", seen, certainty, f"σ is {named([f'{sigma:g}' for sigma in stuck], 'or')}")
    if any(not most.loc[sigma].any() for sigma in bad):
        return Finding("undecided", seen, certainty, "of some start networks end here and there")
    plateau = [sigma for sigma in bad if most["on the plateau"][sigma]]
    lost = [sigma for sigma in bad if most["diverged"][sigma]]
    fates = [
        *([f"are still on the plateau after {epochs} epochs{_where(plateau)}"] if plateau else []),
        *([f"diverged{_where(lost)}"] if lost else []),
    ]
    where = "no start leaves most of its networks between plateau and bottom; where most fail, they "
    return Finding("does not hold", seen, certainty, where + " or ".join(fates))


def _where(sigmas: list[float]) -> str:
    return f" (σ = {named([f'{sigma:g}' for sigma in sigmas])})" if sigmas else ""


def draw(tables: Tables) -> Figure:
    """The training loss at the end of each network, by σ."""
    ended = networks(tables)
    starts = sorted(set(ended["sigma"]))
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(math.log(3), color="black", linestyle=":", lw=1)
    within = ended.groupby("sigma").cumcount() / ended.groupby("sigma")["sigma"].transform("size") - 0.45
    ended = ended.assign(at=ended["sigma"].map(starts.index) + 0.6 * within)
    for end, color in ENDS.items():
        rows = ended[ended["end"] == end]
        heights = rows["train_loss"].astype(float).clip(lower=1e-5) if end != "diverged" else np.full(len(rows), 10.0)
        axes.plot(rows["at"], heights, "x" if end == "diverged" else "o", ms=4, color=color, label=end)
    axes.set_yscale("log")
    axes.set_xticks(range(len(starts)), [f"{sigma:g}" for sigma in starts])
    axes.set_xlabel("standard deviation σ of the weights at the start")
    axes.set_ylabel("training loss at the end")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
