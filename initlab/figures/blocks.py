"""What the blocks of a transformer do before any training."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from initlab.figures.looks import LOOKS, Look, looks_of, mark_equal
from initlab.figures.style import literal

MOST_SHOWN = len(LOOKS)
PANELS = {
    "stream_second_moment": "mean square of the residual stream",
    "token_spread": "share that differs between tokens",
    "attention_entropy": "entropy of attention (1: even)",
}


def blocks_by_depth(tables: Mapping[str, pd.DataFrame], looks: Mapping[str, Look] | None = None) -> Figure:
    """Draw the residual stream, how unlike its tokens are, and the entropy of attention, block by block.

    A line is the mean over members, of sizes the geometric one. Block 0 is what enters the first.

    Args:
        tables: By label, tables with the columns of `tables.schema.BLOCKS`, each of one job: a line each.
        looks: How the lines look, by label; None: as `looks_of` says.
    """
    looks = looks_of(tables) if looks is None else looks
    figure = Figure(figsize=(10.8, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    shown = dict(list(tables.items())[:MOST_SHOWN])
    for panel, (column, title) in zip(panels, PANELS.items(), strict=True):
        size, lines = column == "stream_second_moment", {}
        for label, table in shown.items():
            values = table[column].astype(float)
            of_blocks = (values.where(values > 0).map(math.log) if size else values).groupby(table["position"]).mean()
            heights = (of_blocks.map(math.exp) if size else of_blocks).to_numpy(np.float64)
            if not np.isfinite(heights).any():
                continue
            (lines[label],) = panel.plot(
                np.arange(len(heights)), heights, color=looks[label].color, linestyle=looks[label].dash, linewidth=1.8,
                marker="o", markersize=3, label=literal(label),
            )  # fmt: skip
        if size and lines:
            panel.set_yscale("log")
        elif not size:
            panel.set_ylim(-0.03, 1.03)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("block")
        mark_equal(panel, lines, least_span=1.0, factors=size)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize="small")
    return figure
