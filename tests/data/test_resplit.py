"""Data sets that are split anew for each seed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_wine

from initlab.base.errors import UserError
from initlab.data import tabular
from initlab.data.arrays import function
from initlab.data.assemble import assemble
from initlab.data.columns import fit_columns, fit_columns_anew
from initlab.data.csv_table import csv_table
from initlab.data.dataset import Dataset, Split
from initlab.data.grouping import EqualGroups

RNG = np.random.default_rng(0)
PLAIN: dict[str, Any] = {"val_fraction": 0.25, "split_seed": 0, "stratify": True, "standardize": True}


def anew(data: Dataset, seed: int) -> Dataset:
    assert data.resplit is not None
    return data.resplit(seed)


def parts(data: Dataset) -> list[Split]:
    return [data.train, data.val, data.test]


def test_each_seed_has_its_own_test_rows_and_all_that_is_fitted_is_its_own() -> None:
    """By hand: the places of the test rows, and the moments of the training rows, found by the values of the rows."""
    inputs, labels = load_wine(return_X_y=True)
    data = tabular.wine()
    seen = set()
    for seed in range(5):
        own = anew(data, seed)
        assert [len(part) for part in parts(own)] == [113, 29, 36]
        assert own.test.targets.tolist() == labels[own.test_rows].tolist()
        assert own.train.inputs.mean(0).abs().max() < 1e-5
        assert (own.train.inputs.std(0, correction=0) - 1).abs().max() < 1e-5
        slope, offset = np.polyfit(inputs[own.test_rows, 0], own.test.inputs[:, 0], 1)
        scaled = inputs[:, 0] * slope + offset  # an affine map of all rows; which are the others is found by it
        rest = np.setdiff1d(np.arange(178), own.test_rows)
        known = torch.cat([own.train.inputs[:, 0], own.val.inputs[:, 0]]).sort().values
        np.testing.assert_allclose(np.sort(scaled[rest]), known, atol=1e-4)
        seen.add(tuple(own.test_rows.sort().values.tolist()))
    assert len(seen) == 5


def test_a_split_follows_from_both_seeds_alone() -> None:
    one, other = tabular.wine(), tabular.wine()
    assert anew(one, 3).checksum == anew(other, 3).checksum
    assert anew(one, 4).checksum != anew(one, 3).checksum
    assert anew(tabular.wine(split_seed=1), 3).checksum != anew(one, 3).checksum
    assert anew(one, 3).resplit is None


def test_the_checksum_is_that_of_all_rows_and_of_the_rule() -> None:
    inputs, labels = RNG.normal(size=(60, 4)), np.arange(60) % 3
    base = assemble((inputs, labels), 0.2, **PLAIN)
    assert assemble((inputs.copy(), labels), 0.2, **PLAIN).rows_checksum == base.rows_checksum
    for place in (0, 30, 59):
        other = inputs.copy()
        other[place, 1] += 1e-9
        assert assemble((other, labels), 0.2, **PLAIN).rows_checksum != base.rows_checksum
    for changed in ({"split_seed": 1}, {"stratify": False}, {"val_fraction": 0.2}, {"standardize": False}):
        assert assemble((inputs, labels), 0.2, **{**PLAIN, **changed}).rows_checksum != base.rows_checksum


def test_nothing_of_test_and_validation_rows_enters_the_fit() -> None:
    frame = table()
    first = anew(from_csv_frame(frame), 2)
    changed = frame.copy()
    changed.loc[first.test_rows.tolist(), "size"] = "1e6"
    second = anew(from_csv_frame(changed), 2)
    assert torch.equal(first.train.inputs, second.train.inputs)
    assert torch.equal(first.val.inputs, second.val.inputs)
    assert not torch.equal(first.test.inputs, second.test.inputs)


FOLDER: list[Path] = []


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    FOLDER[:] = [tmp_path]


def table(rows: int = 80) -> pd.DataFrame:
    """Numbers and words with missing ones; a word and a number that nearly all rows lack."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "size": [f"{value:.3f}" for value in rng.normal(3, 2, rows)],
            "town": rng.choice(["Basel", "Bern", "Chur"], rows),
            "rare": ["plain"] * (rows - 1) + ["odd"],
            "flag": ["0"] * (rows - 1) + ["1"],
            "kind": rng.choice(["a", "b"], rows),
        }
    )
    frame.iloc[::9, 0], frame.iloc[::7, 1] = "", ""
    return frame


def from_csv_frame(frame: pd.DataFrame, **options: Any) -> Dataset:
    path = FOLDER[0] / "table.csv"
    frame.to_csv(path, index=False)
    return csv_table(path=str(path), target="kind", **options)


def test_a_table_has_the_same_columns_in_every_split_and_learns_what_scikit_learn_would() -> None:
    assert [anew(from_csv_frame(table()), seed).input_shape for seed in range(3)] == [(7,)] * 3
    plain = table().drop(columns="kind").replace("", np.nan)
    plain[["size", "flag"]] = plain[["size", "flag"]].astype(float)
    learn = fit_columns_anew(plain, standardize=True)
    rng, left_out = np.random.default_rng(3), 0
    for _ in range(30):
        order = rng.permutation(80)
        train, test = order[:50], order[50:]
        lookup = learn(train)
        assert lookup(test).shape == (30, 7)  # size, flag; Basel, Bern, Chur; odd, plain
        expected = fit_columns(plain.iloc[train], standardize=True)(plain.iloc[test])
        varied = lookup(train).min(0) != lookup(train).max(0)
        np.testing.assert_allclose(lookup(test)[:, varied], expected, atol=1e-5)
        assert (lookup(order)[:, ~varied] == 0).all()
        left_out += int((~varied).sum())
    assert left_out > 0  # the odd row is not always among those to train on
    nobody = np.flatnonzero(plain["size"].isna())  # nothing to learn from
    assert (learn(nobody)(order)[:, 0] == 0).all()


@pytest.mark.parametrize("val_fraction", [0.2, 0.0])
def test_groups_are_never_on_two_sides_and_all_splits_are_of_one_size(val_fraction: float) -> None:
    codes = np.repeat(np.arange(40), np.random.default_rng(1).integers(1, 9, 40))
    split = EqualGroups.of(codes, 0.2, val_fraction)
    assert split is not None
    sizes = {tuple(map(len, split(seed))) for seed in range(300)}
    assert sizes == {(split.train, split.val, split.test)}
    assert split.test == int(np.ceil(0.2 * len(codes)))
    for seed in range(50):
        used = [set(codes[part].tolist()) for part in split(seed)]
        assert not used[0] & used[1] | used[0] & used[2] | used[1] & used[2]
        places = np.concatenate(split(seed))
        assert len(np.unique(places)) == len(places)
    assert not np.array_equal(np.sort(split(0)[2]), np.sort(split(1)[2]))
    assert split.train >= 0.5 * 0.8 * (1 - val_fraction) * len(codes)


def test_groups_of_one_size_lose_no_row() -> None:
    split = EqualGroups.of(np.arange(100) // 10, 0.2, 0.25)
    assert split is not None
    assert (split.train, split.val, split.test) == (60, 20, 20)


def test_groups_that_are_too_large_keep_one_split_and_it_is_said() -> None:
    frame = table().assign(patient=["big"] * 70 + ["x", "y", "z", "u", "v"] * 2)
    data = from_csv_frame(frame, group="patient")
    assert data.resplit is None
    assert "groups are too large to be split anew for each seed: all networks have one split." in data.note
    assert data.split_once == "groups are too large to be split anew for each seed"
    small = from_csv_frame(table().assign(patient=[f"p{row // 4}" for row in range(80)]), group="patient")
    assert [len(part) for part in parts(anew(small, 0))] == [len(part) for part in parts(anew(small, 9))]
    patients = {place // 4 for place in anew(small, 0).test_rows.tolist()}
    assert len(patients) == 4


def test_official_test_rows_and_order_stay() -> None:
    inputs, labels = RNG.normal(size=(60, 4)), np.arange(60) % 3
    official = assemble((inputs, labels), (inputs[:9], labels[:9]), **PLAIN)
    assert official.resplit is None
    assert official.test_rows.tolist() == list(range(9))
    ordered = from_csv_frame(table().assign(day=range(80)), order="day")
    assert ordered.resplit is None
    assert ordered.test_rows.tolist() == list(range(64, 80))
    assert ordered.split_once == "data.order splits by what came first"


def test_a_data_set_of_ones_own_has_one_split_unless_it_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, labels = RNG.normal(size=(60, 4)), np.arange(60) % 3
    made = assemble((inputs, labels), 0.2, **PLAIN)
    bare = Dataset(made.train, made.val, made.test, 3, validates_on_test=False)
    monkeypatch.setattr("tests.data.test_resplit.returned", lambda: bare, raising=False)
    assert function(call="tests.data.test_resplit.returned").resplit is None
    monkeypatch.setattr("tests.data.test_resplit.returned", lambda: made, raising=False)
    assert function(call="tests.data.test_resplit.returned").resplit is made.resplit
    monkeypatch.setattr("tests.data.test_resplit.returned", lambda: (inputs, labels), raising=False)
    assert function(call="tests.data.test_resplit.returned").resplit is not None


def test_too_few_rows_are_said_in_a_line() -> None:
    inputs, numbers = RNG.normal(size=(12, 2)), np.array([1.0] * 8 + [2.0, 3.0, 4.0, 5.0])
    data = next(filter(None, (_or_none((inputs, numbers), seed) for seed in range(500))))  # whose own split works
    refused = [said for seed in range(50) if (said := _refusal(data, seed))]
    assert refused
    for said in refused:
        assert re.fullmatch(r"data: the \w+ rows: .*split for seed \d+; data.resplit=false keeps one for all.*", said)


def _refusal(data: Dataset, seed: int) -> str:
    try:
        anew(data, seed)
    except UserError as error:
        return str(error)
    return ""


def _or_none(rows: Any, seed: int) -> Dataset | None:
    try:
        return assemble(rows, 0.2, **{**PLAIN, "split_seed": seed}, task="regression")
    except UserError:
        return None
