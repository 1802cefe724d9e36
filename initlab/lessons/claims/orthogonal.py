"""Orthogonal starts make depth no obstacle to linear and tanh nets?"""

import math
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.rates import Row

CLOSE: Final = 2  # epochs within which two depths count as equally fast
NAMES = {"identity": "linear", "tanh": "tanh"}
STARTS = {"orthogonal": "orthogonal", "lecun_normal": "Gaussian"}


def chosen(tables: Tables) -> pd.DataFrame:
    """The candidates, each at its best learning rate, with the depth as a number."""
    table = tables["trained.candidates"]
    return table.assign(depth=table["model.depth"].astype(int))


def _of(rows: pd.DataFrame, init: str, activation: str) -> tuple[pd.Series, pd.Series]:
    part = rows[(rows["init"] == init) & (rows["activation"] == activation)].sort_values("depth")
    return part.iloc[0], part.iloc[-1]


def judge(tables: Tables) -> Finding:
    """Depth is no obstacle where the deep net's interval of epochs lies within two epochs of the shallow net's."""
    rows, seen = chosen(tables), []
    answers: dict[str, str] = {}
    for activation, name in NAMES.items():
        shallow, deep = _of(rows, "orthogonal", activation)
        same = bool(deep["epochs_high"] <= shallow["epochs_low"] + CLOSE)
        slower = bool(deep["epochs_low"] > shallow["epochs_high"]) and not same
        answers[name] = "slower" if slower else "same" if same else "open"
        beside = _of(rows, "lecun_normal", activation)
        seen.append(
            f"Epochs to {shallow['threshold']:g} of {name} nets of {shallow['depth']} and {deep['depth']} layers: "
            f"{_epochs(shallow)} and {_epochs(deep)} from orthogonal weights, {_epochs(beside[0])} and "
            f"{_epochs(beside[1])} from Gaussian ones."
        )
    certainty = (
        f"Medians of {int(rows['seeds'].min())} networks of each kind, intervals at the 95 % level. “No obstacle” is "
        f"said where the deep net takes at most {CLOSE} epochs more, “more epochs” where the intervals lie apart."
    )
    shown = rows[rows["epochs"].map(math.isfinite) & ~rows["epochs_high"].map(math.isfinite)]
    if not shown.empty:
        certainty += f" ∞: beyond the {int(tables['trained.history']['epoch'].max())} epochs of training."
    no_obstacle = [name for name, answer in answers.items() if answer == "same"]
    obstacle = [name for name, answer in answers.items() if answer == "slower"]
    if len(no_obstacle) == len(answers):
        return Finding("holds", seen, certainty)
    if len(obstacle) == len(answers):
        return Finding("does not hold", seen, certainty, "deep nets take more epochs from orthogonal weights, too")
    if no_obstacle and obstacle:
        where = f"the net is {no_obstacle[0]}: {obstacle[0]} nets take more epochs when they are deep"
        return Finding("holds only where", seen, certainty, where)
    still = " and ".join(name for name, answer in answers.items() if answer == "open")
    return Finding("undecided", seen, certainty, f"the intervals of deep and shallow {still} nets overlap")


def name_kind(_: str, row: Row) -> str:
    """What a kind of network is called: `tanh nets of 4 layers from orthogonal weights`."""
    return f"{NAMES[row['activation']]} nets of {row['model.depth']} layers from {STARTS[row['init']]} weights"


def _epochs(row: pd.Series) -> str:
    if not math.isfinite(row["epochs"]):
        return f"never ({row['reached']:.0f} of {row['seeds']:.0f} networks do)"
    high = f"{row['epochs_high']:g}" if math.isfinite(row["epochs_high"]) else "∞"
    return f"{row['epochs']:g} [{row['epochs_low']:g}, {high}]"


def draw(tables: Tables) -> Figure:
    """Validation accuracy by epoch, a panel for linear and for tanh nets."""
    rows, history = chosen(tables), tables["trained.history"]
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    looks = looks_of(STARTS.values())
    for axes, (activation, name) in zip(figure.subplots(1, 2, sharey=True), NAMES.items(), strict=True):
        for init, start in STARTS.items():
            for row, dash in zip(_of(rows, init, activation), ("-", "--"), strict=True):
                line = history[(history["job"] == row["job"]) & (history["split"] == "val")].sort_values("epoch")
                label, color = f"{start}, {row['depth']} layers", looks[start].color
                axes.plot(line["epoch"], line["score"], color=color, linestyle=dash, label=label)
                axes.fill_between(line["epoch"], line["score_low"], line["score_high"], color=color, alpha=0.12, lw=0)
        axes.set_title(f"{name} nets", fontsize="medium")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("validation accuracy")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure
