"""Two swept axes at once: a heat map of scores."""

import numpy as np
from matplotlib.figure import Figure

from initlab.base.wording import settled
from initlab.figures.panels import grid_of
from initlab.figures.style import literal
from initlab.results.heat import HeatMap
from initlab.tables.schema import METRICS

MOST_NUMBERS = 150  # cells that are large enough to be read


def heat_map(found: HeatMap) -> Figure:
    """Draw mean test score over candidates and the values of another axis, a panel a data set.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.heat import heat_map
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.heat import heat_maps
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> for found in heat_maps(analysis):  # doctest: +SKIP
        ...     heat_map(found).savefig(f"{found.axis}.png")

    Args:
        found: One of the heat maps that `results.heat.heat_maps` returns.
    """
    rows, columns = (max(table.shape[side] for table in found.scores.values()) for side in (0, 1))
    size = (1.9 + 0.75 * columns, 1.0 + 0.36 * rows)
    figure, panels = grid_of(len(found.scores), size, beside=(0.8, 0.8), most=(18, 14))
    for panel, (data, table) in zip(panels, found.scores.items(), strict=True):
        values = table.to_numpy(np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        image = panel.imshow(values, cmap="cividis", vmin=low, vmax=max(high, low + 0.01), aspect="auto")
        if table.size <= MOST_NUMBERS:
            middle = (low + high) / 2
            for (i, j), value in np.ndenumerate(values):
                if np.isfinite(value):
                    ink = "black" if value > middle else "white"
                    panel.text(j, i, f"{settled(value):.3f}", ha="center", va="center", fontsize=8, color=ink)
        names = [literal(str(name)) for name in table.columns]
        panel.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
        panel.set_yticks(range(len(table)), [literal(str(name)) for name in table.index], fontsize=8)
        panel.set_xlabel(literal(found.axis))
        panel.set_title(literal(data), fontsize=10)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        figure.colorbar(image, ax=panel, label=f"test {METRICS[found.metrics[data]]}", shrink=0.9)
    return figure
