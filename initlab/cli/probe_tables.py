"""Tables of a probe for the terminal: what was measured in the layers of a job, and what it means for each job."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from initlab.cli.tables import fitting
from initlab.propagation.verdict import Verdict

MOST_LINES = 12  # of a table; the files have all layers
# By the title of each column, what it shows. Titles differ in their spaces alone where several are called theory.
NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        "pre-\nactivation²": "pre_second_moment",
        "theory": "predicted_second_moment",
        "gradient²": "gradient_second_moment",
        "theory ": "predicted_gradient_second_moment",
        "correlation": "correlation",
        "theory  ": "predicted_correlation",
    }
)
SHARES = ("dead", "saturated")
EXPENDABLE = ("theory  ", "dead", "correlation", "theory ", "theory", "saturated")  # the first is left out first
STYLES: Mapping[str, str] = MappingProxyType({"trainable": "green", "hard to train": "yellow", "not trainable": "red"})


def layer_table(heading: str, signal: pd.DataFrame, *, width: int, all_in: str) -> Table:
    """What was measured in some layers of a job, means over its members, with the predictions beside.

    Columns in which there is nothing are left out; and of the others whole ones, where they do not fit.

    Args:
        heading: What to call the job.
        signal: The job's signal table.
        width: Of the terminal, in characters.
        all_in: The file that has all layers and columns.
    """
    means = signal.groupby("position").mean(numeric_only=True)
    names = signal.groupby("position")["layer"].first()
    chosen = means.iloc[np.unique(np.linspace(0, len(means) - 1, min(MOST_LINES, len(means))).round().astype(int))]
    columns = {"layer": [f"{number}  {escape(str(names[number]))}" for number in chosen.index]}
    columns |= {title: [_number(value) for value in chosen[column]] for title, column in NUMBERS.items()}
    columns |= {name: [f"{value:.0%}" if np.isfinite(value) else "" for value in chosen[name]] for name in SHARES}
    empty = {title for title, column in NUMBERS.items() if chosen[column].isna().all()}
    empty |= {name for name in SHARES if chosen[name].isna().all()}
    there = {title: cells for title, cells in columns.items() if title not in empty}
    shown = fitting(there, width, expendable=EXPENDABLE)
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for title in shown:
        style = "dim" if title.startswith("theory") else ""
        if title == "layer":
            table.add_column("layer", overflow="fold", vertical="bottom")
        else:
            table.add_column(title.rstrip(" "), justify="right", no_wrap=True, style=style)
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    left = [f"{len(chosen)} of {len(means)} layers"] if len(chosen) < len(means) else []
    left += ["more columns in a wider terminal"] if len(shown) < len(there) else []
    if left:
        table.caption, table.caption_justify = f"{'; '.join(left)}; all in {all_in}", "left"
    return table


def verdict_table(verdicts: Sequence[tuple[str, Verdict]]) -> Table:
    """One row a job: what to call it, and its verdict."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("outlook", no_wrap=True)
    table.add_column("why", overflow="fold")
    for label, verdict in verdicts:
        outlook = f"[{STYLES[verdict.outlook]}]{verdict.outlook}[/]"
        table.add_row(escape(label), outlook, escape(verdict.reason))
    return table


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "—" if np.isnan(value) else f"{value}"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
