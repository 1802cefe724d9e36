"""What the tables of a report have in common: columns of text."""

import pandas as pd

from initlab.base.wording import interval_text
from initlab.figures.panels import MOST_LABELLED, MOST_PANELS
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent, significance
from initlab.tables.schema import METRICS

CONDITION_HEADINGS = ("data", "metric", "setting")


def condition_columns(analysis: Analysis, table: pd.DataFrame) -> pd.DataFrame:
    """The columns that tell the condition of a row: those in which the conditions of the study differ.

    Args:
        analysis: As `analyse` returns it.
        table: A table with the columns data, metric and setting, whose rows are told.
    """
    shown = pd.DataFrame(index=table.index)
    if analysis.candidates["data"].nunique() > 1:
        shown["data"] = table["data"]
    if analysis.candidates["metric"].nunique() > 1:
        shown["metric"] = table["metric"].map(dict(METRICS))
    if analysis.candidates["setting"].nunique() > 1:
        shown["setting"] = table["setting"]
    return shown


def intervals(table: pd.DataFrame, name: str) -> list[str]:
    """A column as text with its interval, `0.972 [0.961, 0.983]`, from `name`, `name`_low and `name`_high."""
    columns = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [interval_text(*row) for row in columns]


def score_name(analysis: Analysis) -> str:
    """What to call the test scores: `test accuracy`, or `test score` where they are of several kinds."""
    metrics = list(analysis.candidates["metric"].unique())
    return f"test {METRICS[metrics[0]]}" if len(metrics) == 1 else "test score"


def level_words(analysis: Analysis) -> str:
    """What brackets hold, and below which p one is better, in sentences; empty where no number has an interval."""
    if not analysis.candidates["score_low"].notna().any():
        return ""
    below = f"{significance(analysis.level):g}"
    tests = f" A candidate is better where p, corrected for all pairs, is below {below}." if len(analysis.pairs) else ""
    return f"Brackets hold {percent(analysis.level)} intervals.{tests}"


def with_level(analysis: Analysis, data: pd.DataFrame) -> pd.DataFrame:
    """A table of numbers for a CSV file, with the confidence level of its intervals as a column."""
    return data.assign(confidence_level=analysis.level)


def which_panels(analysis: Analysis) -> str:
    """What a figure of panels leaves out, as sentences to append to its caption; empty if nothing."""
    left = []
    if len(analysis.conditions) > MOST_PANELS:
        left.append(f" The first {MOST_PANELS} of {len(analysis.conditions)} conditions.")
    if len(analysis.by_overall_rank) > MOST_LABELLED:
        left.append(f" The {MOST_LABELLED} candidates with the best mean rank are in colour.")
    return "".join(left)
