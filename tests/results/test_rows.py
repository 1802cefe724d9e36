"""What members scored by row, as it is read from the tables of jobs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from initlab.base.errors import UserError
from initlab.results.crossed import UNKNOWN
from initlab.results.rows import read_row_scores


def table(*members: tuple[int, Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(members, columns=["seed", "rows", "scores"]).assign(job="he", member=range(len(members)))


def read(monkeypatch: pytest.MonkeyPatch, **tables: pd.DataFrame) -> Any:
    def read_table(folder: Path, name: str) -> pd.DataFrame:
        assert name == "rows"
        if folder.name not in tables:
            raise UserError(f"{folder}: no such table")
        return tables[folder.name]

    monkeypatch.setattr("initlab.results.rows.read_table", read_table)
    return lambda *folders: read_row_scores([Path(folder) for folder in folders], trained_on=113)


def test_official_rows_have_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    known = read(monkeypatch, one=table((4, None, [1.0, 0.0]), (2, None, np.array([0.5, 1], np.float32))))("one")
    assert known.seeds.tolist() == [2, 4]
    assert known.scores.tolist() == [[0.5, 1], [1, 0]]
    assert known.scores.dtype == np.float64
    assert known.rows is None
    assert known.trained_on == 113


def test_seeds_of_several_jobs_are_members_of_one_and_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    one = table((0, [1, 5], [1, 0]), (1, [2, 3], [1, 1]))
    two = table((1, [2, 3], [0, 0]), (9, [7, 8], [0, 1]))
    known = read(monkeypatch, one=one, two=two)("one", "two")
    assert known.seeds.tolist() == [0, 1, 9]
    assert known.scores.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert known.rows.tolist() == [[1, 5], [2, 3], [7, 8]]


def test_a_member_that_diverged_scores_0_on_rows_that_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the splits of the others stay what they are."""
    known = read(monkeypatch, one=table((0, [1, 5], [1, 0]), (1, None, None)))("one")
    assert known.scores.tolist() == [[1, 0], [0, 0]]
    assert known.rows.tolist() == [[1, 5], [UNKNOWN, UNKNOWN]]
    official = read(monkeypatch, one=table((0, None, [1, 0]), (1, None, None)))("one")
    assert official.rows is None
    assert official.scores.tolist() == [[1, 0], [0, 0]]


def test_what_is_not_there_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    of_two, of_three, lost = table((0, None, [1, 0])), table((5, None, [1, 1, 0])), table((0, None, None))
    found = read(monkeypatch, one=of_two, three=of_three, lost=lost)
    assert found("old") is None
    assert found("one", "old") is None
    assert found("lost") is None
    assert found("one", "three") is None  # of other test rows
