"""The trainability map: a heat map of scores over depth and weight variance, with theory's limit drawn over it."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from initlab.results.trainability import TrainabilityMap
from initlab.tables.schema import METRICS


def trainability(found: TrainabilityMap) -> Figure:
    """Draw the map, as figure 5 of Schoenholz et al. 2017, arXiv:1611.01232.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.trainability import trainability
        >>> from initlab.results.study import read_study
        >>> from initlab.results.trainability import trainability_map
        >>> found = trainability_map(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> trainability(found).savefig("trainability.png")  # doctest: +SKIP

    Args:
        found: As `results.trainability.trainability_map` returns it, if that is not None.
    """
    figure = Figure(figsize=(6.8, 4.8), layout="constrained")
    panel = figure.subplots()
    depths, variances = (axis.to_numpy(np.float64) for axis in (found.scores.index, found.scores.columns))
    scores = found.scores.to_numpy(np.float64)
    mesh = panel.pcolormesh(_edges(variances), _edges(depths), scores, cmap="cividis", vmin=0, vmax=1)
    top = float(_edges(depths)[-1])
    theory = found.theory["depth"].where(found.theory["depth"] < 2 * top)
    panel.plot(
        found.theory["weight_variance"],
        theory,
        color="white",
        linestyle="--",
        linewidth=2,
        path_effects=[Stroke(linewidth=4, foreground="black"), Normal()],
        label="theory: 6 ξ_c",
    )
    panel.set_ylim(float(_edges(depths)[0]), top)
    panel.set_xlim(float(_edges(variances)[0]), float(_edges(variances)[-1]))
    panel.set_xlabel(f"weight variance σ_w² ({found.activation}, σ_b² = {found.bias_variance:.3g})")
    panel.set_ylabel("depth, hidden layers")
    panel.legend(loc="upper right", framealpha=0.9)
    figure.colorbar(mesh, label=f"test {METRICS[found.metric]}")
    return figure


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges of cells around ascending centres: halfway between two, and as far beyond the outermost."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
