"""From recorded epochs to tables, and their way to the disk and back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.tables.job_tables import JobTables, area_under_curve, job_tables
from initlab.tables.records import EpochRecord
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import read_table, write_table

IDENTITY: dict[str, str | float] = {
    "job": "init=he", "data": "wine", "model": "mlp", "init": "he_normal", "activation": "relu", "optim": "sgd",
    "lr": 0.1,
}  # fmt: skip


def record(
    epoch: int, split: str, loss: list[float], score: list[float], norm: list[float] | None = None
) -> EpochRecord:
    values = {"loss": loss, "score": score, **({} if norm is None else {"gradient_norm": norm})}
    return EpochRecord(epoch, split, {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()})


@pytest.fixture
def tables() -> JobTables:
    """Three members: one learns late, one early, one explodes in epoch 2."""
    nan, inf = np.nan, np.inf
    return job_tables(
        IDENTITY,
        [5, 6, 7],
        [
            record(0, "val", [1.0, 1.0, 1.0], [0.2, 0.4, 0.2]),
            record(1, "train", [0.9, 0.8, 5.0], [0.3, 0.6, 0.3], [1.0, 2.0, 3.0]),
            record(1, "val", [0.9, 0.7, 9.0], [0.4, 0.9, 0.3]),
            record(2, "train", [0.5, 0.4, inf], [0.7, 0.9, nan], [0.5, 0.4, nan]),
            record(2, "val", [0.5, 0.6, nan], [0.9, 0.8, nan]),
            record(2, "test", [0.6, 0.7, nan], [0.85, 0.75, nan]),
        ],
        first_seed=5,
        metric="accuracy",
        threshold=0.85,
        seconds=0.25,
    )


def test_members(tables: JobTables) -> None:
    members = tables.members.set_index("seed")
    assert list(members["status"]) == ["finished", "finished", "diverged"]
    assert members.loc[7, "diverged_epoch"] == 2
    assert members["diverged_epoch"].isna().sum() == 2
    assert list(members["epochs_to_threshold"][:2]) == [2, 1]
    assert members["epochs_to_threshold"].isna().iloc[2]
    assert list(members["best_val_score"]) == [0.9, 0.9, 0.3]
    # (0.2 + 0.4)/2 and (0.4 + 0.9)/2, over two epochs
    assert members.loc[5, "auc"] == pytest.approx((0.3 + 0.65) / 2)
    assert members.loc[6, "test_score"] == 0.75
    assert np.isnan(members["test_score"][7])
    assert members.loc[5, "train_loss"] == 0.5


def test_a_score_below_zero_does_not_drown_the_area() -> None:
    """The R² of an untrained network may be anything."""
    scores = np.array([[-50.0, 0.0, np.nan], [0.5, 0.5, 0.5], [1.0, 1.0, 1.0]])
    assert list(area_under_curve(scores, [0, 1, 2])[:2]) == [0.5, 0.5]
    assert np.isnan(area_under_curve(scores, [0, 1, 2])[2])


def test_history(tables: JobTables) -> None:
    history = tables.history
    assert len(history) == 3 * 5
    assert set(history["split"]) == {"train", "val"}
    row = history.query("member == 1 and epoch == 1 and split == 'train'").iloc[0]
    assert (row["loss"], row["score"], row["gradient_norm"]) == (0.8, 0.6, 2.0)


@pytest.mark.parametrize(("name", "schema"), [("members", MEMBERS), ("history", HISTORY)])
def test_round_trip(tables: JobTables, name: str, schema: object, tmp_path: Path) -> None:
    table: pd.DataFrame = getattr(tables, name)
    write_table(tmp_path, name, table)
    assert pq.read_schema(tmp_path / f"{name}.parquet").remove_metadata() == schema
    back = read_table(tmp_path, name)
    pd.testing.assert_frame_equal(back, table[back.columns], check_dtype=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.parquet"]


def test_a_table_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_whole(path, lambda partial: partial.write_text("first"))

    def die(partial: Path) -> None:
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, die)
    assert path.read_text() == "first"


def test_damaged_and_foreign_tables_are_refused(tables: JobTables, tmp_path: Path) -> None:
    write_table(tmp_path, "members", tables.members)
    path = tmp_path / "members.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"members.parquet: unreadable"):
        read_table(tmp_path, "members")
    tables.members.to_parquet(path)
    with pytest.raises(UserError, match="no table of initlab's"):
        read_table(tmp_path, "members")
