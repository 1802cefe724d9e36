"""Sections of a report on the reasons for the scores: the signal in every layer, and what theory says of it."""

from collections.abc import Collection

import pandas as pd

from initlab.base.errors import UserError
from initlab.base.wording import listed, rate_text
from initlab.figures.panels import styles
from initlab.figures.signal import signal_by_depth
from initlab.figures.signal_in_training import signal_in_training
from initlab.figures.trainability import trainability
from initlab.reporting.document import Part, Picture, Section
from initlab.results.analysis import Analysis, Condition
from initlab.results.trainability import trainability_map
from initlab.tables.store import has_table, read_table

MOST_PICTURES = 6


def signal_sections(analysis: Analysis) -> list[Section]:
    """Sections on the signal before and while training, and on the trainability map.

    There are those on the signal where jobs recorded it, and one on the map where the study makes one.
    """
    parts: list[Part] = []
    looks = styles(analysis)
    for number, condition in enumerate(analysis.conditions):
        tables = {}
        for candidate, job in analysis.candidates_under(condition)[["candidate", "job"]].to_numpy():
            signal = _signal_at_start(analysis, job) if candidate in looks else None
            if signal is not None:
                tables[str(candidate)] = signal
        if tables and len(parts) < MOST_PICTURES:
            caption = (
                f"{analysis.title(condition)}, before training: lines are measured (mean over seeds, one standard "
                "deviation to either side), dashes are mean-field theory."
            )
            figure = signal_by_depth(tables, looks, title=analysis.title(condition))
            parts.append(Picture("signal" if number == 0 else f"signal_{number + 1}", caption, figure))
    sections = [Section("Signal by depth", parts)] if parts else []
    in_training = _training_pictures(analysis)
    if in_training:
        sections.append(Section("Signal while training", in_training))
    found = trainability_map(analysis.study)
    if found is not None:
        caption = (
            "Test score by depth and weight variance, and the depth up to which theory says networks can be trained."
        )
        sections.append(Section("What can be trained", [Picture("trainability", caption, trainability(found))]))
    return sections


def _training_pictures(analysis: Analysis) -> list[Part]:
    """A picture a condition of what was recorded of the signal while the candidates trained."""
    parts: list[Part] = []
    looks = styles(analysis)
    for number, condition in enumerate(analysis.conditions):
        tables = {}
        for candidate, job in analysis.candidates_under(condition)[["candidate", "job"]].to_numpy():
            signal = _signal(analysis, job) if candidate in looks else None
            if signal is not None and signal["epoch"].nunique() > 1:
                tables[str(candidate)] = signal
        if tables and len(parts) < MOST_PICTURES:
            caption = (
                f"{analysis.title(condition)}: means over seeds and hidden layers, of sizes the geometric one; bands "
                "reach from the least layer to the greatest."
            ) + _at_which_rates(analysis, condition, tables)
            figure = signal_in_training(tables, looks, title=analysis.title(condition))
            parts.append(Picture("training" if number == 0 else f"training_{number + 1}", caption, figure))
    return parts


def _at_which_rates(analysis: Analysis, condition: Condition, shown: Collection[str]) -> str:
    """At which learning rate each candidate of a picture trained, as a sentence to append; empty if none is tuned."""
    if not analysis.axes.tuned:
        return ""
    table = analysis.candidates_under(condition)
    rates = [f"{name} {rate_text(rate)}" for name, rate in table[["candidate", "rate"]].to_numpy() if name in shown]
    return f" Each at its best learning rate: {listed(rates, len(rates))}."


def _signal_at_start(analysis: Analysis, job: str) -> pd.DataFrame | None:
    table = _signal(analysis, job)
    if table is None:
        return None
    first: pd.DataFrame = table[table["epoch"] == table["epoch"].min()]
    return first


def _signal(analysis: Analysis, job: str) -> pd.DataFrame | None:
    """The signal table of a job; None where it recorded none."""
    folder = analysis.study.folders.get(job)
    if folder is None or not has_table(folder, "signal"):
        return None
    try:
        return read_table(folder, "signal")
    except UserError:  # of another version: the tables that count are whole
        return None
