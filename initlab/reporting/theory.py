"""Sections of a report on the reasons for the scores: the signal in every layer, and what theory says of it."""

import pandas as pd

from initlab.base.errors import UserError
from initlab.figures.signal import signal_by_depth
from initlab.figures.trainability import trainability
from initlab.reporting.document import Part, Picture, Section
from initlab.results.analysis import Analysis
from initlab.results.trainability import trainability_map
from initlab.tables.store import read_table

MOST_PICTURES = 6
MOST_LINES = 12


def signal_sections(analysis: Analysis) -> list[Section]:
    """Sections on the signal before training and on the trainability map.

    There is one on the signal where jobs recorded it, and one on the map where the study makes one.
    """
    parts: list[Part] = []
    for number, condition in enumerate(analysis.conditions):
        tables = {}
        for candidate, job in analysis.candidates_under(condition).head(MOST_LINES)[["candidate", "job"]].to_numpy():
            signal = _signal_at_start(analysis, job)
            if signal is not None:
                tables[candidate] = signal
        if tables and len(parts) < MOST_PICTURES:
            caption = (
                f"{analysis.title(condition)}, before training: lines are measured (mean over seeds, one standard "
                "deviation to either side), dashes are mean-field theory."
            )
            figure = signal_by_depth(tables, title=analysis.title(condition))
            parts.append(Picture("signal" if number == 0 else f"signal_{number + 1}", caption, figure))
    sections = [Section("Signal by depth", parts)] if parts else []
    found = trainability_map(analysis.study)
    if found is not None:
        caption = (
            "Test score by depth and weight variance, and the depth up to which theory says networks can be trained."
        )
        sections.append(Section("What can be trained", [Picture("trainability", caption, trainability(found))]))
    return sections


def _signal_at_start(analysis: Analysis, job: str) -> pd.DataFrame | None:
    folder = analysis.study.folders.get(job)
    if folder is None or not (folder / "signal.parquet").exists():
        return None
    try:
        table = read_table(folder, "signal")
    except UserError:  # of another version: the tables that count are whole
        return None
    first: pd.DataFrame = table[table["epoch"] == table["epoch"].min()]
    return first
