"""Bad initialization kills ReLU units?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import in_percent, named

HE: Final = 2.0  # the scale of He's variance
SAME: Final = 1e-6
MORE: Final = 0.1  # of a layer's units: what counts as more dead units


def last_hidden(signal: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last hidden layer of each job, with scale and rate as numbers."""
    hidden = signal[signal["layer"].str.startswith("hidden")]
    rows = hidden[hidden["position"] == hidden.groupby("job")["position"].transform("max")]
    numbers = [key for key in ("init.scale", "optim.lr", "model.width", "model.depth") if key in rows]
    numeric: pd.DataFrame = rows.assign(**{key: rows[key].astype(float) for key in numbers})
    return numeric


def ends(tables: Tables) -> pd.DataFrame:
    """The rows of `last_hidden` after training, with how many networks of each job have diverged."""
    trained, members = last_hidden(tables["trained.signal"]), tables["trained.members"]
    diverged = (members["status"] == "diverged").groupby(members["job"]).sum()
    after = trained[trained["epoch"] == trained["epoch"].max()]
    counted: pd.DataFrame = after.assign(diverged=after["job"].map(diverged))
    return counted


def killing_rates(after: pd.DataFrame, scale: float) -> list[float]:
    """The learning rates at which no network of a scale diverges, and far more units end dead than from He's weights.

    That is, the mean share is larger by `MORE`, and every network has more of them than He's have on average.
    """
    he = after[after["init.scale"] == HE].set_index("optim.lr")["dead"]
    bad = after[(after["init.scale"] == scale) & (after["diverged"] == 0)]
    usual = bad["optim.lr"].map(he)
    kills = bad[(bad["dead"] > usual + MORE) & (bad["dead_min"] > usual)]
    return sorted(float(rate) for rate in kills["optim.lr"])


def judge(tables: Tables) -> Finding:
    """The claim asks for more dead units where weights are too small or too large, before and after training."""
    start, trained = last_hidden(tables["start.signal"]), ends(tables)
    shapes = start.groupby(["model.width", "model.depth"])
    columns = ["dead", "dead_min", "dead_max"]
    spread = shapes[columns].max() - shapes[columns].min()
    same = bool((spread < SAME).all(axis=None))
    he = start[start["init.scale"] == HE]
    born = he.sort_values("all_dead").iloc[-1]
    narrow = he[he["all_dead"] > 0]["model.width"].max()
    spared = sorted(width for width in set(he["model.width"]) if not width <= narrow)
    others = [scale for scale in sorted(set(trained["init.scale"])) if scale != HE]
    rates = {scale: killing_rates(trained, scale) for scale in others}
    sizes, depends = start["init.scale"].nunique(), "it depends on the size of the weights which units are dead"
    rates_tried = _listed(sorted(set(trained["optim.lr"])))
    seen = [
        f"Before training {f'weights of all {sizes} sizes kill the same units' if same else depends}; "
        f"what counts is the shape: {in_percent(born['all_dead'])} of the networks {born['model.depth']:.0f} layers "
        f"deep and {born['model.width']:.0f} wide are born dead"
        + (f", and none that is {spared[0]:.0f} wide or wider." if spared else "."),
        f"Units of the last hidden layer that are dead after training, at learning rates {rates_tried}: "
        + "; ".join(_row(trained, scale) for scale in sorted(set(trained["init.scale"])))
        + ".",
    ]
    networks = int(min(start["networks"].min(), trained["networks"].min()))
    certainty = (
        f"{networks} networks of each kind. “More” means at least {in_percent(MORE)} of the units more on average, and "
        "every network has more than He's on average; where networks diverged, nothing is said."
    )
    if all(start[start["init.scale"] == scale]["dead_min"].min() > he["dead_max"].max() for scale in others):
        return Finding("holds", seen, certainty)
    if not same:
        return Finding("undecided", seen, certainty, "the size of the weights changes which units are born dead")
    killers = [
        f"weights of scale {scale:g} ({scale / HE:g} times He's variance) at learning rate"
        f"{'s' if len(found) > 1 else ''} {named([f'{rate:g}' for rate in found])}"
        for scale, found in rates.items()
        if found
    ]
    if not killers:
        return Finding("does not hold", seen, certainty, "no size of the weights leaves more dead units than He's")
    where = (
        f"the network has trained: then {' and '.join(killers)} leave more dead units than He's weights; "
        "before training the size of the weights kills none"
    )
    return Finding("holds only where", seen, certainty, where)


def _row(after: pd.DataFrame, scale: float) -> str:
    rows = after[after["init.scale"] == scale].sort_values("optim.lr")
    told = [
        f"{in_percent(row['dead'])}" if row["diverged"] == 0 else f"({row['diverged']:.0f} networks diverged)"
        for _, row in rows.iterrows()
    ]
    return f"scale {scale:g}: {', '.join(told)}"


def _listed(rates: list[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)


def draw(tables: Tables) -> Figure:
    """Networks that are born dead by depth and width, and dead units after training by learning rate."""
    start, trained = last_hidden(tables["start.signal"]), ends(tables)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    born, after = figure.subplots(1, 2, sharey=True)
    he = start[start["init.scale"] == HE]
    widths = {f"{width:.0f} units wide": width for width in sorted(set(he["model.width"]))}
    looks = looks_of(widths)
    for name, width in widths.items():
        rows, look = he[he["model.width"] == width].sort_values("model.depth"), looks[name]
        born.plot(rows["model.depth"], rows["all_dead"], color=look.color, linestyle=look.dash, marker="o", label=name)
    born.set_xlabel("hidden layers")
    born.set_title("networks born dead", fontsize="medium")
    born.set_ylabel("share")
    ended = trained[trained["diverged"] == 0]
    scales = {f"scale {scale:g}": scale for scale in sorted(set(ended["init.scale"]))}
    looks = looks_of(scales)
    for name, scale in scales.items():
        rows, look = ended[ended["init.scale"] == scale].sort_values("optim.lr"), looks[name]
        after.plot(rows["optim.lr"], rows["dead"], color=look.color, linestyle=look.dash, marker="o", label=name)
        after.fill_between(rows["optim.lr"], rows["dead_min"], rows["dead_max"], color=look.color, alpha=0.15, lw=0)
    after.set_xscale("log")
    after.set_xlabel("learning rate")
    after.set_title("units dead after training", fontsize="medium")
    for axes in (born, after):
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.25)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)
    return figure
