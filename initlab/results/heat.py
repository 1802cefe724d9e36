"""Scores over two swept axes."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from initlab.base.wording import shortest
from initlab.results.analysis import Analysis


@dataclass(frozen=True)
class HeatMap:
    """Mean test scores over candidates and the values of one other axis.

    Attributes:
        axis: Key of the other axis, such as `activation`.
        scores: By data set, a table with candidates down and values of the axis across: mean test scores, each
            candidate at its best learning rate, a diverged member counting as 0.
        metrics: By data set, what its scores are, a name of `schema.METRICS`.
        averaged: Keys of further axes; a cell is the mean over their values.
        uneven: Whether some cells are means over more of these values than others.
    """

    axis: str
    scores: Mapping[str, pd.DataFrame]
    metrics: Mapping[str, str]
    averaged: tuple[str, ...]
    uneven: bool


def heat_maps(analysis: Analysis) -> list[HeatMap]:
    """A heat map for each axis that conditions differ in, beside the data set; none for a single candidate."""
    if len(analysis.by_overall_rank) < 2:
        return []
    return [_heat_map(analysis, axis) for axis in analysis.axes.conditions]


def _heat_map(analysis: Analysis, axis: str) -> HeatMap:
    table = analysis.candidates
    values = analysis.study.differing.loc[table["job"], axis]
    ordered = _ordered(values)
    table = table.assign(value=values.map(shortest).to_numpy())
    scores, metrics = {}, {}
    for data, part in table.groupby("data", sort=False):
        cells = part.pivot_table(index="candidate", columns="value", values="test", aggfunc="mean")
        rows = [name for name in analysis.by_overall_rank if name in cells.index]
        scores[str(data)] = cells.loc[rows, [name for name in ordered if name in cells.columns]]
        metrics[str(data)] = str(part["metric"].iloc[0])
    counts = table.groupby(["data", "candidate", "value"]).size().groupby("data").nunique()
    averaged = tuple(other for other in analysis.axes.conditions if other != axis)
    return HeatMap(axis, scores, metrics, averaged, bool((counts > 1).any()))


def _ordered(values: pd.Series) -> list[str]:
    """Distinct values as text: numbers by size, words as they came."""
    distinct = list(dict.fromkeys(values))
    if all(isinstance(value, int | float) for value in distinct):
        distinct.sort()
    return [shortest(value) for value in distinct]
