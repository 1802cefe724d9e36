"""Sections of a report on other axes than the candidates, and on ranks across data sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from initlab.base.wording import counted, interval_text, listed, p_words, settled, shortest
from initlab.figures.critical_difference import critical_difference_diagram
from initlab.figures.heat import heat_map
from initlab.figures.looks import Look
from initlab.figures.numeric_axis import score_along_axis
from initlab.figures.panels import styles
from initlab.reporting.cells import with_level
from initlab.reporting.document import Paragraph, Picture, Section, Table
from initlab.reporting.words import reach_words
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent, significance
from initlab.results.heat import HeatMap, heat_maps
from initlab.results.numeric_axes import NumericAxis, numeric_axes


def numeric_axis_sections(analysis: Analysis) -> list[Section]:
    """Scores along each swept axis of numbers, such as depth."""
    sections = []
    for found in numeric_axes(analysis):
        at_best = ", each at its best learning rate" if analysis.axes.tuned else ""
        caption = f"Mean test score against {found.key}, with {percent(analysis.level)} intervals over seeds{at_best}."
        name = f"along_{_file_name(found.key)}"
        shown = found.points[["panel", "line", "value"]].map(shortest)
        ends = found.points[["score", "low", "high"]].to_numpy(np.float64)
        shown["test score"] = [interval_text(*row) for row in ends]
        reached = reach_words(found)
        sections.append(
            Section(
                f"Score against {found.key}",
                [
                    *([Paragraph(reached)] if reached else []),
                    Picture(name, caption, score_along_axis(found, _looks(analysis, found))),
                    Table(name, caption, with_level(analysis, found.points), shown, folded=True),
                ],
            )
        )
    return sections


def _looks(analysis: Analysis, found: NumericAxis) -> dict[str, Look] | None:
    """The looks of an axis' lines, where these are candidates."""
    return styles(analysis) if set(found.lines) <= set(analysis.by_overall_rank) else None


def _file_name(key: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in key)


def heat_sections(analysis: Analysis) -> list[Section]:
    """Sections with the scores of candidates over the values of another axis, one for each axis."""
    return [_heat_section(analysis, found) for found in heat_maps(analysis)]


def _heat_section(analysis: Analysis, found: HeatMap) -> Section:
    rest = f"; mean over {listed(list(found.averaged))}" if found.averaged else ""
    if found.uneven:
        rest += ", of which some cells have more values than others: compare with care"
    at_best = ", each at its best learning rate" if analysis.axes.tuned else ""
    caption = f"Mean test score by candidate and {found.axis}{at_best}{rest}. A diverged network counts as 0."
    rows = [
        (data, candidate, value, score)
        for data, table in found.scores.items()
        for candidate, scores in table.iterrows()
        for value, score in scores.items()
    ]
    cells = pd.DataFrame(rows, columns=["data", "candidate", "value", "test"]).assign(axis=found.axis)
    values = list(dict.fromkeys(cells["value"]))
    wide = [
        [data, candidate, *(_cell(dict(scores), value) for value in values)]
        for data, table in found.scores.items()
        for candidate, scores in table.iterrows()
    ]
    name = _file_name(found.axis)
    return Section(
        f"Candidate × {found.axis}",
        [
            Picture(f"heat_{name}", caption, heat_map(found)),
            Table(
                f"heat_{name}", caption, cells, pd.DataFrame(wide, columns=["data", "candidate", *values]), folded=True
            ),
        ],
    )


def _cell(scores: Mapping[Any, float], value: str) -> str:
    """A score as text, a dash where there is none."""
    score = scores.get(value, np.nan)
    return f"{settled(score):.3f}" if np.isfinite(score) else "—"


def ranks_section(analysis: Analysis) -> Section | None:
    """The section on ranks across data sets; None where there are no ranks."""
    ranks = analysis.ranks
    if ranks is None:
        return None
    order = np.argsort(ranks.mean, kind="stable")
    data = pd.DataFrame({"candidate": np.array(analysis.ranked)[order], "mean_rank": ranks.mean[order]})
    shown = pd.DataFrame({"candidate": data["candidate"], "mean rank": [f"{rank:.2f}" for rank in data["mean_rank"]]})
    f = f"{ranks.iman_davenport:.2f}" if np.isfinite(ranks.iman_davenport) else "∞"
    tests = (
        f"Friedman χ² = {ranks.friedman:.2f} ({p_words(ranks.friedman_p)}; by permutation "
        f"{p_words(ranks.permutation_p)}), "
        f"Iman and Davenport F = {f} ({p_words(ranks.iman_davenport_p)}), Nemenyi's critical difference at "
        f"{percent(significance(analysis.level))}: {ranks.critical_difference:.2f}. The samples are the "
        f"{ranks.data_sets} data sets, not the seeds."
    )
    if ranks.data_sets < 6:
        tests += " The laws of χ² and F are rough for so few; the permutation is not."
    within = f" Over {listed(list(analysis.axes.conditions))}, ranks were averaged." if analysis.axes.conditions else ""
    missing = len(analysis.by_overall_rank) - len(analysis.ranked)
    absent = f" {counted(missing, 'candidate')} not on all data sets left out." if missing else ""
    return Section(
        "Across data sets",
        [
            Picture(
                "critical_difference",
                "Mean ranks, 1 the best." + within + absent,
                critical_difference_diagram(analysis),
            ),
            Paragraph(tests),
            Table("ranks", "Mean ranks over data sets.", data, shown, folded=True),
        ],
    )
