"""Scores along each swept axis of numbers: depth, width, a scheme's standard deviation, and so on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.results.analysis import Analysis
from initlab.results.differences import label_of

LEAST_VALUES = 3  # of fewer there is no curve


@dataclass(frozen=True)
class NumericAxis:
    """Test scores along one key whose values are numbers.

    Attributes:
        key: The configuration key, such as `model.depth`.
        points: One row a candidate and condition: panel (data set and the other conditions), metric, line (what is
            compared, but for the key), value, score with low and high (mean and interval over the members that
            did not diverge), diverged and seeds; by panel, line and value.
        lines: Names of the lines, those that are candidates by themselves in their order overall.
        level: Confidence level of the intervals.
    """

    key: str
    points: pd.DataFrame
    lines: tuple[str, ...]
    level: float


def numeric_axes(analysis: Analysis) -> list[NumericAxis]:
    """The axes of numbers with at least 3 values, but for the learning rate, which each candidate has its best of."""
    differing = analysis.study.differing
    keys = [*analysis.axes.conditions, *analysis.axes.compared]
    return [_axis(analysis, key) for key in keys if _is_numeric(differing.loc[analysis.candidates["job"], key])]


def _is_numeric(values: pd.Series) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and values.nunique() >= LEAST_VALUES


def _axis(analysis: Analysis, key: str) -> NumericAxis:
    table, differing = analysis.candidates, analysis.study.differing
    parts: Mapping[str, Sequence[str]] = {
        "setting": [name for name in analysis.axes.conditions if name != key],
        "line": [name for name in analysis.axes.compared if name != key],
    }
    labels = {
        part: [label_of(differing[list(keys)], str(job)) if keys else "" for job in table["job"]]
        for part, keys in parts.items()
    }
    panels = [
        f"{data}, {setting}" if setting else data
        for data, setting in zip(table["data"], labels["setting"], strict=True)
    ]
    columns = ["metric", "score", "score_low", "score_high", "diverged", "seeds"]
    points = table[columns].rename(columns={"score_low": "low", "score_high": "high"})
    points = points.assign(
        panel=panels, line=labels["line"], value=differing.loc[table["job"], key].astype(float).to_numpy()
    )
    found = list(dict.fromkeys(points["line"]))
    ranked = [name for name in analysis.by_overall_rank if name in found]
    lines = (*ranked, *(name for name in found if name not in ranked))
    order = points["line"].map({name: place for place, name in enumerate(lines)})
    points = points.assign(order=order).sort_values(["panel", "order", "value"], kind="stable", ignore_index=True)
    return NumericAxis(key, points.drop(columns="order"), lines, analysis.level)
