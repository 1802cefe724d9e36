"""Tables that earlier versions wrote, as they wrote them: `old/v1` and `old/v2` are real ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from initlab.results.analysis import analyse
from initlab.results.study import read_study
from initlab.tables.schema import SCHEMA_VERSION, TABLES
from initlab.tables.store import VERSION_KEY, NewerVersionError, read_table
from initlab.tables.upgrade import STEPS, upgrade

OLD = Path(__file__).parent / "old"
FIRST, SECOND = (sorted((OLD / name).iterdir()) for name in ("v1", "v2"))


def stored(folder: Path, name: str) -> pa.Table:
    """A table as it lies there, by pyarrow alone."""
    return pq.ParquetFile(folder / f"{name}.parquet").read()


def plain(values: Iterable[Any]) -> list[Any]:
    """Values with None for whatever stands for none."""
    return [None if pd.isna(value) else value for value in values]


def version_of(table: pa.Table) -> int:
    return int(table.schema.metadata[VERSION_KEY])


def test_the_files_are_of_the_versions_they_stand_for() -> None:
    assert len(FIRST) == 2
    assert len(SECOND) == 1
    for version, folders in enumerate((FIRST, SECOND), start=1):
        for path in (path for folder in folders for path in folder.glob("*.parquet")):
            assert version_of(pq.read_table(path)) == version, path


@pytest.mark.parametrize("folder", FIRST, ids=lambda folder: folder.name)
def test_version_1_called_its_scores_accuracies(folder: Path) -> None:
    names = {
        "members": {f"{split}_score": f"{split}_accuracy" for split in ("val", "best_val", "test")},
        "history": {"score": "accuracy"},
    }
    for name, renamed in names.items():
        before, after = stored(folder, name), read_table(folder, name)
        assert list(after.columns) == TABLES[name].names
        assert set(after["metric"]) == {"accuracy"}
        for column in after.columns.drop(["metric", *({"engine"} & set(after.columns))]):
            assert plain(after[column]) == plain(before[renamed.get(column, column)].to_pylist()), (name, column)


def test_a_study_of_version_1_is_read_and_analysed() -> None:
    study = read_study(OLD / "v1")
    assert study.unreadable == []
    assert list(study.configs) == [folder.name for folder in FIRST]
    assert list(study.differing.columns) == ["init"]
    analysis = analyse(study)
    scores = {folder.name: stored(folder, "members")["test_accuracy"].to_numpy() for folder in FIRST}
    best_first = sorted(scores, key=lambda name: -scores[name].mean())
    assert list(analysis.candidates["job"]) == best_first
    for _, row in analysis.candidates.iterrows():
        values = scores[row["job"]]
        assert row["metric"] == "accuracy"
        assert row["score"] == pytest.approx(values.mean())
        assert row["median"] == pytest.approx(np.median(values))
        assert (row["seeds"], row["diverged"]) == (3, 0)
    (pair,) = analysis.pairs.to_dict("records")
    assert pair["difference"] == pytest.approx(np.subtract(*(scores[name] for name in best_first)).mean())
    for folder in FIRST:
        history = stored(folder, "history").to_pandas()
        validated = history[history["split"] == "val"]
        curves = validated.pivot(index="member", columns="epoch", values="accuracy")
        found = analysis.curves[folder.name]
        assert found.shape == (3, 3)
        np.testing.assert_array_equal(found.to_numpy(), curves.to_numpy())


def test_version_2_kept_no_reason_why_there_is_no_prediction_of_a_gradient() -> None:
    (folder,) = SECOND
    before, after = stored(folder, "signal"), read_table(folder, "signal")
    assert "no_gradient_prediction" not in before.column_names
    assert list(after.columns) == TABLES["signal"].names
    assert after["no_gradient_prediction"].isna().all()
    assert len(after) == len(before) > 0
    for column in before.column_names:
        assert plain(after[column]) == plain(before[column].to_pylist()), column


def test_a_study_of_version_2_is_read_and_analysed() -> None:
    study = read_study(OLD / "v2")
    assert study.unreadable == []
    (candidate,) = analyse(study).candidates.to_dict("records")
    assert candidate["metric"] == "r2"
    scores = stored(SECOND[0], "members")["test_score"].to_numpy()
    assert candidate["score"] == pytest.approx(scores.mean())


def test_columns_that_nobody_could_know_are_null_and_of_their_type() -> None:
    for name, schema in TABLES.items():
        for version in STEPS:
            table = upgrade(name, pa.table({"job": pa.array(["init=he"] * 2)}), version)
            assert table.schema.equals(schema), (name, version)
            assert all(table[column].null_count == 2 for column in schema.names if column not in ("job", "metric"))


def test_a_later_version_is_refused_with_one_line(tmp_path: Path) -> None:
    later = SCHEMA_VERSION + 1
    table = stored(SECOND[0], "members").replace_schema_metadata({VERSION_KEY: str(later).encode()})
    pq.write_table(table, tmp_path / "members.parquet")
    with pytest.raises(NewerVersionError) as refused:
        read_table(tmp_path, "members")
    (line,) = str(refused.value).splitlines()
    assert str(tmp_path / "members.parquet") in line
    assert f"schema version {later}" in line
    assert line.endswith("upgrade initlab")


def test_every_earlier_version_has_a_step() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA_VERSION))
