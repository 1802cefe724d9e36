"""Any table: what is made of its columns, what is concluded from its target, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split

from initlab.base.errors import UserError
from initlab.data.csv_table import csv_table
from initlab.data.dataset import Dataset
from tests.fixtures import write_wines

ROWS = 40
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def table() -> pd.DataFrame:
    """Forty rows: numbers and words, some missing, a constant and an empty column."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(10, 3, ROWS).round(2),
            "colour": rng.choice(["red", "green", "blue"], ROWS),
            "constant": 7,
            "empty": np.nan,
            "kind": np.where(np.arange(ROWS) % 2, "cat", "dog"),
            "price": rng.normal(100, 20, ROWS).round(2),
        }
    )
    frame.loc[[3, 8, 21], "size"] = np.nan
    frame.loc[[5, 30], "colour"] = np.nan
    return frame


def load(table: pd.DataFrame, folder: Path, target: str = "kind", *, sep: str = ",", **options: Any) -> Dataset:
    path = folder / "table.csv"
    table.to_csv(path, index=False, sep=sep)
    return csv_table(path=str(path), target=target, **options)


def rows_of_splits(targets: object) -> dict[str, np.ndarray]:
    """Which rows go where, by scikit-learn alone."""
    rest, test = train_test_split(np.arange(ROWS), test_size=0.2, random_state=42, stratify=targets)
    by_class = None if targets is None else np.asarray(targets)[rest]
    train, val = train_test_split(rest, test_size=0.2, random_state=42, stratify=by_class)
    return {"train": train, "val": val, "test": test}


def test_preprocessing_is_what_one_would_do_by_hand(table: pd.DataFrame, tmp_path: Path) -> None:
    dataset = load(table, tmp_path, ignore=["price"])
    places = rows_of_splits(table["kind"])
    train = table.iloc[places["train"]]
    assert train["size"].isna().any()
    assert train["colour"].isna().any()
    sizes = sorted(value for value in train["size"] if value == value)
    middle = len(sizes) // 2
    median = sizes[middle] if len(sizes) % 2 else (sizes[middle - 1] + sizes[middle]) / 2
    filled = [median if value != value else value for value in train["size"]]
    mean = sum(filled) / len(filled)
    std = (sum((value - mean) ** 2 for value in filled) / len(filled)) ** 0.5
    counts = {colour: list(train["colour"]).count(colour) for colour in ("blue", "green", "red")}
    commonest = max(counts, key=lambda colour: counts[colour])
    for name, split in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test)):
        assert split.inputs.shape == (len(places[name]), 4)  # the constant and the empty column are gone
        for row, place in enumerate(places[name]):
            size, colour, kind = table.loc[place, ["size", "colour", "kind"]]
            size = median if size != size else size
            colour = commonest if colour != colour else colour
            expected = [(size - mean) / std, *(float(colour == one) for one in ("blue", "green", "red"))]
            assert split.inputs[row].tolist() == pytest.approx(expected, abs=1e-5)
            assert int(split.targets[row]) == ["cat", "dog"].index(kind)


def test_changing_a_test_row_changes_nothing_in_training(table: pd.DataFrame, tmp_path: Path) -> None:
    place = rows_of_splits(table["kind"])["test"][0]
    changed = table.copy()
    changed.loc[place, ["size", "price"]] = [1e6, -1e6]
    changed.loc[place, "colour"] = "ultraviolet"
    one, other = load(table, tmp_path), load(changed, tmp_path)
    for name in ("train", "val"):
        assert torch.equal(getattr(one, name).inputs, getattr(other, name).inputs)
    assert not torch.equal(one.test.inputs, other.test.inputs)
    assert other.test.inputs[0, 2:].tolist() == [0, 0, 0]  # a colour that training rows lack


def test_changing_a_validation_row_changes_nothing_in_training(table: pd.DataFrame, tmp_path: Path) -> None:
    place = rows_of_splits(None)["val"][0]
    changed = table.copy()
    changed.loc[place, ["size", "price"]] = [1e6, -1e6]
    one, other = load(table, tmp_path, "price"), load(changed, tmp_path, "price")
    assert torch.equal(one.train.inputs, other.train.inputs)
    assert torch.equal(one.train.targets, other.train.targets)
    assert not torch.equal(one.val.targets, other.val.targets)


def test_numbers_can_be_left_as_they_are(table: pd.DataFrame, tmp_path: Path) -> None:
    dataset = load(table, tmp_path, standardize=False)
    expected = table["price"].iloc[rows_of_splits(table["kind"])["train"]]
    np.testing.assert_allclose(dataset.train.inputs[:, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_the_separator_shows_in_the_header(sep: str, table: pd.DataFrame, tmp_path: Path) -> None:
    plain = load(table, tmp_path)
    assert load(table, tmp_path, sep=sep).checksum == plain.checksum
    named = {"\t": "tab"}.get(sep, sep)
    assert load(table, tmp_path, sep=sep, separator=named).checksum == plain.checksum


def test_a_saved_index_and_question_marks(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "indexed.csv"
    table.to_csv(path, na_rep="?")
    assert csv_table(path=str(path), target="kind").checksum == load(table, tmp_path).checksum


def targets_of(values: object, folder: Path, rows: int = 60, **options: Any) -> Dataset:
    frame = pd.DataFrame({"x": np.arange(rows) * 1.0, "y": values})
    return load(frame, folder, "y", **options)


GRADES = np.arange(60) % 6 + 3


def test_a_few_whole_numbers_are_classes_and_it_says_so(tmp_path: Path) -> None:
    dataset = targets_of(GRADES, tmp_path)
    assert dataset.classes == 6
    assert dataset.note == "target y taken as 6 classes; data.task=regression to fit its number."
    fitted = targets_of(GRADES, tmp_path, task="regression")
    assert fitted.task == "regression"
    assert fitted.note == ""


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (GRADES + 0.5, None),  # no whole numbers
        (np.arange(60) % 13, None),  # fewer than five rows each
        (np.arange(60) % 12, 12),
        (GRADES.astype(float), 6),
        (GRADES % 2 == 0, 2),
        (np.where(GRADES % 2 == 0, "yes", "no"), 2),
        (np.where(GRADES % 2 == 0, "1", "many"), 2),
    ],
)
def test_what_is_concluded_from_a_target(values: object, classes: int | None, tmp_path: Path) -> None:
    dataset = targets_of(values, tmp_path, stratify=False)
    assert dataset.classes == classes
    if classes is None:
        assert dataset.note.startswith("target y taken as a number")


def test_many_whole_numbers_are_a_number(tmp_path: Path) -> None:
    values = np.arange(300) % 30
    dataset = targets_of(values, tmp_path, 300)
    assert dataset.note == "target y taken as a number; data.task=classification for its 30 classes."
    assert targets_of(values, tmp_path, 300, task="classification").classes == 30


def test_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(60) * 1.0, "y": np.array([2, 10, 9])[np.arange(60) % 3]})
    dataset = load(frame, tmp_path, "y", standardize=False)
    for x, target in zip(dataset.test.inputs[:, 0], dataset.test.targets, strict=True):
        assert int(target) == [0, 2, 1][int(x) % 3]


def test_rows_without_a_target_are_left_out_and_counted(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[[1, 2, 9], "kind"] = np.nan
    dataset = load(table, tmp_path)
    assert len(dataset.train) + len(dataset.val) + len(dataset.test) == ROWS - 3
    assert dataset.note == f"3 rows without kind are left out of data.path={tmp_path / 'table.csv'}."


def test_names_are_pointed_out(table: pd.DataFrame, tmp_path: Path) -> None:
    table["owner"] = [f"owner {row}" for row in range(ROWS)]
    assert "owner: words that hardly recur; 'data.ignore=[owner]' leaves it out" in load(table, tmp_path).note
    assert load(table, tmp_path, ignore=["owner"]).note == ""


def with_test_file(table: pd.DataFrame, tested: pd.DataFrame, folder: Path, target: str = "kind") -> Dataset:
    tested.to_csv(folder / "test.csv", index=False)
    return load(table, folder, target, test_path=str(folder / "test.csv"))


def test_a_file_to_test_on(table: pd.DataFrame, tmp_path: Path) -> None:
    table["code"] = ["a1", "7", "07", "b"] * 10
    tested = table.iloc[:12, ::-1].copy()  # its columns in another order, and this one all numbers
    tested["code"] = ["7", "7", "07"] * 4
    dataset = with_test_file(table, tested, tmp_path)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (32, 8, 12)
    assert dataset.test.targets.tolist() == [["cat", "dog"].index(kind) for kind in tested["kind"]]
    codes = dataset.test.inputs[:, -4:]  # 07, 7, a1, b
    assert codes.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]] * 4


def test_numbers_to_fit_in_a_test_file_are_scaled_as_the_training_rows(table: pd.DataFrame, tmp_path: Path) -> None:
    dataset = with_test_file(table, table.iloc[:12], tmp_path, "price")
    _, val = train_test_split(np.arange(ROWS), test_size=0.2, random_state=42)
    train = table["price"].drop(index=val)
    expected = (table["price"].iloc[:12] - train.mean()) / train.std(ddof=0)
    np.testing.assert_allclose(dataset.test.targets[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="size"), r"data.test_path=.*/test.csv: other columns than data.path: it lacks size"),
        (lambda t: t.assign(extra=1), r"it has extra; see data.ignore"),
        (lambda t: t.drop(columns="kind"), r"data.target=kind: no such column in .*test.csv"),
        (lambda t: t.assign(kind="cow"), r"the target kind has classes that data.path lacks: cow"),
        (lambda t: t.assign(kind=np.nan), r"data.test_path=.*: no row has a kind"),
        (lambda t: t.assign(size="big"), r"test.csv, row 1, column size: 'big' is no finite number"),
    ],
)
def test_files_one_cannot_test_on(change: Change, message: str, table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        with_test_file(table, change(table.iloc[:12]), tmp_path)


def broken(table: pd.DataFrame, place: int, column: str, value: Any) -> pd.DataFrame:
    changed = table.astype({column: object})
    changed.loc[place, column] = value
    return changed


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (None, {"target": "kinds"}, r"data.target=kinds: no such column in .*table.csv; did you mean kind"),
        (None, {"ignore": ["sizes"]}, r"data.ignore=sizes: no such column in .*; did you mean size"),
        (None, {"ignore": ["kind"]}, r"data.ignore=kind: it is the target"),
        (None, {"separator": ";"}, r"data.target=kind: no such column in .* is data.separator right\?"),
        (None, {"separator": "::"}, r"data.separator=::: expected one character"),
        (None, {"task": "regression"}, r"data.task=regression: the target kind is text, such as 'dog'"),
        (None, {"ignore": ["size", "colour", "price"]}, "no column tells the training rows apart"),
        (lambda t: broken(t, 4, "size", "inf"), {}, "row 5, column size: 'inf' is no finite number"),
        (lambda t: broken(t, 6, "price", "1e999"), {"target": "price"}, "row 7, column price: '1e999' is no finite"),
        (lambda t: t.iloc[:0], {}, "no row has a kind"),
        (lambda t: t.assign(kind="dog"), {}, "data.target=kind: it is dog in all rows"),
        (lambda t: t.assign(price=3), {"target": "price"}, "data.target=price: it is 3 in all rows"),
        (lambda t: t.iloc[:4], {}, r"data.target=kind: too few rows of cat, dog to keep .*data.stratify=false"),
        (lambda t: t.iloc[:6], {}, r"data.val_fraction=0.2: .*data.stratify=false"),
        (
            lambda t: t.assign(kind=[f"{place} o'clock" for place in range(len(t))]),
            {},
            r"data.target=kind: text, such as .0 o'clock., and most rows have one of their own: no classes; write d",
        ),
        (lambda t: broken(t, 0, "kind", "cow"), {}, r"data.target=kind: too few rows of cow to keep its share"),
        (None, {"target": "price", "task": "classification"}, r"too few rows of .*, … .*data.task=regression fits"),
        (lambda t: t.iloc[:1], {"target": "price"}, "it is .* in all rows"),
        (lambda t: t.iloc[:2], {"target": "price"}, "data.val_fraction=0.2: "),
        (lambda t: t.iloc[:3], {"target": "price"}, "no column tells the training rows apart"),
        (lambda t: t.iloc[:4], {"target": "price"}, "data: the val rows: a target is the same number in all rows"),
    ],
)
def test_tables_one_cannot_learn_from(
    change: Change | None, options: dict[str, Any], message: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        load(table if change is None else change(table), tmp_path, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no table in UTF-8"),
        (b"\n\n\n", "no table in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "no table in UTF-8|no such column"),
        ("größe,kind\n1,ä\n".encode("latin-1"), "no table in UTF-8"),
        (b"size,kind\n1,dog\n2,cat,3,4\n", "no table in UTF-8 .*Expected 2 fields"),
        (b"size,kind\n1,dog,3\n2,cat,4\n", "the first row has more fields than the header line"),
    ],
)
def test_what_is_no_table(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        csv_table(path=str(path), target="kind")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.path=.*/nothing.csv: there is no such file"):
        csv_table(path=str(tmp_path / "nothing.csv"), target="kind")
    with pytest.raises(UserError, match=r"there is no such file"):
        csv_table(path=str(tmp_path), target="kind")
    with pytest.raises(UserError, match=r"data=csv needs data.path=FILE"):
        csv_table(target="kind")


def test_too_many_words(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": 1.0, "id": [f"row {k}" for k in range(20_000)], "y": [0, 1] * 10_000})
    with pytest.raises(UserError, match=r"column id has 12,800 different words; leave it out by data.ignore"):
        load(frame, tmp_path, "y")


def test_the_real_red_wines(real_data: Path) -> None:
    path = str(real_data / "winequality-red.csv")
    dataset = csv_table(path=path, target="quality")
    assert (dataset.classes, dataset.input_shape) == (6, (11,))
    assert csv_table(path=path, target="alcohol").task == "regression"


def test_a_table_like_ucis_red_wines(tmp_path: Path) -> None:
    """Quoted names, semicolons between fields, and a target of a few whole numbers."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(600, 11)).round(3), np.arange(600) % 6 + 3])
    path = tmp_path / "winequality-red.csv"
    write_wines(path, rows)
    dataset = csv_table(path=str(path), target="quality", standardize=False, stratify=False, val_fraction=0)
    train, test = train_test_split(rows, test_size=0.2, random_state=42)
    assert (dataset.classes, dataset.input_shape) == (6, (11,))
    assert dataset.test.targets.tolist() == [int(quality) - 3 for quality in test[:, -1]]
    np.testing.assert_allclose(dataset.train.inputs, train[:, :-1], rtol=1e-6)
    alcohol = csv_table(path=str(path), target="alcohol")
    assert (alcohol.task, alcohol.outputs, alcohol.input_shape) == ("regression", 1, (11,))
