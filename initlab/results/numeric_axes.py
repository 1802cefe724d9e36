"""Scores along each swept axis of numbers: depth, width, a scheme's standard deviation, and so on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.results.analysis import Analysis
from initlab.results.baseline import baseline_of_job, has_learned
from initlab.results.differences import label_of

PARTS = ("panel", "line")
LEAST_VALUES = 3  # of fewer there is no curve, but two show whether candidates keep their order


@dataclass(frozen=True)
class NumericAxis:
    """Test scores along one key whose values are numbers.

    Attributes:
        key: The configuration key, such as `model.depth`.
        points: One row a candidate and condition: panel (data set and the other conditions), metric, line (what is
            compared, but for the key), value, score with low and high (mean and interval over the members that
            did not diverge), diverged, seeds and learned (whether it is clearly above what knowing nothing scores;
            missing where that is not known); by panel, line and value, panels in the order of their values.
        lines: Names of the lines, those that are candidates by themselves in their order overall.
        level: Confidence level of the intervals.
        innermost: How many values the last factor has, where panels are all combinations of several: so many side by
            side make a grid of the factors; else None.
    """

    key: str
    points: pd.DataFrame
    lines: tuple[str, ...]
    level: float
    innermost: int | None = None


def numeric_axes(analysis: Analysis) -> list[NumericAxis]:
    """The axes of numbers, but for the learning rate, which each candidate has its best of.

    An axis along which candidates are compared takes two values, and one that is compared itself takes three.
    """
    differing = analysis.study.differing.loc[analysis.candidates["job"]]
    least = {
        **dict.fromkeys(analysis.axes.conditions, 2),
        **dict.fromkeys(analysis.axes.compared, LEAST_VALUES),
    }
    return [_axis(analysis, key) for key, count in least.items() if _is_numeric(differing[key], count)]


def _is_numeric(values: pd.Series, least: int) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers and values.nunique() >= least


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
        learned=pd.Series([_learned(analysis, row) for _, row in table.iterrows()], index=table.index, dtype=object),
        panel=panels,
        line=labels["line"],
        value=differing.loc[table["job"], key].astype(float).to_numpy(),
    )
    found = list(dict.fromkeys(points["line"]))
    ranked = [name for name in analysis.by_overall_rank if name in found]
    lines = (*ranked, *(name for name in found if name not in ranked))
    places = {
        part: {name: k for k, name in enumerate(dict.fromkeys(panels if part == "panel" else lines))} for part in PARTS
    }
    order = {f"_{part}": points[part].map(places[part]) for part in PARTS}
    points = points.assign(**order).sort_values([*order, "value"], kind="stable", ignore_index=True)
    factors = differing.loc[table["job"], list(parts["setting"])].astype(str).assign(data=table["data"].to_numpy())
    return NumericAxis(key, points.drop(columns=list(order)), lines, analysis.level, _innermost(factors))


def _learned(analysis: Analysis, candidate: pd.Series) -> bool | None:
    """Whether a candidate is above what knowing nothing scores, with its interval; None where nobody can tell.

    Args:
        analysis: As `analyse` returns it.
        candidate: A row of its candidates.
    """
    baseline = baseline_of_job(analysis.study, str(candidate["job"]))
    if not math.isfinite(baseline) or candidate["seeds"] == 1:
        return None
    return math.isfinite(candidate["score_low"]) and has_learned(candidate, baseline)


def _innermost(factors: pd.DataFrame) -> int | None:
    """How many values the last of several factors has, if all combinations are there; else None.

    Args:
        factors: One row a point, one column a factor, data the last; those that have a single value do not count.
    """
    counts = factors[["data", *factors.columns[:-1]]].nunique()
    several = counts[counts > 1]
    whole = len(factors.drop_duplicates()) == several.prod()
    return int(several.iloc[-1]) if len(several) > 1 and whole else None
