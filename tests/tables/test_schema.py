"""The columns of the tables: described, and a number that is measured at each epoch is one everywhere."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from initlab.tables.job_tables import job_tables, records_of
from initlab.tables.records import EpochRecord
from initlab.tables.schema import DESCRIPTION, EPOCH_NUMBERS, METRICS, TABLE_ROWS, TABLES, describe_columns
from initlab.tables.store import read_table, write_table
from initlab.tracking.callback import epoch_rows
from initlab.tracking.dashboard import layout
from tests.helpers import make_job, train

KEYS = ["job", "member", "epoch", "split", "metric"]


@pytest.mark.parametrize("name", TABLES)
def test_every_column_is_described_and_its_file_says_so(name: str, tmp_path: Path) -> None:
    described = describe_columns(name)
    assert list(described) == TABLES[name].names
    assert TABLE_ROWS[name].startswith("one row a ")
    assert all(text.strip() and text == text.strip() and not text.endswith(".") for text in described.values())
    values = {"string": "word", "int64": 3, "double": 0.5}
    values |= {"list<item: int32>": np.array([3, 5], np.int32), "list<item: float>": np.array([0.5, 1], np.float32)}
    row = pd.DataFrame({field.name: [values[str(field.type)]] for field in TABLES[name]})
    write_table(tmp_path, name, row)
    stored = pq.read_schema(tmp_path / f"{name}.parquet")
    assert {field.name: field.metadata[DESCRIPTION].decode() for field in stored} == described
    pd.testing.assert_frame_equal(read_table(tmp_path, name), row, check_dtype=False)


def test_a_history_has_the_numbers_of_an_epoch_and_its_keys() -> None:
    assert TABLES["history"].names == KEYS + list(EPOCH_NUMBERS)
    assert not set(KEYS) & set(EPOCH_NUMBERS)


def every_number(split: str) -> EpochRecord:
    """A record that has every number, each with values of its own."""
    numbers = torch.arange(2 * len(EPOCH_NUMBERS), dtype=torch.float64).view(-1, 2) / 8
    return EpochRecord(1, split, dict(zip(EPOCH_NUMBERS, numbers, strict=True)))


def test_what_a_cohort_records_are_these_numbers() -> None:
    history = train(make_job("seeds=2", "trainer.max_epochs=1")).history
    assert {name for record in history for name in record.values} == set(EPOCH_NUMBERS)
    (trained,) = [record for record in history if record.split == "train"]
    assert set(trained.values) == set(EPOCH_NUMBERS)


def test_every_number_goes_into_the_history_and_comes_back() -> None:
    records = [EpochRecord(0, "val", every_number("val").values), every_number("train"), every_number("val")]
    key_columns = dict.fromkeys(("job", "data", "model", "init", "activation", "optim"), "x") | {"lr": 0.1}
    tables = job_tables(
        key_columns, [0, 1], [*records, EpochRecord(1, "test", records[1].values)],
        first_seed=0, metric="accuracy", threshold=0.5, seconds=1.0,
    )  # fmt: skip
    assert list(tables.history.columns) == TABLES["history"].names
    found = {(record.epoch, record.split): record for record in records_of(tables.history)}
    assert list(found) == [(0, "val"), (1, "train"), (1, "val")]
    for record in records:
        for name, values in record.values.items():
            assert torch.equal(found[record.epoch, record.split].values[name], values), name


@pytest.mark.parametrize("metric", METRICS)
def test_trackers_are_told_every_number(metric: str) -> None:
    """Mean and interval of each, and a chart that compares the jobs by it."""
    (row,) = epoch_rows([every_number("train")], metric).values()
    shown = {metric if name == "score" else name: name for name in EPOCH_NUMBERS}
    assert set(row) == {f"train_{tag}/{end}" for tag in shown for end in ("mean", "low", "high")}
    for tag, name in shown.items():
        assert row[f"train_{tag}/mean"] == pytest.approx(float(np.mean(every_number("train").values[name].numpy())))
    charts = Layout()
    charts.ParseFromString(layout([metric]).value[0].tensor.string_val[0])
    drawn = {series.value for category in charts.category for chart in category.chart for series in chart.margin.series}
    for tag in shown:
        assert drawn & {f"train_{tag}/mean", f"val_{tag}/mean"}, tag
