"""Any table in a text file: `data=csv data.path=table.csv data.target=column`."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from initlab.base.errors import UserError, nearest
from initlab.data.assemble import Arrays, assemble
from initlab.data.columns import columns_of_names, fit_columns
from initlab.data.dataset import Dataset, TaskName

SEPARATORS = ",;\t|"
MISSING = "?"  # beside what pandas takes for missing: an empty field, NA, nan, null, …
MOST_CLASSES = 20  # whole numbers of more values are not taken for classes
LEAST_ROWS_A_CLASS = 5
FEW_NAMES = 5


def csv_table(
    *,
    path: str | None = None,
    target: str | None = None,
    test_path: str | None = None,
    separator: str | None = None,
    task: Literal["auto", "classification", "regression"] = "auto",
    ignore: Sequence[str] = (),
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """A table with a header line, one row a sample: numbers and words as inputs, a class or a number as target.

    `initlab.data.columns.fit_columns` says what becomes of missing values and words; it is learned from the training
    rows without those that validate. Numbers to fit get mean 0 and variance 1 by the same rows: that leaves R² as it
    was, and predicting the mean then costs a loss of about 1. Columns without a name, such as a saved index, are left
    out.

    Args:
        path: The file, in UTF-8; must be given.
        target: Name of the column to predict, must be given; rows without a value in it are left out.
        test_path: A file with the same columns that holds the rows to test on; None: `test_fraction` of the rows of
            `path`.
        separator: What stands between fields, one character or the word tab; None: whichever of , ; tab and | the
            header line has most of.
        task: `"classification"`, `"regression"`, or `"auto"`: text is classes, and so are whole numbers of at most 20
            different values with 5 rows each on average; other numbers are to be fitted.
        ignore: Names of columns to leave out of the inputs.
        test_fraction: Share of all rows to test on, in (0, 1); without effect where `test_path` is given.
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits, whatever the seeds of the networks.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether columns of numbers get mean 0 and variance 1.

    Raises:
        UserError: a file or column that is not there, or a table that nothing can be learned from.
    """
    if path is None or target is None:
        raise UserError("data=csv needs data.path=FILE, a table with a header line, and data.target=COLUMN")
    table = _read_table("data.path", path, target, separator, ignore)
    goal = _Goal.of(table, task)
    values = goal.parse(table)
    if stratify:
        goal.refuse_rare_classes(values, table, splits=(test_path is None) + (val_fraction > 0))
    columns = {str(name): _is_numeric(table.inputs[name]) for name in table.inputs}
    inputs = table.parse_inputs(columns)
    notes = [goal.remark if task == "auto" else "", _remark_on_names(inputs), table.remark]
    tested: Arrays | float = test_fraction
    if test_path is not None:
        test = _read_table("data.test_path", test_path, target, separator, ignore)
        tested = (test.parse_inputs(columns), goal.parse(test))
        notes.append(test.remark)
    return assemble(
        (inputs, values),
        tested,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
        task=goal.task,
        prepare=partial(fit_columns, standardize=standardize),
        note=_sentences(notes),
    )


@dataclass(frozen=True)
class _Table:
    """The rows of a file that have a target, all fields as text; the index of a row is its place in the file.

    Attributes:
        where: The configuration key of the file, and its path.
        target: Name of the column to predict.
        inputs: All columns but the target and those to ignore.
        labels: The column to predict, as text, without missing values.
        lost: How many rows of the file had no target.
    """

    where: str
    target: str
    inputs: DataFrame
    labels: Series
    lost: int

    @property
    def remark(self) -> str:
        return f"{self.lost} rows without {self.target} are left out of {self.where}" if self.lost else ""

    def parse_inputs(self, columns: dict[str, bool]) -> DataFrame:
        """The inputs, columns of numbers as numbers and columns of words as text.

        Args:
            columns: The names of the columns in the order to give them, and whether each is one of numbers.

        Raises:
            UserError: the table has other columns, text among numbers, or an infinite number.
        """
        lacks, more = sorted(columns.keys() - {*self.inputs}), sorted({*self.inputs} - columns.keys())
        if lacks or more:
            differences = [f"it lacks {', '.join(lacks)}"] * bool(lacks) + [f"it has {', '.join(more)}"] * bool(more)
            raise UserError(f"{self.where}: other columns than data.path: {' and '.join(differences)}; see data.ignore")
        parsed = {
            name: self.numbers(self.inputs[name]) if numeric else self.inputs[name].astype(object)
            for name, numeric in columns.items()
        }
        return DataFrame(parsed, index=self.inputs.index)

    def numbers(self, column: Series) -> Series:
        """The numbers of a column, with NaN where they are missing.

        Raises:
            UserError: a field that is text, or infinite.
        """
        numbers = pd.to_numeric(column, errors="coerce").astype(float)
        bad = (numbers.isna() & column.notna()) | np.isinf(numbers)
        if bad.any():
            place = int(bad.to_numpy().argmax())
            row, found = int(column.index[place]) + 1, column.iloc[place]
            raise UserError(f"{self.where}, row {row}, column {column.name}: {found!r} is no finite number")
        return numbers


@dataclass(frozen=True)
class _Goal:
    """What is to be predicted.

    Attributes:
        task: Whether the target is a class or a number to fit.
        numeric: Whether the target column holds numbers, be they classes or not.
        classes: Where the target is a class, its different values in order, text or numbers; else empty.
        remark: What was concluded from the column, and how to have it otherwise; may be empty.
    """

    task: TaskName
    numeric: bool
    classes: list[Any]
    remark: str

    @classmethod
    def of(cls, table: _Table, task: str) -> "_Goal":
        """See what the target of a table is.

        Args:
            table: The rows of `data.path`, those to train on.
            task: `"classification"`, `"regression"`, or `"auto"`, as in `csv_table`.

        Raises:
            UserError: text that should be fitted as numbers, an infinite number, or the same target in all rows.
        """
        numeric = _is_numeric(table.labels)
        if task == "regression" and not numeric:
            raise UserError(
                f"data.task=regression: the target {table.target} is text, such as {table.labels.iloc[0]!r}; "
                "it can be classified only"
            )
        keys = table.numbers(table.labels) if numeric else table.labels
        classes = sorted(keys.unique())
        if len(classes) < 2:
            raise UserError(f"data.target={table.target}: it is {table.labels.iloc[0]} in all rows of {table.where}")
        if not numeric and len(classes) > max(MOST_CLASSES, len(keys) / 2):
            raise UserError(
                f"data.target={table.target}: text, such as {table.labels.iloc[0]!r}, and most rows have one of their "
                "own: no classes; write numbers with a point and dates as numbers, or choose another target"
            )
        if not numeric:
            return cls("classification", numeric, classes, "")
        whole = bool((keys % 1 == 0).all())
        few = whole and len(classes) <= min(MOST_CLASSES, len(keys) / LEAST_ROWS_A_CLASS)
        if task == "classification" or (task == "auto" and few):
            remark = f"target {table.target} taken as {len(classes)} classes; data.task=regression to fit its number"
            return cls("classification", numeric, classes, remark)
        otherwise = f"; data.task=classification for its {len(classes)} classes" if whole else ""
        return cls("regression", numeric, [], f"target {table.target} taken as a number{otherwise}")

    def parse(self, table: _Table) -> np.ndarray:
        """The targets of a table, shape (rows,): classes as their places in `classes`, or numbers.

        Raises:
            UserError: a class that is not among `classes`, or a target that is no finite number.
        """
        if self.task == "regression":
            return table.numbers(table.labels).to_numpy()
        keys = pd.to_numeric(table.labels, errors="coerce") if self.numeric else table.labels
        found = pd.Index(self.classes).get_indexer(pd.Index(keys))
        if (found < 0).any():
            unknown = ", ".join(sorted(table.labels[found < 0].unique()))
            raise UserError(f"{table.where}: the target {table.target} has classes that data.path lacks: {unknown}")
        return np.asarray(found, np.int64)

    def refuse_rare_classes(self, values: np.ndarray, table: _Table, *, splits: int) -> None:
        """See that each class has a row for each part of a stratified split.

        Args:
            values: The targets as `parse` gives them, shape (rows,).
            table: The rows that they belong to, with the names of the classes.
            splits: How often the rows are split in two, 0 to 2; a class needs one row more than that.

        Raises:
            UserError: a class has too few rows to be split; the message names the first of them.
        """
        counts = np.bincount(values) if self.task == "classification" else np.empty(0)
        rare = table.labels[np.isin(values, np.flatnonzero(counts <= splits))].unique()
        if len(rare):
            names = ", ".join(sorted(rare)[:FEW_NAMES]) + ", …" * (len(rare) > FEW_NAMES)
            fit = "; data.task=regression fits its number" * self.numeric
            raise UserError(
                f"data.target={table.target}: too few rows of {names} to keep its share in each part; "
                f"data.stratify=false splits without regard to classes{fit}"
            )


def _read_table(key: str, path: str, target: str, separator: str | None, ignore: Sequence[str]) -> _Table:
    """Read a file, without the columns to ignore and those without a name.

    Args:
        key: The configuration key that holds the path, for the message.
        path: The file, in UTF-8, with a header line.
        target: Name of the column to predict.
        separator: One character, the word tab, or None to look at the header line.
        ignore: Names of columns to leave out; each must be in the file of `data.path`.

    Raises:
        UserError: the file is not there, is no table, is empty, or lacks a column.
    """
    where, file = f"{key}={path}", Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{where}: there is no such file (seen from {Path.cwd()})")
    separator = {"tab": "\t", "\\t": "\t"}.get(separator or "", separator)
    if separator is not None and len(separator) != 1:
        raise UserError(f"data.separator={separator}: expected one character, tab, or null to see for itself")
    try:
        separator = separator or _separator(file)
        rows = pd.read_csv(file, sep=separator, dtype=str, na_values=[MISSING], skipinitialspace=True)
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors and those of decoding are ValueErrors
        raise UserError(f"{where}: no table in UTF-8 ({' '.join(str(error).split())})") from error
    if not isinstance(rows.index, pd.RangeIndex):
        raise UserError(f"{where}: no table: the first row has more fields than the header line has names")
    rows = rows.loc[:, ~rows.columns.str.fullmatch(r"Unnamed: \d+(\.\d+)*")]  # which pandas makes of an empty name
    for name, setting in [(target, f"data.target={target}"), *((name, f"data.ignore={name}") for name in ignore)]:
        if name not in rows and (name == target or key == "data.path"):
            hint = "; is data.separator right?" if rows.shape[1] < 2 else ""
            raise UserError(f"{setting}: no such column in {path}; {nearest(name, rows.columns)}{hint}")
    if target in ignore:
        raise UserError(f"data.ignore={target}: it is the target")
    kept = rows[rows[target].notna()]
    if kept.empty:
        raise UserError(f"{where}: no row has a {target}")
    inputs = kept.drop(columns=[target, *(name for name in ignore if name in kept)])
    return _Table(where, target, inputs, kept[target], len(rows) - len(kept))


def _separator(file: Path) -> str:
    """Whichever of the usual separators splits the header line into the most names."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        header = next((line for line in lines if line.strip()), "")
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark))))


def _is_numeric(column: Series) -> bool:
    """Whether all values of a column are numbers, missing ones aside."""
    return bool(pd.to_numeric(column, errors="coerce").notna().eq(column.notna()).all())


def _remark_on_names(inputs: DataFrame) -> str:
    names = columns_of_names(inputs)
    return f"{', '.join(names)}: words that hardly recur; data.ignore=[{','.join(names)}] leaves them out" * bool(names)


def _sentences(remarks: Sequence[str]) -> str:
    return " ".join(f"{remark}." for remark in remarks if remark)
