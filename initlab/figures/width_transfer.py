"""Validation loss against learning rate, a curve for each width of a network."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from initlab.figures.panels import MOST_PANELS, grid_of
from initlab.figures.style import in_lines
from initlab.results.width_transfer import WidthTransfer

LIGHTEST = 0.85  # of the colour map, whose end is too light for lines on white


def width_transfer_curves(found: WidthTransfer) -> Figure:
    """Draw the losses, as figure 1 of Yang & Hu 2021, arXiv:2203.03466; a ring marks each width's best rate.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.width_transfer import width_transfer_curves
        >>> from initlab.results.study import read_study
        >>> from initlab.results.width_transfer import width_transfer
        >>> found = width_transfer(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> width_transfer_curves(found).savefig("width_transfer.png")  # doctest: +SKIP

    Args:
        found: As `results.width_transfer.width_transfer` returns it, if that is not None; the first 12 panels are
            drawn.
    """
    names = list(dict.fromkeys(found.points["panel"]))[:MOST_PANELS]
    widths = sorted(found.points["width"].unique())
    colors = colormaps["viridis"](np.linspace(0, LIGHTEST, len(widths)))
    figure, panels = grid_of(len(names), (3.6, 3.0), beside=(1.4, 0.4), sharex=True, sharey=True)
    for name, panel in zip(names, panels, strict=True):
        for width, color in zip(widths, colors, strict=True):
            rows = found.points[(found.points["panel"] == name) & (found.points["width"] == width)]
            rates = rows["rate"].to_numpy(np.float64)
            losses = rows["loss"].where(np.isfinite(rows["loss"])).to_numpy(np.float64)
            panel.plot(rates, losses, color=color, linewidth=1.8, marker=".", label=str(width))
            best = rows["best"].to_numpy(bool)
            panel.plot(rates[best], losses[best], "o", color=color, markerfacecolor="white", markersize=8, zorder=3)
        panel.set_xscale("log")
        if (found.points["loss"] > 0).all():
            panel.set_yscale("log")
        panel.set_title(in_lines(name), fontsize=10)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("learning rate (ring: the best of its width)", fontsize=10)
    figure.supylabel("validation loss", fontsize=10)
    handles = [Line2D([], [], color=color, label=str(width)) for width, color in zip(widths, colors, strict=True)]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize="small", title="width")
    return figure
