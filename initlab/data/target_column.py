"""What is to be predicted from a table: one of some classes, or numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from initlab.base.errors import UserError
from initlab.data.dataset import TaskName
from initlab.data.fields import Column, learn_columns

MOST_CLASSES: Final = 20  # whole numbers of more values are not taken for classes
LEAST_ROWS_A_CLASS: Final = 5
FEW_NAMES: Final = 5


@dataclass(frozen=True)
class Goal:
    """What is to be predicted.

    Attributes:
        task: Whether the target is a class or a number to fit.
        columns: The target columns: what each holds, numbers, be they classes or not, or words.
        classes: Where the target is a class, its different values in order, text or numbers; else empty.
        remark: What was concluded from the column, and how to have it otherwise; may be empty.
    """

    task: TaskName
    columns: Sequence[Column]
    classes: Sequence[Any] = field(default=())
    remark: str = ""

    @property
    def name(self) -> str:
        """The names of the columns."""
        return ", ".join(column.name for column in self.columns)

    @property
    def numeric(self) -> bool:
        """Whether the target is written as numbers."""
        return self.columns[0].numeric

    @classmethod
    def of(cls, labels: DataFrame, where: str, task: str, *, decimal: str | None, separator: str) -> "Goal":
        """See what the target of a table is.

        Args:
            labels: The target columns of the rows to train on as text, NaN where a field is empty.
            where: The configuration key of the file, and its path.
            task: `"classification"`, `"regression"`, or `"auto"`, as in `csv_table`.
            decimal: As in `csv_table`.
            separator: What stands between fields.

        Raises:
            UserError: text that should be fitted as numbers, an infinite number, or the same target in all rows.
        """
        if labels.empty:
            raise UserError(f"{where}: no row has a {', '.join(map(str, labels.columns))}")
        columns = list(learn_columns(labels, decimal=decimal, separator=separator).values())
        if len(columns) > 1 and task == "classification":
            raise UserError("data.task=classification: takes one target; several are numbers to fit")
        for column in columns:
            if not column.numeric and (task == "regression" or len(columns) > 1):
                setting = "data.task=regression" if len(columns) == 1 else "data.target"
                raise UserError(
                    f"{setting}: the target {column.name} is text, such as {labels[column.name].iloc[0]!r}; "
                    "it can be classified only"
                )
        if len(columns) > 1:
            return cls("regression", columns)
        return cls._of_one(columns[0], labels[columns[0].name], where, task)

    @classmethod
    def _of_one(cls, column: Column, texts: Series, where: str, task: str) -> "Goal":
        keys = column.parse(texts, where).dropna() if column.numeric else texts.dropna()
        classes = sorted(keys.unique())
        if len(classes) < 2:
            raise UserError(f"data.target={column.name}: it is {texts.iloc[0]} in all rows of {where}")
        if not column.numeric:
            if len(classes) > max(MOST_CLASSES, len(keys) / 2):
                raise UserError(
                    f"data.target={column.name}: text, such as {texts.iloc[0]!r}, and most rows have one of their "
                    "own: no classes; write dates as numbers, or choose another target"
                )
            said = column.remark if "among numbers" in column.remark else ""  # None and NA are classes here
            return cls("classification", [column], classes, said)
        whole = bool((keys % 1 == 0).all())
        few = whole and len(classes) <= min(MOST_CLASSES, len(keys) / LEAST_ROWS_A_CLASS)
        if task == "classification" or (task == "auto" and few):
            remark = f"target {column.name} taken as {len(classes)} classes; data.task=regression to fit its number"
            return cls("classification", [column], classes, remark if task == "auto" else "")
        otherwise = f"; data.task=classification for its {len(classes)} classes" if whole else ""
        remark = f"target {column.name} taken as a number{otherwise}" if task == "auto" else ""
        return cls("regression", [column], (), remark)

    def present(self, labels: DataFrame, where: str) -> Series:
        """Which rows have a target, a truth value each.

        Raises:
            UserError: text among numbers, or a number that is infinite.
        """
        found = [
            column.parse(labels[column.name], where) if column.numeric else labels[column.name]
            for column in self.columns
        ]
        return pd.concat(found, axis=1).notna().all(axis=1)

    def parse(self, labels: DataFrame, where: str) -> np.ndarray:
        """The targets of rows that have one: classes as places in `classes`, shape (rows,), or numbers.

        Raises:
            UserError: a class that is not among `classes`, or a target that is no finite number.
        """
        if self.task == "regression":
            values = [column.parse(labels[column.name], where).to_numpy() for column in self.columns]
            return values[0] if len(values) == 1 else np.stack(values, axis=1)
        texts, column = labels[self.columns[0].name], self.columns[0]
        keys = column.parse(texts, where) if column.numeric else texts
        found = pd.Index(self.classes).get_indexer(pd.Index(keys))
        if (found < 0).any():
            unknown = ", ".join(sorted(texts[found < 0].unique()))
            raise UserError(f"{where}: the target {self.name} has classes that data.path lacks: {unknown}")
        return np.asarray(found, np.int64)

    def refuse_rare_classes(self, values: np.ndarray, labels: DataFrame, *, splits: int) -> None:
        """See that each class has a row for each part of a stratified split.

        Args:
            values: The targets as `parse` gives them, shape (rows,).
            labels: The rows that they belong to, with the names of the classes.
            splits: How often the rows are split in two, 0 to 2; a class needs one row more than that.

        Raises:
            UserError: a class has too few rows to be split; the message names the first of them.
        """
        if self.task != "classification":
            return
        rare = labels[self.name][np.isin(values, np.flatnonzero(np.bincount(values) <= splits))].unique()
        if len(rare):
            names = ", ".join(sorted(rare)[:FEW_NAMES]) + ", …" * (len(rare) > FEW_NAMES)
            fit = "; data.task=regression fits its number" * self.numeric
            raise UserError(
                f"data.target={self.name}: too few rows of {names} to keep its share in each part; "
                f"data.stratify=false splits without regard to classes{fit}"
            )
