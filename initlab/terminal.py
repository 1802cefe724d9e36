"""What a person sees while a sweep runs and when it is done."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor

from initlab.data.module import InMemoryData
from initlab.results.schema import METRICS
from initlab.results.summary import shortest


class _Speed(ProgressColumn):
    """Members × epochs a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} member-epochs/s" if task.speed else "", style="cyan")


@contextmanager
def progress_bar(console: Console, member_epochs: int) -> Iterator["SweepProgress"]:
    """A bar for a whole sweep; nothing where the output is no terminal.

    Args:
        console: Where to draw.
        member_epochs: Members times epochs, over all cohorts.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(
        *columns,
        _Speed(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield SweepProgress(bar, bar.add_task("training", total=member_epochs))


class SweepProgress:
    """Counts member-epochs over the cohorts of a sweep."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def start(self, description: str) -> None:
        """Name the cohort that trains now."""
        self._bar.update(self._task, description=description)

    def advance(self, member_epochs: float) -> None:
        """Count work done."""
        self._bar.advance(self._task, member_epochs)


class ProgressCallback(Callback):
    """Reports a cohort's blocks of steps to the sweep's bar."""

    def __init__(self, progress: SweepProgress) -> None:
        self._progress = progress

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        outputs: object,  # noqa: ARG002
        batch: Tensor,
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Count a block; it has shape (steps, members, batch)."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InMemoryData)
        self._progress.advance(batch.shape[1] * batch.shape[0] / data.steps_per_epoch)


def summary_table(summary: pd.DataFrame) -> Table:
    """The summary as a table for a terminal, best first.

    Args:
        summary: Of `results.summary.summarize`.
    """
    differing = list(summary.columns[1 : summary.columns.get_loc("seeds")])
    if summary.duplicated([*differing, "seeds"]).any():  # an initializer under two of its names, say
        differing = ["job", *differing]
    columns: dict[str, list[str]] = {name: [shortest(value) for value in summary[name]] for name in differing}
    same_seeds = summary["seeds"].nunique() == 1
    if not same_seeds:
        columns["seeds"] = [str(seeds) for seeds in summary["seeds"]]
    counts = summary[["diverged", "reached", "seeds"]].to_numpy(np.int64)
    if summary["diverged"].any():
        columns["diverged"] = [f"[red]{lost} of {seeds}[/red]" if lost else "0" for lost, _, seeds in counts]
    metrics = [METRICS[metric] for metric in summary["metric"]]
    mixed = len(set(metrics)) > 1
    if mixed:
        columns["metric"] = metrics
    for column, title in {"test_score": f"test {'score' if mixed else metrics[0]}", "test_loss": "test loss"}.items():
        ends = summary[[f"{column}_mean", f"{column}_low", f"{column}_high"]].to_numpy(np.float64)
        columns[title] = [interval_text(*row) for row in ends]
    thresholds = list(summary["threshold"])
    several = len(set(thresholds)) > 1
    medians = summary["epochs_to_threshold"].to_numpy(np.float64)
    columns["epochs to threshold" if several else f"epochs to {shortest(thresholds[0])}"] = [
        _epochs_text(median, reached, seeds) + (f" ({shortest(threshold)})" if several else "")
        for median, (_, reached, seeds), threshold in zip(medians, counts, thresholds, strict=True)
    ]
    over = f"{summary['seeds'].iloc[0]} seeds" if same_seeds else "seeds"
    caption = f"mean \\[95 % bootstrap interval] over {over}; epochs: median"
    if (summary["seeds"] == 1).all():
        caption = "one seed each: no interval, and nothing to conclude"
    table = Table(box=SIMPLE_HEAD, caption=caption, caption_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", justify="left" if name in differing else "right")
    data = columns.get("data", [])
    for place, cells in enumerate(zip(*columns.values(), strict=True)):
        table.add_row(*cells, end_section=data[place : place + 1] != data[place + 1 : place + 2])
    return table


def interval_text(mean: float, low: float, high: float) -> str:
    """A mean and its interval as text, escaped for rich; a dash where there is none."""
    if not np.isfinite(mean):
        return "—"
    largest = max(abs(value) for value in (mean, low, high) if np.isfinite(value))
    style = "z.3f" if abs(mean) < 100 else ".0f"
    if mean > 0 and largest < 0.01:  # a small loss, of which three digits would leave nothing to compare
        style = f".{1 - math.floor(math.log10(largest))}f" if largest > 1e-5 else ".1e"
    elif largest >= 1e6:
        style = ".1e"
    if not np.isfinite(low):
        return f"{mean:{style}}"
    return f"{mean:{style}} \\[{low:{style}}, {high:{style}}]"


def _epochs_text(median: float, reached: int, seeds: int) -> str:
    if reached == 0:
        return "never"
    share = "" if reached == seeds else f" ({reached} of {seeds})"
    return f"{median:.0f}{share}" if np.isfinite(median) else f"—{share}"
