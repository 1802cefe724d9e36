"""From what a cohort recorded to the tables of one job."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.tables.records import EpochRecord
from initlab.tables.schema import EPOCH_NUMBERS
from initlab.tables.store import as_read, current, read_table

FloatArray = NDArray[np.float64]
# By what the rows of a table are ordered, where it is not by member alone; train stands before val.
ORDER: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"history": ("epoch", "split", "member"), "signal": ("epoch", "member", "position")}
)


@dataclass(frozen=True)
class JobTables:
    """The tables of one job, or of some of its members, with the columns of `schema.TABLES`.

    In a job's folder the column `member` is a member's place in the ascending order of its job's seeds. Before, among
    the members of one cohort, it is any number that tells them apart: `joined` makes places of them.

    Attributes:
        members: One row a member.
        history: One row a member, epoch and split.
        signal: One row a member, layer and epoch; None where the signal was not recorded.
        rows: One row a member, with what it scores on each test row; None where an earlier version did not keep it.
    """

    members: pd.DataFrame
    history: pd.DataFrame
    signal: pd.DataFrame | None = None
    rows: pd.DataFrame | None = None

    def named(self) -> dict[str, pd.DataFrame]:
        """The tables that there are, by their names."""
        tables = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: table for name, table in tables.items() if table is not None}

    @property
    def seeds(self) -> list[int]:
        """The members' seeds, in the order of their table."""
        return [int(seed) for seed in self.members["seed"]]

    @property
    def first_loss(self) -> float | None:
        """The validation loss before training, its mean over members; None where it is no finite number."""
        start = self.history[(self.history["epoch"] == 0) & (self.history["split"] == "val")]
        mean = float(start["loss"].astype(float).mean())
        return mean if math.isfinite(mean) else None

    def of_seeds(self, seeds: Collection[int]) -> "JobTables":
        """The rows of the members with some seeds."""
        own = set(self.members["member"][self.members["seed"].isin(list(seeds))])
        return JobTables(**{name: table[table["member"].isin(own)] for name, table in self.named().items()})


def job_tables(
    key_columns: Mapping[str, str | float],
    seeds: Sequence[int],
    records: Sequence[EpochRecord],
    *,
    first_seed: int,
    metric: str,
    threshold: float,
    seconds: float,
    signal: pd.DataFrame | None = None,
    epochs: Sequence[int] | None = None,
    test_rows: Sequence[Tensor] | None = None,
    test_scores: Tensor | None = None,
) -> JobTables:
    """Build a job's tables, or those of some of its members.

    Args:
        key_columns: Columns that are the same for all its members: job, data, model, init, activation, optim, lr.
        seeds: Seeds of the members, in the order of the records' values.
        records: In the order they were measured: val at epoch 0, then train and val of each epoch, then test.
        first_seed: The column `member` is a seed less this one, until `joined` makes places of these numbers.
        metric: What the scores are, a name of `schema.METRICS`.
        threshold: The validation score that `epochs_to_threshold` counts to, in (0, 1].
        seconds: Training time of one member: its cohort's, divided by the cohort's members.
        signal: The signal table of these members, without the column `job`; None: it was not recorded.
        epochs: How many each member trained, where some stopped early; None: all that were measured.
        test_rows: Of each member the places of its test rows among all rows, shape (test rows,).
        test_scores: With `test_rows`, what each member scores on each, shape (members, test rows); None: not kept.
    """
    of_members = {**key_columns, "member": np.asarray(seeds) - first_seed, "seed": list(seeds), "metric": metric}
    members = _members_table(of_members, records, threshold=threshold, seconds=seconds, epochs=epochs)
    return JobTables(
        members,
        _history_table(of_members, records),
        None if signal is None else signal.assign(job=key_columns["job"]),
        None if test_rows is None or test_scores is None else _rows_table(members, test_rows, test_scores),
    )


def _rows_table(members: pd.DataFrame, test_rows: Sequence[Tensor], test_scores: Tensor) -> pd.DataFrame:
    """One row a member: its test rows, in ascending order, and what it scores on each; null where it has diverged."""
    rows: list[NDArray[np.int32] | None] = []
    scores: list[NDArray[np.float32] | None] = []
    for places, values, status in zip(test_rows, test_scores, members["status"], strict=True):
        order = places.argsort()
        found, own = places[order].numpy(), values[order].numpy()
        official = np.array_equal(found, np.arange(len(found)))
        known = status == "finished"
        rows.append(None if official or not known else found.astype(np.int32))
        scores.append(own if known else None)
    return members[["job", "member", "seed"]].assign(
        rows=pd.Series(rows, index=members.index, dtype=object),
        scores=pd.Series(scores, index=members.index, dtype=object),
    )


def _history_table(of_members: Mapping[str, Any], records: Sequence[EpochRecord]) -> pd.DataFrame:
    """One row a member and measurement, but for those on test rows."""
    shown = [record for record in records if record.split != "test"]
    members = len(of_members["member"])
    none = torch.full((members,), torch.nan, dtype=torch.float64)
    return pd.DataFrame(
        {
            "job": of_members["job"],
            "member": np.tile(of_members["member"], len(shown)),
            "epoch": np.repeat([record.epoch for record in shown], members),
            "split": np.repeat([record.split for record in shown], members),
            "metric": of_members["metric"],
            **{name: torch.cat([record.values.get(name, none) for record in shown]).numpy() for name in EPOCH_NUMBERS},
        }
    )


def _members_table(
    of_members: Mapping[str, Any],
    records: Sequence[EpochRecord],
    *,
    threshold: float,
    seconds: float,
    epochs: Sequence[int] | None,
) -> pd.DataFrame:
    """One row a member: what it ended with, and when it reached the threshold or diverged."""
    last = {record.split: {name: value.numpy() for name, value in record.values.items()} for record in records}
    validated = [record for record in records if record.split == "val"]
    val_score, val_epochs = _stacked(validated, "score"), [record.epoch for record in validated]
    diverged = _first_epoch(~np.isfinite(_stacked(records, "loss")), [record.epoch for record in records])
    columns = {
        **of_members,
        "status": ["diverged" if epoch is not None else "finished" for epoch in diverged],
        "diverged_epoch": pd.array(diverged, dtype="Int64"),
        "epochs": val_epochs[-1] if epochs is None else list(epochs),
        "train_loss": last["train"]["loss"],
        "val_loss": last["val"]["loss"],
        "val_score": last["val"]["score"],
        "best_val_score": np.fmax.reduce(val_score),
        "test_loss": last["test"]["loss"],
        "test_score": last["test"]["score"],
        "auc": area_under_curve(val_score, val_epochs),
        "threshold": threshold,
        "epochs_to_threshold": pd.array(_first_epoch(val_score >= threshold, val_epochs), dtype="Int64"),
        "seconds": seconds,
    }
    return pd.DataFrame(columns)


def _stacked(records: Sequence[EpochRecord], name: str) -> FloatArray:
    """One measured number, shape (records, members)."""
    return torch.stack([record.values[name] for record in records]).numpy()


def records_of(history: pd.DataFrame) -> list[EpochRecord]:
    """The records that a history table was made of; a number that was not measured on a split is absent there."""
    numbers = {name: torch.tensor(history[name].to_numpy(np.float64, na_value=np.nan)) for name in EPOCH_NUMBERS}
    records = []
    epochs, splits = history["epoch"].to_numpy(np.int64), history["split"].to_numpy()
    for indices in history.groupby(["epoch", "split"]).indices.values():
        rows = torch.from_numpy(np.asarray(indices))
        values = {name: column[rows] for name, column in numbers.items()}
        known = {name: value for name, value in values.items() if name in ("loss", "score") or not value.isnan().all()}
        records.append(EpochRecord(int(epochs[rows[0]]), str(splits[rows[0]]), known))
    return records


def read_tables(folder: Path) -> JobTables:
    """Read the tables that a folder has.

    Raises:
        UserError: one is damaged, or of a later version; or the folder has no members or history.
    """
    names = [field.name for field in fields(JobTables)]
    there = [name for name in names if name in ("members", "history") or current(folder, f"{name}.parquet").exists()]
    return JobTables(**{name: read_table(folder, name) for name in there})


def joined(parts: Sequence[JobTables]) -> JobTables:
    """One job's tables from those of some of its members, each member's number its place in the order of seeds.

    Args:
        parts: At least one. Of a seed that several have, the last counts.
    """
    last = {seed: place for place, part in enumerate(parts) for seed in part.seeds}
    places = {seed: place for place, seed in enumerate(sorted(last))}
    found: dict[str, list[pd.DataFrame]] = {}
    for place, part in enumerate(parts):
        own = part.of_seeds([seed for seed in part.seeds if last[seed] == place])
        numbers = {int(member): places[int(seed)] for member, seed in own.members[["member", "seed"]].to_numpy()}
        for name, table in own.named().items():
            if len(table):
                numbered = table.assign(member=table["member"].astype(np.int64).map(numbers))
                found.setdefault(name, []).append(as_read(name, numbered))
    tables = {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}
    if "rows" in tables and len(tables["rows"]) < len(places):  # of some members alone they tell nothing of the mean
        del tables["rows"]
    return JobTables(
        **{
            name: table.sort_values(list(ORDER.get(name, ("member",))), ignore_index=True, kind="stable")
            for name, table in tables.items()
        }
    )


def _first_epoch(happened: NDArray[np.bool_], epochs: Sequence[int]) -> list[int | None]:
    """The first epoch at which something happened to each member, or None.

    Args:
        happened: Whether it did at a measurement, shape (measurements, members).
        epochs: The epoch of each measurement, ascending.
    """
    first = np.asarray(happened.argmax(0))
    return [epochs[first[member]] if happened[:, member].any() else None for member in range(happened.shape[1])]


def area_under_curve(scores: FloatArray, epochs: Sequence[int]) -> FloatArray:
    """Mean height of each member's score curve, by the trapezoidal rule; NaN if it has diverged.

    A score below 0 counts as 0: the R² of an untrained network may be anything.

    Args:
        scores: Validation scores, shape (measurements, members).
        epochs: The epoch of each measurement, ascending, at least two.

    Returns:
        Shape (members,).
    """
    return np.asarray(np.trapezoid(np.maximum(scores, 0), epochs, axis=0) / (epochs[-1] - epochs[0]))
