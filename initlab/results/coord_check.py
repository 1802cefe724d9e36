"""The coordinate check: how the size of each layer's signal depends on the width of a network while it trains."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from initlab.base.errors import UserError
from initlab.base.wording import listed
from initlab.results.differences import label_of
from initlab.results.pooling import pool_seeds
from initlab.results.study import Study
from initlab.results.width_transfer import WIDTH
from initlab.tables.store import has_table, read_table

FLAT: Final = 0.05  # the largest slope of log size against log width that counts as none
LEAST_WIDTHS = 3
MOST_MOMENTS = 6


@dataclass(frozen=True)
class CoordCheck:
    """Sizes of signals by width.

    Attributes:
        points: One row a panel, layer, moment and width: panel (what differs but for the width), layer, moment
            (epochs trained), width and size: the root mean square of the layer's pre-activations over units and rows,
            of several seeds the geometric mean.
        slopes: One row a panel, layer and moment, with slope: of log size against log width; NaN where a size is 0 or
            not finite.
        unit: What moments count: `step` where an epoch is one, else `epoch`.
        verdicts: Of each panel whether sizes are flat, in a sentence.
    """

    points: pd.DataFrame
    slopes: pd.DataFrame
    unit: str
    verdicts: Sequence[str]


def coord_check(study: Study) -> CoordCheck | None:
    """The check of a study that recorded the signal at 3 widths or more, at more than one moment; None of another.

    Args:
        study: Finished jobs, as `read_study` returns them.
    """
    study = pool_seeds(study)
    differing = study.differing
    if WIDTH not in differing or not all(isinstance(width, int) for width in differing[WIDTH]):
        return None
    others = differing[[key for key in differing if key != WIDTH]]
    widths = {str(job): int(width) for job, width in differing[WIDTH].items()}
    tables = []
    for job, folder in study.folders.items():
        if job not in widths or not has_table(folder, "signal"):
            continue
        try:
            signal = read_table(folder, "signal")
        except UserError:  # of another version
            continue
        panel = label_of(others, job) if len(others.columns) else ""
        tables.append(signal.assign(panel=panel, width=widths[job]))
    return None if not tables else check_of(pd.concat(tables, ignore_index=True), "step" if _steps(study) else "epoch")


def check_of(signal: pd.DataFrame, unit: str) -> CoordCheck | None:
    """The check of signal tables with two more columns, panel and width; see `coord_check`.

    Args:
        signal: Columns as in `tables.schema.SIGNAL`, and these.
        unit: What its epochs are called.
    """
    moments = [0, *(2**power for power in range(31))]
    last = signal["epoch"].max()
    signal = signal[signal["epoch"].isin([*[moment for moment in moments if moment <= last][-MOST_MOMENTS:], 0, last])]
    with np.errstate(divide="ignore"):
        logs = 0.5 * np.log(signal["pre_second_moment"].astype(float))
    keys = ["panel", "position", "layer", "epoch", "width"]
    points = signal.assign(size=logs).groupby(keys, sort=False)["size"].mean().reset_index()
    points = points.sort_values(["position", "epoch", "width"], kind="stable", ignore_index=True)
    widths = points.groupby("panel")["width"].nunique()
    kept = [panel for panel in dict.fromkeys(signal["panel"]) if widths[panel] >= LEAST_WIDTHS]
    points = points[points["panel"].isin(kept)]
    if not kept or points["epoch"].nunique() < 2:
        return None
    slopes = pd.DataFrame(
        [
            {"panel": panel, "layer": layer, "moment": moment, "slope": _slope(rows["width"], rows["size"])}
            for (panel, layer, moment), rows in points.groupby(["panel", "layer", "epoch"], sort=False)
        ]
    )
    points = points.assign(size=np.exp(points["size"])).rename(columns={"epoch": "moment"}).drop(columns="position")
    verdicts = [check_words(panel, slopes[slopes["panel"] == panel], unit) for panel in kept]
    return CoordCheck(points.reset_index(drop=True), slopes, unit, verdicts)


def _slope(widths: pd.Series, logs: pd.Series) -> float:
    if not np.isfinite(logs).all():
        return float("nan")
    return float(np.polyfit(np.log(widths.to_numpy(np.float64)), logs.to_numpy(np.float64), 1)[0])


def _steps(study: Study) -> bool:
    """Whether an epoch is a single step: a batch takes all training rows."""
    rows = [study.metadata.get(job, {}).get("training_rows") for job in study.configs]
    sizes = [config.get("batch_size") for config in study.configs.values()]
    return all(count and size and count <= size for count, size in zip(rows, sizes, strict=True))


def check_words(panel: str, slopes: pd.DataFrame, unit: str = "step") -> str:
    """Whether the sizes of a panel are flat over widths once training has begun, in a sentence.

    They are if from some moment on each layer's size is as width to a power within ±.05. From a readout of 0 the very
    first step moves that alone, by sums of random signs, so that it need not be flat.

    Args:
        panel: Its name; empty where there is only one.
        slopes: Its rows of `CoordCheck.slopes`.
        unit: What moments count.
    """
    who = f"{panel}: " if panel else ""
    trained = slopes[slopes["moment"] > 0]
    steep = trained[~(trained["slope"].abs() <= FLAT)]
    moments = sorted(trained["moment"].unique())
    flat = [moment for moment in moments if not len(steep) or moment > steep["moment"].max()]
    if flat:
        rest = trained[trained["moment"].isin(flat)]
        most = rest.sort_values("slope", key=abs).iloc[-1]
        return (
            f"{who}flat from {unit} {flat[0]} on: every layer's size is as width to a power within ±{FLAT:g} "
            f"(the steepest: {most['layer']}, {most['slope']:+.2f} after {unit} {most['moment']})."
        )
    end = trained[trained["moment"] == moments[-1]]
    moved = end[~(end["slope"].abs() <= FLAT)]
    each = [
        f"{layer} is 0 or not finite at some width"
        if np.isnan(slope)
        else f"{layer} {'grows' if slope > 0 else 'falls'} as width^{slope:.2f}"
        for layer, slope in moved[["layer", "slope"]].to_numpy()
    ]
    return f"{who}not flat: after {unit} {moments[-1]}, {listed(each, len(each))}."
