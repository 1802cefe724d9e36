"""Too large weights: gradients explode, training diverges?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import draw_along
from initlab.lessons.reading import hidden_layers, in_percent, named, pair_of

GRADIENT: Final = "weight_gradient_norm"
LEARNED: Final = 0.2  # twice the share of the commonest of ten classes


def judge(tables: Tables) -> Finding:
    """The claim holds if larger weights have more gradient, and lose networks with descent and with Adam."""
    pairs, lost, adam = tables["adam.pairs"], _lost(tables), tables["adam.members"]
    depths, stds = (sorted(lost[key].unique()) for key in ("model.depth", "init.std"))
    usual, most = stds[0], stds[-1]
    first = {
        (depth, std): hidden_layers(tables["start.signal"], **{"model.depth": depth, "init.std": std}).iloc[0]
        for depth in depths
        for std in (usual, most)
    }
    shares = {(row["model.depth"], row["init.std"]): row["lost"] for _, row in lost.iterrows()}
    names = [f"init.std={std:g}" for std in (most, usual)]
    worse = {depth: pair_of(pairs, *names, setting=f"model.depth={depth}") for depth in depths}
    diverged = int((adam["status"] == "diverged").sum())
    middle = depths[len(depths) // 2]
    descent = named([f"{in_percent(shares[depth, most])} at {depth} layers" for depth in depths])
    before = named([f"{in_percent(shares[depth, usual])}" for depth in depths])
    ends = named([f"{worse[depth].difference:+.2f} at {depth} layers ({worse[depth].verdict})" for depth in depths])
    seen = [
        f"At {middle} layers the gradient of the first layer's weights has a length of "
        f"{first[middle, usual][GRADIENT]:.1g} from σ = {usual:g}, and of {first[middle, most][GRADIENT]:.1g} from "
        f"σ = {most:g}.",
        f"Plain gradient descent loses {descent} from σ = {most:g}; from σ = {usual:g} it loses {before}.",
        f"With Adam {diverged} of {len(adam)} networks diverge; test accuracy from σ = {most:g} less that from σ = "
        f"{usual:g} is {ends}.",
    ]
    seeds = int(pairs["seeds"].min())
    certainty = f"{seeds} networks of each kind; verdicts are at the 95 % level, with Adam each σ at its best rate."
    if any(first[depth, most][f"{GRADIENT}_min"] <= first[depth, usual][f"{GRADIENT}_max"] for depth in depths):
        return Finding("undecided", seen, certainty, "the gradient is not larger in all networks")
    if all(shares[depth, most] == 0 for depth in depths) and not diverged:
        return Finding("does not hold", seen, certainty, "gradients explode, but no network is lost")
    if any(shares[depth, most] < 1 or shares[depth, usual] >= 0.5 for depth in depths):
        return Finding(
            "undecided", seen, certainty, "plain gradient descent does not tell the two σ apart at each depth"
        )
    if diverged:
        return Finding("holds", seen, certainty)
    if any(pair.verdict != "worse" for pair in worse.values()):
        return Finding(
            "undecided", seen, certainty, "with Adam nothing diverges, and large weights are not worse everywhere"
        )
    where = "steps are as long as the gradient: with Adam no network diverges, though all depths end worse"
    return Finding("holds only where", seen, certainty, where)


def _lost(tables: Tables) -> pd.DataFrame:
    """By depth and σ, the share of networks that descent loses."""
    members = tables["descent.members"]
    members = members.assign(lost=(members["status"] == "diverged") | ~(members["test_score"] > LEARNED))
    return members.groupby(["model.depth", "init.std"])["lost"].mean().reset_index()


def draw(tables: Tables) -> Figure:
    """Share lost with descent, and test accuracy with Adam, along σ at each depth."""
    lost = _lost(tables).assign(lost_low=lambda rows: rows["lost"], lost_high=lambda rows: rows["lost"])
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    shown = [
        ("plain gradient descent", lost, "lost", "share of networks that are lost"),
        ("Adam", tables["adam.candidates"], "score", "test accuracy"),
    ]
    for axes, (title, rows, column, label) in zip(panels, shown, strict=True):
        rows = rows.sort_values("model.depth")
        rows = rows.assign(depth=rows["model.depth"].map("{} layers".format))
        draw_along(axes, rows, "init.std", column, by="depth", labels=("σ of the weights", label))
        axes.set_title(title, fontsize="medium")
        axes.set_ylim(-0.05, 1.05)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure
