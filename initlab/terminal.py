"""What a person sees while a sweep runs and when it is done."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning.pytorch as pl
import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from torch import Tensor

from initlab.data.module import InMemoryData

METRICS = ("test_accuracy", "test_loss")


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
        *columns, _Speed(), TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
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


def summary_table(summary: pd.DataFrame, *, threshold: str) -> Table:
    """The summary as a table for a terminal, best first.

    Args:
        summary: Of `results.summary.summarize`.
        threshold: The validation accuracy that counts as reached, as text.
    """
    table = Table(caption="mean [95 % bootstrap interval over seeds]", caption_justify="left")
    shown = _columns_before(summary, "seeds")
    for column in shown:
        table.add_column(column, no_wrap=True)
    table.add_column("seeds", justify="right")
    if summary["diverged"].any():
        table.add_column("diverged", justify="right")
    table.add_column("test accuracy", justify="right")
    table.add_column("test loss", justify="right")
    table.add_column(f"epochs to {threshold}", justify="right")
    for _, row in summary.iterrows():
        cells = [str(row[column]) for column in shown]
        cells.append(str(row["seeds"]))
        if summary["diverged"].any():
            cells.append(f"[red]{row['diverged']}[/red]" if row["diverged"] else "0")
        cells += [_interval(*(row[f"{metric}_{end}"] for end in ("mean", "low", "high"))) for metric in METRICS]
        cells.append(_epochs(row["epochs_to_threshold"], row["reached"], row["seeds"]))
        table.add_row(*cells)
    return table


def _columns_before(summary: pd.DataFrame, column: str) -> list[str]:
    """The columns that tell jobs apart; their name where they do not differ."""
    differing = list(summary.columns[1 : summary.columns.get_loc(column)])
    return differing or ["job"]


def _interval(mean: float, low: float, high: float) -> str:
    if not np.isfinite(mean):
        return "—"
    digits = 4 if abs(mean) < 100 else 1
    if not np.isfinite(low):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} \\[{low:.{digits}f}, {high:.{digits}f}]"


def _epochs(median: float, reached: int, seeds: int) -> str:
    if reached == 0:
        return "never"
    share = "" if reached == seeds else f" ({reached} of {seeds})"
    return f"{median:.0f}{share}" if np.isfinite(median) else f"—{share}"
