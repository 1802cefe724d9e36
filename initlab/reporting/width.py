"""Sections of a report on the width of networks: whether the best learning rate moves with it, and the signal."""

import numpy as np

from initlab.base.wording import rate_text
from initlab.figures.coord_check import coord_check_grid
from initlab.figures.width_transfer import width_transfer_curves
from initlab.reporting.document import Picture, Points, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.coord_check import coord_check
from initlab.results.width_transfer import width_transfer


def width_sections(analysis: Analysis) -> list[Section]:
    """Sections on learning rates by width and on the coordinate check, where the study has what they need."""
    return [section for section in (_transfer_section(analysis), _check_section(analysis)) if section is not None]


def width_verdicts(analysis: Analysis) -> list[str]:
    """What a study says of the width of networks, a sentence each; none where it says nothing."""
    transfer, check = width_transfer(analysis.study), coord_check(analysis.study)
    return [*(transfer.verdicts if transfer else ()), *(check.verdicts if check else ())]


def _transfer_section(analysis: Analysis) -> Section | None:
    found = width_transfer(analysis.study)
    if found is None:
        return None
    best = found.points[found.points["best"]]
    shown = best[["panel", "width"]].astype(str)
    shown["best rate"] = best["rate"].map(rate_text)
    shown["validation loss"] = best["loss"].map(lambda loss: f"{loss:.4f}")
    if not best["panel"].any():
        shown = shown.drop(columns="panel")
    caption = "Mean validation loss over seeds by learning rate and width; without rates at which a network diverged."
    return Section(
        "Learning rate and width",
        [
            Points(list(found.verdicts)),
            Picture("width_transfer", caption, width_transfer_curves(found)),
            Table("width_transfer", caption, found.points, shown.rename(columns={"panel": "networks"})),
        ],
    )


def _check_section(analysis: Analysis) -> Section | None:
    found = coord_check(analysis.study)
    if found is None:
        return None
    wide = found.slopes.pivot_table(
        index=["panel", "layer"], columns="moment", values="slope", sort=False, dropna=False
    ).sort_index(axis=1)
    shown = wide.map(lambda slope: f"{slope:+.2f}" if np.isfinite(slope) else "—").reset_index()
    shown.columns = [name if isinstance(name, str) else f"{found.unit} {name}" for name in shown.columns]
    if not shown["panel"].any():
        shown = shown.drop(columns="panel")
    caption = (
        "Root mean square of each layer's pre-activations by the width of the network, before training and after some "
        f"{found.unit}s; geometric mean over seeds."
    )
    slopes = "Slopes of the logarithm of these sizes over that of the width: 0 is flat; — where a size is 0."
    return Section(
        "Signal and width",
        [
            Points(list(found.verdicts)),
            Picture("coord_check", caption, coord_check_grid(found)),
            Table("coord_check", slopes, found.points, shown.rename(columns={"panel": "networks"})),
        ],
    )
