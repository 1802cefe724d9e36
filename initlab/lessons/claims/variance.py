"""The variance of the weights sets the spread of activations in every layer?"""

from itertools import pairwise
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import Panel, panels_by_layer
from initlab.lessons.reading import hidden_layers

COLUMN: Final = "pre_second_moment"
NEAR: Final = 2.0  # factor by which the mean over networks may differ from what the formula says


def judge(tables: Tables) -> Finding:
    """The claim holds if σ orders the spread in every layer, as the formula says, and at each width in the same way."""
    signal = tables["probed.signal"]
    widths, stds = (sorted(signal[key].unique()) for key in ("model.width", "init.std"))
    off = max(
        _off(hidden_layers(signal, **{"model.width": width, "init.std": std})) for width in widths for std in stds
    )
    same = [std for std in stds if not _apart(*(_at(signal, width, std) for width in widths))]
    middle, wide, narrow = stds[len(stds) // 2], widths[-1], widths[0]
    last = [_at(signal, width, middle).iloc[-1] for width in (wide, narrow)]
    seen = [
        f"The mean square of the last layer, with {wide:g} units a layer, goes from "
        f"{_at(signal, wide, stds[0]).iloc[-1][COLUMN]:.0g} at σ = {stds[0]:g} to "
        f"{_at(signal, wide, stds[-1]).iloc[-1][COLUMN]:.0g} at σ = {stds[-1]:g}.",
        f"In all layers and nets the mean over networks is within a factor of {off:.1f} of what the formula says.",
        f"The same σ = {middle:g} gives {last[0][COLUMN]:.2g} with {wide:g} units a layer, and "
        f"{last[1][COLUMN]:.1g} with {narrow:g}.",
    ]
    networks = int(signal["networks"].min())
    certainty = f"All of {networks} networks of each σ and width, in every layer after the first."
    ordered = all(
        _apart(_at(signal, width, small), _at(signal, width, large))
        for width in widths
        for small, large in pairwise(stds)
    )
    if not ordered or off > NEAR:
        where = "networks of different σ overlap" if not ordered else "the mean is not what the formula says"
        return Finding("undecided", seen, certainty, where)
    if len(same) == len(stds):
        return Finding("holds", seen, certainty)
    if same:
        return Finding("undecided", seen, certainty, "at some σ the width matters, at others it does not show")
    where = "nets of the same width are compared: what counts is n σ², and n is the number of inputs"
    return Finding("holds only where", seen, certainty, where)


def _at(signal: pd.DataFrame, width: float, std: float) -> pd.DataFrame:
    """The hidden layers after the first, whose inputs are those of the data."""
    return hidden_layers(signal, **{"model.width": width, "init.std": std}).iloc[1:]


def _apart(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether in every layer all networks of one kind have more than all of the other."""
    ends = [(part[f"{COLUMN}_min"].to_numpy(), part[f"{COLUMN}_max"].to_numpy()) for part in (one, other)]
    (low, high), (other_low, other_high) = ends
    return bool((low > other_high).all() or (other_low > high).all())


def _off(rows: pd.DataFrame) -> float:
    """By what factor the mean over networks differs most from the formula."""
    ratio = rows[COLUMN] / rows["predicted_second_moment"]
    return float(max(ratio.max(), 1 / ratio.min()))


def draw(tables: Tables) -> Figure:
    """Mean squares by layer, measured and from the formula, at both widths."""
    signal = hidden_layers(tables["probed.signal"])
    signal = signal.assign(std=signal["init.std"].map("σ = {:g}".format)).sort_values("init.std")
    panels = [
        Panel(
            f"{width:g} units a layer", part, COLUMN, "mean square of pre-activations", theory="predicted_second_moment"
        )
        for width, part in sorted(signal.groupby("model.width"), reverse=True)
    ]
    return panels_by_layer(panels, by="std")
