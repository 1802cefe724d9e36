"""Tables for the terminal: a plan, a summary, what failed and what was left out."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from initlab.base.console import say
from initlab.base.wording import interval_text, shortest
from initlab.jobs.job import Job
from initlab.results.confidence import LEVEL, percent
from initlab.sweep.plan import Schedule
from initlab.tables.schema import METRICS

MOST_ROWS = 40  # of the table in the terminal; summary.csv has all
WITHIN = re.compile(r"(?<=[_=])|(?<=[A-Za-z]\.)(?=[A-Za-z])")  # where a name is broken that is longer than a line
LEAST_ROWS = 3  # of each condition


@dataclass(frozen=True)
class Name:
    """A name in a cell, which goes on in the next line behind a comma, and not in the midst of a number.

    Where a part between commas is longer than a line, it is broken behind `_`, `=` or the dot of a key.

    Attributes:
        text: Of a job, as a folder has it, of a scheme, or of a key.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def lines(self, width: int) -> list[str]:
        """The name in lines of so many characters, as far as its parts are not longer."""
        lines = [""]
        parts = [
            piece
            for part in re.split(r"(?<=,)", self.text)
            for piece in (WITHIN.split(part) if len(part) > width else [part])
        ]
        for part in parts:
            if lines[-1] and len(lines[-1]) + len(part) > width:
                lines.append("")
            lines[-1] += part
        return lines

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Between its longest part and all of it."""
        return Measurement(max(len(part) for part in re.split(r"(?<=,)", self.text)), len(self.text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many lines as its column's width asks for."""
        yield Text("\n".join(self.lines(options.max_width)), overflow="fold")


def in_order(name: str) -> list[tuple[str, bool, float, str]]:
    """The key by which job names are sorted: numbers by their size, `optim.lr=3.16e-05` before `optim.lr=0.001`."""
    parts = (part.partition("=") for part in name.split(","))
    return [(key, *_as_number(value)) for key, _, value in parts]


def _as_number(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value


def failure_table(reasons: Mapping[str, str]) -> Table:
    """The jobs that failed, each with its reason."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("failed", overflow="fold", style="red")
    table.add_column("reason", overflow="fold")
    for name, reason in reasons.items():
        table.add_row(Name(name), escape(reason))
    return table


def show_refused(refused: Mapping[str, Sequence[str]], console: Console) -> None:
    """Print which jobs are left out, by the reason."""
    for reason, names in refused.items():
        say(console, f"left out: {reason}")
        for name in names:
            say(console, f"  {name}")


def plan_tables(finished: Sequence[Job], schedule: Schedule) -> list[Table]:
    """What a dry run shows: every job with its cohort, and every cohort.

    Args:
        finished: Jobs that are not trained again.
        schedule: The cohorts that would be trained.
    """
    jobs, sizes = Table(box=SIMPLE_HEAD, pad_edge=False), Table(box=SIMPLE_HEAD, pad_edge=False)
    jobs.add_column("job", overflow="fold")
    jobs.add_column("members", justify="right")
    jobs.add_column("cohort")
    rows: dict[str, tuple[int, list[str]]] = {job.name: (len(job.seeds), ["finished"]) for job in finished}
    for number, cohort in enumerate(schedule.cohorts, start=1):
        for share in cohort.shares:
            rows.setdefault(share.job.name, (len(share.job.seeds), []))[1].append(str(number))
    for name, (members, places) in sorted(rows.items(), key=lambda row: in_order(row[0])):
        jobs.add_row(Name(name), str(members), ", ".join(places))
    for name in ("cohort", "jobs", "members", "members × epochs", "engine", "memory"):
        sizes.add_column(name, justify="right")
    for number, cohort in enumerate(schedule.cohorts, start=1):
        engine = "vmap" if schedule.costs[cohort.program].vectorized else "loop"
        size = schedule.memory(cohort)
        counts = (number, len({share.job.name for share in cohort.shares}), cohort.members, cohort.member_epochs)
        sizes.add_row(*map(str, counts), engine, f"≈ {size / 2**20:,.0f} MiB")
    return [jobs, sizes]


def summary_table(
    summary: pd.DataFrame,
    *,
    width: int,
    best: Collection[str] | None = None,
    conditions: Mapping[str, int] | None = None,
) -> Table:
    """The summary as a table that fits a terminal, best first: whole columns are left out before one is broken.

    Args:
        summary: One row a job, as `results.summary.summarize` returns it.
        width: Of the terminal, in characters.
        best: Names of the jobs to show, such as each candidate's at its best learning rate; None: all. What is not
            shown stands in summary.csv.
        conditions: By job, the place of the condition under which it is compared; None: the data set makes it. Those
            of one stand together, since the others do not compare.
    """
    chosen = summary if best is None else summary[summary["job"].isin(list(best))]
    places = pd.Series(_data_places(summary) if conditions is None else [conditions[job] for job in summary["job"]])
    places.index = summary.index
    chosen = chosen.loc[places.loc[chosen.index].sort_values(kind="stable").index]
    rows = _best_of_each(chosen, places)
    told_apart = _told_apart(rows)
    numbers = _number_columns(rows)
    columns = fitting({**told_apart, **numbers}, width, expendable=("test loss", "seeds", *list(numbers)[-1:]))
    same_seeds = rows["seeds"].nunique() == 1
    seeds = f"{rows['seeds'].iloc[0]} seeds" if same_seeds else "the seeds"
    caption = f"mean \\[{percent(LEVEL)} interval] over {seeds}"
    if list(numbers)[-1] in columns:
        caption += "; epochs: median"
    if "verdict" in columns:
        caption += "; verdict: beside the best"
    if (rows["seeds"] == 1).all():
        caption = "one seed each: no interval, and nothing to conclude"
    left = [] if best is None or len(chosen) == len(summary) else ["each at its best learning rate"]
    if len(rows) < len(chosen):
        left.append(f"the best {len(rows)} of {len(chosen)}")
    if len(columns) < len(told_apart) + len(numbers):
        left.append("more columns in a wider terminal")
    if left:
        caption = f"{caption}\n{'; '.join(left)}; all in summary.csv"
    table = Table(box=SIMPLE_HEAD, caption=caption, caption_justify="left", pad_edge=False)
    for name in columns:
        words = name in told_apart
        title = Name(name) if words else name
        table.add_column(title, overflow="fold", no_wrap=not words, justify="left" if words else "right")
    of_row = list(places.loc[rows.index])
    for place, row in enumerate(zip(*columns.values(), strict=True)):
        cells = [Name(cell) if name in told_apart else cell for name, cell in zip(columns, row, strict=True)]
        table.add_row(*cells, end_section=of_row[place : place + 1] != of_row[place + 1 : place + 2])
    return table


def _data_places(summary: pd.DataFrame) -> list[int]:
    """Of each row, the place of its data set among all."""
    if "data" not in summary:
        return [0] * len(summary)
    return [int(code) for code in pd.factorize(summary["data"])[0]]


def _best_of_each(summary: pd.DataFrame, places: pd.Series) -> pd.DataFrame:
    """At most about `MOST_ROWS` rows, of each condition the best."""
    if len(summary) <= MOST_ROWS:
        return summary
    of_row = places.loc[summary.index]
    return summary.groupby(of_row, sort=False).head(max(LEAST_ROWS, MOST_ROWS // of_row.nunique()))


def _told_apart(summary: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of text that tell jobs apart: those keys whose values differ among the rows."""
    differing = list(summary.columns[1 : summary.columns.get_loc("seeds")])
    if summary.duplicated([*differing, "seeds"]).any():  # an initializer under two of its names, say
        differing = ["job", *differing]
    return {name: [shortest(value) for value in summary[name]] for name in differing}


def _number_columns(summary: pd.DataFrame) -> dict[str, list[str]]:
    """The columns of numbers, as text."""
    columns: dict[str, list[str]] = {}
    counts = summary[["diverged", "reached", "seeds"]].to_numpy(np.int64)
    if summary["seeds"].nunique() > 1:
        columns["seeds"] = [str(seeds) for seeds in summary["seeds"]]
    if summary["diverged"].any():
        columns["diverged"] = [f"[red]{lost} of {seeds}[/red]" if lost else "0" for lost, _, seeds in counts]
    metrics = [METRICS[metric] for metric in summary["metric"]]
    mixed = len(set(metrics)) > 1
    if mixed:
        columns["metric"] = metrics
    titles = {"test_score": f"test {'score' if mixed else metrics[0]}", "test_loss": "test loss", "bits": "bits a step"}
    for column, title in titles.items():
        if f"{column}_mean" not in summary:
            continue
        ends = summary[[f"{column}_mean", f"{column}_low", f"{column}_high"]].to_numpy(np.float64)
        columns[title] = [escape(interval_text(*row)) for row in ends]
        if column == "test_score" and "standing" in summary and not summary["standing"].isin(["best", "alone"]).all():
            columns["verdict"] = list(summary["standing"])
        if column == "test_score" and summary["diverged"].any():  # what jobs are compared by
            columns["diverged as 0"] = [interval_text(score) for score in summary["counted_score"]]
    thresholds = list(summary["threshold"])
    several = len(set(thresholds)) > 1
    medians = summary["epochs_to_threshold"].to_numpy(np.float64)
    columns["epochs to threshold" if several else f"epochs to {shortest(thresholds[0])}"] = [
        _epochs_text(median, reached, seeds) + (f" ({shortest(threshold)})" if several else "")
        for median, (_, reached, seeds), threshold in zip(medians, counts, thresholds, strict=True)
    ]
    return columns


def fitting(columns: Mapping[str, list[str]], width: int, *, expendable: Sequence[str]) -> dict[str, list[str]]:
    """Columns that fit side by side: those that can be spared are left out, in their order, until the rest fits.

    Args:
        columns: By its title, the cells of each column, as markup.
        width: Of the terminal, in characters.
        expendable: Titles of the columns that can be spared, the first to go first.
    """
    kept = dict(columns)
    for name in expendable:
        if _table_width(kept) <= width:
            break
        kept.pop(name, None)
    return kept


def _table_width(columns: Mapping[str, list[str]]) -> int:
    """Characters that columns take side by side, with a space before and behind each and a gap between two."""
    cells = [[line for cell in (escape(title), *kept) for line in cell.split("\n")] for title, kept in columns.items()]
    return sum(max(len(Text.from_markup(line)) for line in lines) + 3 for lines in cells) - 1


def _epochs_text(median: float, reached: int, seeds: int) -> str:
    if reached == 0:
        return "never"
    share = "" if reached == seeds else f" ({reached} of {seeds})"
    return f"{median:.0f}{share}" if np.isfinite(median) else f"—{share}"
