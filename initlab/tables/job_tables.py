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
from initlab.tables.store import as_read, has_table, read_table

FloatArray = NDArray[np.float64]
# By what the rows of a table are ordered, where it is not by member alone; train stands before val.
ORDER: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"history": ("epoch", "split", "member"), "signal": ("epoch", "member", "position")}
)


@dataclass(frozen=True)
class JobTables:
    """The tables of one job, of some of its members, or of several jobs, with the columns of `schema.TABLES`.

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
    def engines(self) -> list[str]:
        """How the members' cohorts took their steps, each way once."""
        return sorted(map(str, self.members["engine"].dropna().unique()))

    @property
    def first_loss(self) -> float | None:
        """The validation loss before training, its mean over members; None where it is no finite number."""
        start = self.history[(self.history["epoch"] == 0) & (self.history["split"] == "val")]
        mean = float(start["loss"].astype(float).mean())
        return mean if math.isfinite(mean) else None

    def by_job(self) -> dict[str, "JobTables"]:
        """The tables of each job, by its name."""
        parts: dict[str, dict[str, pd.DataFrame]] = {str(job): {} for job in self.members["job"].unique()}
        for name, table in self.named().items():
            for job, places in table.groupby("job", sort=False).indices.items():
                parts[str(job)][name] = table.iloc[places].reset_index(drop=True)
        return {job: JobTables(**tables) for job, tables in parts.items()}

    def of_jobs(self, jobs: Collection[str]) -> "JobTables":
        """The rows of some jobs."""
        return JobTables(**{name: table[table["job"].isin(list(jobs))] for name, table in self.named().items()})

    def of_seeds(self, seeds: Collection[int]) -> "JobTables":
        """The rows of the members with some seeds."""
        own = set(self.members["member"][self.members["seed"].isin(list(seeds))])
        return JobTables(**{name: table[table["member"].isin(own)] for name, table in self.named().items()})


def job_tables(
    key_columns: Mapping[str, str | float | Sequence[Any]],
    seeds: Sequence[int],
    records: Sequence[EpochRecord],
    *,
    first_seed: int | Sequence[int],
    metric: str,
    threshold: float,
    seconds: float,
    engine: str | None = None,
    signal: pd.DataFrame | None = None,
    epochs: Sequence[int] | None = None,
    test_rows: Sequence[Tensor] | None = None,
    test_scores: Tensor | None = None,
) -> JobTables:
    """Build a job's tables, those of some of its members, or those of several jobs.

    Args:
        key_columns: The columns job, data, model, init, activation, optim and lr: a value for all members, or one each.
        seeds: Seeds of the members, in the order of the records' values.
        records: In the order they were measured: val at epoch 0, then train and val of each epoch, then test.
        first_seed: The column `member` is a seed less this one, until `joined` makes places of these numbers; one for
            all members, or one each.
        metric: What the scores are, a name of `schema.METRICS`.
        threshold: The validation score that `epochs_to_threshold` counts to, in (0, 1].
        seconds: Training time of one member: its cohort's, divided by the cohort's members.
        engine: How the cohort took a step; None: not kept.
        signal: The signal table of these members; its column `job` may be absent where it is the same for all. None: it
            was not recorded.
        epochs: How many each member trained, where some stopped early; None: all that were measured.
        test_rows: Of each member the places of its test rows among all rows, shape (test rows,).
        test_scores: With `test_rows`, what each member scores on each, shape (members, test rows); None: not kept.
    """
    of_members = {
        **key_columns,
        "member": np.asarray(seeds) - np.asarray(first_seed),
        "seed": list(seeds),
        "metric": metric,
    }
    members = _members_table(of_members, records, threshold=threshold, seconds=seconds, engine=engine, epochs=epochs)
    return JobTables(
        members,
        _history_table(of_members, records),
        signal if signal is None or "job" in signal else signal.assign(job=key_columns["job"]),
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
            "job": job if isinstance(job := of_members["job"], str) else np.tile(np.asarray(job, object), len(shown)),
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
    engine: str | None,
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
        "engine": pd.array([engine] * len(diverged), dtype="str"),
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
    there = [name for name in names if name in ("members", "history") or has_table(folder, name)]
    return JobTables(**{name: read_table(folder, name) for name in there})


def joined(parts: Sequence[JobTables]) -> JobTables:
    """One job's tables from those of some of its members, each member's number its place in the order of seeds.

    Args:
        parts: At least one, under whatever names of the job. Of a seed that several have, the last counts.
    """
    name = str(parts[-1].members["job"].iloc[0])
    return joined_by_job(
        [JobTables(**{kind: table.assign(job=name) for kind, table in part.named().items()}) for part in parts]
    )


def joined_by_job(parts: Sequence[JobTables]) -> JobTables:
    """Several jobs' tables from those of some of their members, as `joined` makes those of one.

    Args:
        parts: At least one; the rows of a job are named after it. Of a job's seed that several have, the last counts.

    Returns:
        The jobs one below the other, in the order in which the parts first name them.
    """
    if len(parts) == 1 and (whole := _of_one(parts[0])) is not None:
        return whole
    members = pd.concat(
        [as_read("members", part.members).assign(_part=place) for place, part in enumerate(parts)], ignore_index=True
    )
    kept = members.drop_duplicates(["job", "seed"], keep="last")
    by_job = kept.groupby("job", sort=False)
    order = {job: place for place, job in enumerate(members["job"].unique())}
    places = kept[["_part", "job", "member"]].assign(
        _place=by_job["seed"].rank().astype("Int64") - 1,
        _job=kept["job"].map(order),
        _members=by_job["seed"].transform("size"),
    )
    tables = {}
    for name in dict.fromkeys(name for part in parts for name in part.named()):
        found = [
            as_read(name, table).assign(_part=place)
            for place, part in enumerate(parts)
            if (table := part.named().get(name)) is not None and len(table)
        ]
        if not found:
            continue
        table = pd.concat(found, ignore_index=True).merge(places, on=["_part", "job", "member"])
        if name == "rows":  # of some members alone they tell nothing of the mean
            table = table[table.groupby("job")["member"].transform("size") == table["_members"]]
        if len(table):
            table["member"] = table["_place"]
            table = table.sort_values(["_job", *ORDER.get(name, ("member",))], ignore_index=True, kind="stable")
            tables[name] = table.drop(columns=["_part", "_place", "_job", "_members"])
    return JobTables(**tables)


def _of_one(part: JobTables) -> JobTables | None:
    """What `joined_by_job` makes of a single job's only part, in a third of the time; None where it is no such part."""
    members = as_read("members", part.members)
    if members["job"].nunique() != 1 or any(members[key].duplicated().any() for key in ("seed", "member")):
        return None
    places = (members["seed"].rank().astype("Int64") - 1).set_axis(members["member"].to_numpy())
    tables = {}
    for name, given in part.named().items():
        table = members if name == "members" else as_read(name, given)
        if not len(table) or (name == "rows" and len(table) != len(members)):
            continue
        if not (table["job"] == members["job"].iloc[0]).all() or not table["member"].isin(members["member"]).all():
            return None
        table["member"] = places.loc[table["member"].to_numpy()].array
        tables[name] = table.sort_values([*ORDER.get(name, ("member",))], ignore_index=True, kind="stable")
    return JobTables(**tables)


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
    heights, widths = np.maximum(scores, 0), np.diff(epochs)[:, None]
    # One after another: how `sum` adds up depends on how many members there are, and so would the last bit.
    areas = (widths * (heights[1:] + heights[:-1]) / 2.0).cumsum(axis=0)[-1]
    return np.asarray(areas / (epochs[-1] - epochs[0]))
