"""Xavier keeps the variance of activations and of gradients in balance for tanh?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import Panel, panels_by_layer
from initlab.lessons.reading import Span, growth, hidden_layers, named

FORWARD: Final = "post_second_moment"
BACK: Final = "gradient_second_moment"
NETS: Final = {"equal": "layers of equal width", "halving": "layers that halve"}
SIDES: Final = ("activations", "gradient")
KEPT: Final = (0.8, 1.25)  # factors a layer that count as kept
MUCH: Final = 2.0  # factor over all layers that is worth a word


def judge(tables: Tables) -> Finding:
    """The claim holds where all networks of tanh keep both, in layers of equal width and in others."""
    seen = [_sentence(net, tables[f"{key}.signal"], "tanh") for key, net in NETS.items()]
    seen.append(_sentence(NETS["equal"], tables["equal.signal"], "sigmoid"))
    networks = min(int(tables[f"{key}.signal"]["networks"].min()) for key in NETS)
    certainty = (
        f"All of {networks} networks of each kind; a factor from {KEPT[0]:g} to {KEPT[1]:g} a layer counts as kept."
    )
    factors = {key: _factors(tables[f"{key}.signal"], "tanh") for key in NETS}
    kept = [key for key in NETS if all(factor.within(*KEPT) for factor in factors[key])]
    lost = [key for key in NETS if any(factor.outside(*KEPT) for factor in factors[key])]
    far = {key: _over_all(tables[f"{key}.signal"], factors[key]) for key in kept}
    if len(kept) == len(NETS):
        where = "; ".join(f"in {NETS[key]} {words}" for key, words in far.items() if words)
        return Finding("holds", seen, certainty, f"from one layer to the next; {where}" if where else "")
    if len(kept) + len(lost) < len(NETS):
        return Finding("undecided", seen, certainty, "some networks keep both, others do not")
    if not kept:
        return Finding("does not hold", seen, certainty, "not even layers of equal width keep both")
    those = named(
        [
            f"the {SIDES[at]} ({factor.mean:.2f} a layer)"
            for at, factor in enumerate(factors[lost[0]])
            if factor.outside(*KEPT)
        ]
    )
    are = "is" if those.startswith("the gradient") else "are"
    steps = f", and there only from one layer to the next: {far[kept[0]]}. In" if far[kept[0]] else ": in"
    where = f"the net has {NETS[kept[0]]}{steps} {NETS[lost[0]]} {those} {are} not kept"
    return Finding("holds only where", seen, certainty, where)


def _over_all(signal: pd.DataFrame, factors: tuple[Span, Span]) -> str:
    """What factors that count as kept make of the activations from the first layer to the last, if that is much."""
    rows = hidden_layers(signal, activation="tanh")
    ratio = float(rows.iloc[-1][FORWARD] / rows.iloc[0][FORWARD])
    fold, way = max(ratio, 1 / ratio), "smaller" if ratio < 1 else "larger"
    if fold < MUCH:
        return ""
    return (
        f"a factor of {factors[0].mean:.2f} a layer makes the activations' mean square {fold:.0f} times {way} over "
        f"{len(rows)} layers"
    )


def _sentence(net: str, signal: pd.DataFrame, activation: str) -> str:
    forward, back = _factors(signal, activation)
    return (
        f"In {net}, with {activation}, the activations' mean square is multiplied by {forward.mean:.2f} a layer "
        f"({forward.low:.2f} to {forward.high:.2f} in single networks), the gradient's on its way back by "
        f"{back.mean:.2f} ({back.low:.2f} to {back.high:.2f})."
    )


def _factors(signal: pd.DataFrame, activation: str) -> tuple[Span, Span]:
    """Of the activations from one layer to the next, and of the gradient on its way back."""
    forward, back = (growth(signal, column, activation=activation) for column in (FORWARD, BACK))
    return forward, Span(1 / back.mean, 1 / back.high, 1 / back.low, back.networks)


def draw(tables: Tables) -> Figure:
    """Both mean squares by layer, in both nets."""
    signals = {key: hidden_layers(tables[f"{key}.signal"]) for key in NETS}
    labels = {FORWARD: "mean square of activations", BACK: "mean square of gradients"}
    panels = [Panel(NETS[key], signals[key], column, label) for column, label in labels.items() for key in NETS]
    return panels_by_layer(panels, by="activation")
