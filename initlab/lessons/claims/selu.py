"""LeCun's scaling makes SELU self-normalizing?"""

import math
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import Panel, panels_by_layer
from initlab.lessons.reading import Span, hidden_layers

MEAN: Final = (-0.2, 0.2)  # of a layer that counts as normalized, in all networks
STD: Final = (0.8, 1.2)
INPUTS: Final = {True: "inputs of variance 1", False: "pixels as they are"}


def judge(tables: Tables) -> Finding:
    """The claim holds if the second half of the layers has mean 0 and standard deviation 1, whatever the inputs."""
    signal = tables["probed.signal"]
    means, stds = (
        {(gain, scaled): _late(signal, column, gain, scaled) for gain in (1.0, 0.75) for scaled in INPUTS}
        for column in ("post_mean", "post_std")
    )
    late = math.ceil(hidden_layers(signal)["position"].nunique() / 2)
    first = {scaled: _first(signal, scaled) for scaled in INPUTS}
    seen = [
        f"From LeCun's weights and {words}, the standard deviation goes from {first[scaled]:.2f} in the first layer to "
        f"between {stds[1.0, scaled].low:.2f} and {stds[1.0, scaled].high:.2f} in the last {late}; the mean is between "
        f"{means[1.0, scaled].low:+.2f} and {means[1.0, scaled].high:+.2f} there, over all networks."
        for scaled, words in INPUTS.items()
    ]
    other = [stds[0.75, scaled] for scaled in INPUTS]
    seen.append(
        f"With the gain ¾ the standard deviation is between {min(span.low for span in other):.2f} and "
        f"{max(span.high for span in other):.2f} there."
    )
    networks = int(signal["networks"].min())
    certainty = (
        f"All of {networks} networks of each kind; mean 0 and deviation 1 count as kept within {STD[1] - 1:.1f}."
    )
    kept = {scaled: means[1.0, scaled].within(*MEAN) and stds[1.0, scaled].within(*STD) for scaled in INPUTS}
    lost = {scaled: means[1.0, scaled].outside(*MEAN) or stds[1.0, scaled].outside(*STD) for scaled in INPUTS}
    if all(kept.values()):
        return Finding("holds", seen, certainty)
    if all(lost.values()):
        return Finding("does not hold", seen, certainty, "mean and standard deviation go elsewhere")
    if kept[True] and lost[False]:
        return Finding("holds only where", seen, certainty, "the inputs have mean 0 and variance 1 already")
    return Finding(
        "undecided", seen, certainty, "some networks stay near mean 0 and standard deviation 1, others do not"
    )


def _late(signal: pd.DataFrame, column: str, gain: float, scaled: bool) -> Span:
    """What the second half of the layers has, over all of them and all networks."""
    rows = hidden_layers(signal, **{"init.gain": gain, "data.standardize": scaled})
    late = rows.iloc[len(rows) // 2 :]
    ends = float(late[f"{column}_min"].min()), float(late[f"{column}_max"].max())
    return Span(float(late[column].mean()), *ends, int(late["networks"].min()))


def _first(signal: pd.DataFrame, scaled: bool) -> float:
    return float(hidden_layers(signal, **{"init.gain": 1.0, "data.standardize": scaled}).iloc[0]["post_std"])


def draw(tables: Tables) -> Figure:
    """Mean and standard deviation by layer, from both gains."""
    signal = hidden_layers(tables["probed.signal"])
    signal = signal.assign(inputs=signal["data.standardize"].map(INPUTS)).sort_values("inputs")
    gains = {1.0: "LeCun's weights", 0.75: "LeCun's times ¾"}
    parts = {title: signal[signal["init.gain"] == gain] for gain, title in gains.items()}
    labels = {"post_mean": "mean of activations", "post_std": "standard deviation"}
    panels = [
        Panel(title, part, column, label, log=False)
        for column, label in labels.items()
        for title, part in parts.items()
    ]
    figure = panels_by_layer(panels, by="inputs")
    for axes, (low, high) in zip(figure.axes, [(-0.6, 0.6)] * 2 + [(0.0, 1.25)] * 2, strict=True):
        axes.set_ylim(low, high)
        axes.axhline(0 if low < 0 else 1, color="0.5", linewidth=0.8, linestyle=":")
    return figure
