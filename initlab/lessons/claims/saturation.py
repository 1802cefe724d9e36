"""With large weights tanh and sigmoid saturate, so that gradients fade?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import Panel, panels_by_layer
from initlab.lessons.reading import hidden_layers, in_percent, named

NAMES: Final = ("tanh", "sigmoid")
GRADIENT: Final = "weight_gradient_norm"


def judge(tables: Tables) -> Finding:
    """The claim holds where larger weights saturate all layers more, and leave the first one less gradient."""
    signal = tables["probed.signal"]
    gains = sorted(signal["init.gain"].unique())
    small, large = ({name: _at(signal, name, gain) for name in NAMES} for gain in (gains[0], gains[-1]))
    seen = [
        f"With {gains[-1]:g} times LeCun's weights at least {in_percent(large[name]['saturated'].min())} of the {name} "
        f"units of each layer are saturated; with LeCun's own at most {in_percent(small[name]['saturated'].max())}."
        for name in NAMES
    ]
    lengths = named([f"from {_first(small[name]):.2g} to {_first(large[name]):.2g} ({name})" for name in NAMES])
    seen.append(
        f"As the weights grow from LeCun's own to {gains[-1]:g} times those, the length of the gradient of the first "
        f"layer's weights goes {lengths}."
    )
    networks = int(signal["networks"].min())
    certainty = f"All of {networks} networks of each kind; saturated: a slope under 5 % of the steepest."
    if any(
        (large[name]["saturated_min"].to_numpy() <= small[name]["saturated_max"].to_numpy()).any() for name in NAMES
    ):
        return Finding("undecided", seen, certainty, "larger weights do not saturate more units in all networks")
    fades = [name for name in NAMES if _first(large[name], "_max") < _first(small[name], "_min")]
    grows = [name for name in NAMES if _first(large[name], "_min") > _first(small[name], "_max")]
    if len(fades) + len(grows) < len(NAMES):
        return Finding("undecided", seen, certainty, "the gradient fades in some networks, and grows in others")
    if not grows:
        return Finding("holds", seen, certainty)
    if not fades:
        return Finding("does not hold", seen, certainty, "units saturate, and yet the gradient grows with the weights")
    return Finding("holds only where", seen, certainty, f"the activation is {named(fades)}")


def _at(signal: pd.DataFrame, activation: str, gain: float) -> pd.DataFrame:
    return hidden_layers(signal, activation=activation, **{"init.gain": gain})


def _first(rows: pd.DataFrame, end: str = "") -> float:
    """The length of the gradient of the first layer's weights."""
    return float(rows.iloc[0][f"{GRADIENT}{end}"])


def draw(tables: Tables) -> Figure:
    """Saturated share and gradient by layer."""
    signal = hidden_layers(tables["probed.signal"]).sort_values("init.gain")
    signal = signal.assign(weights=signal["init.gain"].map("LeCun's × {:g}".format))
    parts = {name: signal[signal["activation"] == name] for name in NAMES}
    shares = [Panel(name, part, "saturated", "share of saturated units", log=False) for name, part in parts.items()]
    lengths = [Panel(name, part, GRADIENT, "length of the weights' gradient") for name, part in parts.items()]
    return panels_by_layer([*shares, *lengths], by="weights")
