"""Careful initialization makes convergence faster?"""

import math
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.rates import Row
from initlab.lessons.reading import named
from initlab.results.speed import epochs_to_threshold, share_reached

CLOSE: Final = 2  # epochs within which two starts count as equally fast
CAREFUL: Final = "He"


def starts(tables: Tables) -> pd.DataFrame:
    """A row each start and depth, at its best learning rate: median epochs to the threshold with their interval."""
    careless = tables["careless.candidates"]
    careless = careless.assign(start="σ = " + careless["init.std"].astype(float).map("{:g}".format), part="careless")
    both = pd.concat([tables["careful.candidates"].assign(start=CAREFUL, part="careful"), careless])
    return both.assign(depth=both["model.depth"].astype(int))


def judge(tables: Tables) -> Finding:
    """He's weights are faster than another start where the intervals of the epochs lie apart."""
    rows = starts(tables)
    faster, alike, unsure, seen = {}, {}, {}, []
    for depth, part in rows.groupby("depth"):
        he = part[part["start"] == CAREFUL].iloc[0]
        others = part[part["start"] != CAREFUL].set_index("start").sort_values("init.std")
        faster[depth] = [str(name) for name, row in others.iterrows() if he["epochs_high"] < row["epochs_low"]]
        ends = others.assign(most=others["epochs_high"].clip(lower=he["epochs_high"]))
        ends = ends.assign(least=ends["epochs_low"].clip(upper=he["epochs_low"]))
        close = [name for name, row in ends.iterrows() if row["most"] <= row["least"] + CLOSE]
        slower = [name for name, row in others.iterrows() if row["epochs_high"] < he["epochs_low"]]
        alike[depth] = [str(name) for name in others.index if name in (*close, *slower) and name not in faster[depth]]
        unsure[depth] = [str(name) for name in others.index if name not in (*faster[depth], *alike[depth])]
        told = "; ".join(f"{name} {_epochs(row)}" for name, row in others.iterrows())
        seen.append(f"Median epochs with {depth} hidden layers: He {_epochs(he)}; {told}.")
    certainty = (
        f"{int(rows['seeds'].min())} networks of each kind. Faster is said where the 95 % intervals of the medians lie "
        f"apart, equally fast where both lie within {CLOSE} epochs."
    )
    everywhere = [depth for depth in faster if not alike[depth] and not unsure[depth]]
    exceptions = "; ".join(
        f"with {depth}, {named([f'normal weights of {name}' for name in alike[depth]])} arrive as fast"
        for depth in alike
        if alike[depth]
    )
    if len(everywhere) == len(faster):
        return Finding("holds", seen, certainty)
    if everywhere and exceptions:
        where = f"the net has {named([str(depth) for depth in everywhere], 'or')} hidden layers; {exceptions}"
        return Finding("holds only where", seen, certainty, where)
    if exceptions and not any(unsure.values()):
        return Finding("does not hold", seen, certainty, exceptions)
    return Finding("undecided", seen, certainty, "intervals of He's weights and of others overlap")


def _epochs(row: pd.Series) -> str:
    """How long it takes: `2 [1, 3]`, or how many networks arrive at all."""
    if not math.isfinite(row["epochs"]):
        return f"never ({int(row['reached'])} of {int(row['seeds'])} networks arrive)"
    high = f"{row['epochs_high']:g}" if math.isfinite(row["epochs_high"]) else "∞"
    return f"{row['epochs']:g} [{row['epochs_low']:g}, {high}]"


def name_kind(experiment: str, row: Row) -> str:
    """What a kind of network is called: `He at 2 layers`."""
    start = CAREFUL if experiment == "careful" else f"σ = {float(row['init.std']):g}"
    return f"{start} at {row['model.depth']} layers"


def draw(tables: Tables) -> Figure:
    """The share of networks that have arrived, by epoch; a panel for each depth."""
    rows = starts(tables)
    depths = sorted(set(rows["depth"]))
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    looks = looks_of(dict.fromkeys(rows["start"]))
    for axes, depth in zip(figure.subplots(1, len(depths), sharey=True, squeeze=False)[0], depths, strict=True):
        for _, row in rows[rows["depth"] == depth].iterrows():
            members = tables[f"{row['part']}.members"]
            history = tables[f"{row['part']}.history"]
            last, look = int(history["epoch"].max()), looks[row["start"]]
            share = share_reached(epochs_to_threshold(members[members["job"] == row["job"]]), last)
            axes.step(
                np.arange(last + 1), share, where="post", color=look.color, linestyle=look.dash, label=row["start"]
            )
        axes.set_title(f"{depth} hidden layers", fontsize="medium")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("share of networks at 0.9 accuracy")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure
