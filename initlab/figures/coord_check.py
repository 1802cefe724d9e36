"""The size of each layer's signal against the width of a network, before training and after some steps."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from initlab.figures.looks import LOOKS
from initlab.figures.panels import grid_of
from initlab.figures.style import in_lines, literal
from initlab.results.coord_check import CoordCheck

MOST_ROWS = 6
MOST_LAYERS = 12


def coord_check_grid(found: CoordCheck) -> Figure:
    """Draw the sizes, as in appendix D.1 of Yang & Hu 2021, arXiv:2203.03466: moments side by side, a line a layer.

    A size of 0 is not drawn.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.coord_check import coord_check_grid
        >>> from initlab.results.coord_check import coord_check
        >>> from initlab.results.study import read_study
        >>> found = coord_check(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> coord_check_grid(found).savefig("coord_check.png")  # doctest: +SKIP

    Args:
        found: As `results.coord_check.coord_check` returns it, if that is not None; the first 6 of what is compared
            make a row of panels each. Of more than 12 layers 12 are drawn, evenly chosen, the last among them.
    """
    names = list(dict.fromkeys(found.points["panel"]))[:MOST_ROWS]
    moments = sorted(found.points["moment"].unique())
    layers = list(dict.fromkeys(found.points["layer"]))
    if len(layers) > MOST_LAYERS:
        layers = [layers[place] for place in np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int)]
    size = (2.2, 2.2)
    figure, panels = grid_of(
        len(names) * len(moments), size, beside=(1.6, 0.4), across=len(moments), sharex=True, sharey=True
    )
    for place, panel in enumerate(panels):
        name, moment = names[place // len(moments)], moments[place % len(moments)]
        rows = found.points[(found.points["panel"] == name) & (found.points["moment"] == moment)]
        for layer, look in zip(layers, LOOKS, strict=False):
            line = rows[rows["layer"] == layer]
            sizes = line["size"].where((line["size"] > 0) & np.isfinite(line["size"])).to_numpy(np.float64)
            panel.plot(line["width"], sizes, color=look.color, linestyle=look.dash, marker=".", label=literal(layer))
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_title(in_lines(f"{name}, {found.unit} {moment}" if name else f"{found.unit} {moment}"), fontsize=9)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("width", fontsize=10)
    figure.supylabel("root mean square of pre-activations", fontsize=10)
    handles = [
        Line2D([], [], color=look.color, linestyle=look.dash, label=literal(layer))
        for layer, look in zip(layers, LOOKS, strict=False)
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small")
    return figure
