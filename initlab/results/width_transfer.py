"""Where the best learning rate is at each width: whether it moves as a network gets wider, or stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from initlab.base.wording import rate_text
from initlab.results.differences import RATE, label_of
from initlab.results.pooling import pool_seeds
from initlab.results.study import Study

WIDTH: Final = "model.width"
LEAST_RATES = 3


@dataclass(frozen=True)
class WidthTransfer:
    """Validation losses of a study over widths and learning rates.

    Attributes:
        points: One row a panel, width and rate: panel (what else differs, such as the initializer), width, rate, loss
            (mean over seeds on validation rows; infinite where one diverged) and best, of its width in its panel.
        verdicts: Of each panel whether its best rate moves with the width, in a sentence.
    """

    points: pd.DataFrame
    verdicts: Sequence[str]


def width_transfer(study: Study) -> WidthTransfer | None:
    """The losses of a study whose jobs differ in the width of a network and in the learning rate; None of another.

    Args:
        study: Finished jobs, as `read_study` returns them; each width has at least 3 rates in common with the others.
    """
    study = pool_seeds(study)
    differing = study.differing
    if not {WIDTH, RATE} <= set(differing) or not all(isinstance(width, int) for width in differing[WIDTH]):
        return None
    others = differing[[key for key in differing if key not in (WIDTH, RATE)]]
    losses = study.members["val_loss"].where(study.members["status"] != "diverged", np.inf)
    points = pd.DataFrame(
        {
            "panel": [label_of(others, str(job)) if len(others.columns) else "" for job in differing.index],
            "width": differing[WIDTH].astype(int),
            "rate": differing[RATE].astype(float),
            "loss": losses.groupby(study.members["job"]).mean(),
        }
    ).sort_values(["width", "rate"], ignore_index=True)
    panels = list(dict.fromkeys(points["panel"]))
    points = pd.concat([_with_best(points[points["panel"] == panel]) for panel in panels], ignore_index=True)
    kept = points.groupby("panel")[["width", "rate"]].nunique()
    shown = [panel for panel in panels if kept.loc[panel, "width"] > 1 and kept.loc[panel, "rate"] >= LEAST_RATES]
    if not shown:
        return None
    points = points[points["panel"].isin(shown)].reset_index(drop=True)
    return WidthTransfer(points, [transfer_words(panel, points[points["panel"] == panel]) for panel in shown])


def _with_best(points: pd.DataFrame) -> pd.DataFrame:
    """The points of one panel, with a column that says which rate has the least loss of its width, if any is finite."""
    least = points.groupby("width")["loss"].transform("min")
    first = ~points[points["loss"] == least].duplicated("width").reindex(points.index, fill_value=True)
    return points.assign(best=first & np.isfinite(points["loss"]))


def transfer_words(panel: str, points: pd.DataFrame) -> str:
    """Whether the best rate of a panel moves with the width, from the least to the greatest, in a sentence.

    It stays if at both widths it is the same, or the next of those that were tried: losses beside the least are close
    to it, so that chance decides between neighbours.

    Example:
        >>> rates = [0.1, 0.2, 0.4, 0.8, 1.6] * 2
        >>> best = [False, False, False, True, False, False, True, False, False, False]
        >>> points = pd.DataFrame({"width": [8] * 5 + [64] * 5, "rate": rates, "best": best})
        >>> transfer_words("he", points)
        'he: the best rate moves from 0.8 at width 8 to 0.2 at width 64.'

    Args:
        panel: Its name; empty where there is only one.
        points: Its rows of `WidthTransfer.points`.
    """
    who = f"{panel}: " if panel else ""
    best = points[points["best"]].set_index("width")["rate"].sort_index()
    widths = sorted(points["width"].unique())
    if not {widths[0], widths[-1]} <= set(best.index):
        return f"{who}at one end of the widths a network diverges at every rate, so that no best one can be named."
    narrow, wide = float(best.loc[widths[0]]), float(best.loc[widths[-1]])
    rates = sorted(points["rate"].unique())
    steps = abs(rates.index(wide) - rates.index(narrow))
    edge = [
        f"{rate_text(rate)} is the {'least' if rate == rates[0] else 'greatest'} that was tried"
        for rate in dict.fromkeys((narrow, wide))
        if rate in (rates[0], rates[-1])
    ]
    remark = f" ({'; '.join(edge)})" if edge else ""
    if steps == 0:
        words = f"stays at {rate_text(narrow)} from width {widths[0]} to width {widths[-1]}"
    else:
        how = "stays within a step of the rates tried," if steps == 1 else "moves"
        words = f"{how} from {rate_text(narrow)} at width {widths[0]} to {rate_text(wide)} at width {widths[-1]}"
    return f"{who}the best rate {words}{remark}."
