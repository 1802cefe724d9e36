"""The fields of a table's file, and what its columns are for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame, Series

from initlab.base.errors import UserError, nearest
from initlab.base.wording import counted, listed, typed_list
from initlab.data.assemble import Splitter
from initlab.data.fields import PLACEHOLDERS, counting_columns, listed_words, number_of, remark_on_units
from initlab.data.grouping import EqualGroups
from initlab.data.splitting import by_group, by_group_anew, by_order, moments_of
from initlab.data.table_file import NUMBER, UNNAMED, read_text
from initlab.data.target_column import Goal

Name = str | int


@dataclass(frozen=True)
class Table:
    """A file's fields as text; the index of a row is its place in the file.

    Attributes:
        where: The configuration key of the file, and its path.
        path: The path alone.
        separator: What stands between its fields.
        header: Whether its first line names the columns.
        fields: All columns; an empty field is an empty text, and a word that was said to stand for nothing, too.
    """

    where: str
    path: str
    separator: str
    header: bool
    fields: DataFrame

    @classmethod
    def read(
        cls, key: str, path: str, *, separator: str | None, encoding: str | None, header: bool, missing: set[str]
    ) -> "Table":
        """Read a file.

        Args:
            key: The configuration key that holds the path, for messages.
            path: The file.
            separator: As in `csv_table`, and so is what follows.
            encoding: Of a text.
            header: Whether the first line names the columns.
            missing: Words that stand for a missing value.

        Raises:
            UserError: the file is not there, or is no table.
        """
        where = f"{key}={path}"
        fields, found = read_text(where, path, separator=separator, header=header, encoding=encoding)
        return cls(where, path, found, header, fields.mask(fields.isin(missing), "") if missing else fields)

    def column(self, name: Name, setting: str) -> str:
        """The name of a column that is called by its name, or by its place from 1, -1 the last.

        Raises:
            UserError: there is none.
        """
        names = [str(one) for one in self.fields]
        if str(name) in names:
            return str(name)
        if isinstance(name, int) and 0 < (name + len(names) + 1 if name < 0 else name) <= len(names):
            return names[name if name < 0 else name - 1]
        hint = "; is data.separator right?" if len(names) < 2 else ""
        numbers = sum(bool(NUMBER.fullmatch(one)) for one in names)
        if self.header and numbers * 2 > len(names):
            hint += "; data.header=false if the first line names no columns"
        raise UserError(f"{setting}={name}: no such column in {self.path}; {nearest(str(name), names)}{hint}")

    @property
    def remark(self) -> str:
        """What is odd about its first lines; may be empty."""
        return "; ".join(filter(None, [remark_on_units(self.fields), self._remark_on_names()]))

    def _remark_on_names(self) -> str:
        """That the header line looks like a row: its fields, but for one at most, are numbers, or recur as words."""
        if not self.header:
            return ""
        names = [name for name in map(str, self.fields) if not name.startswith(UNNAMED.format(""))]
        numbers = [name for name in names if not np.isnan(number_of(name, "."))]
        if numbers in ([str(place) for place in range(start, start + len(numbers))] for start in (0, 1)):
            return ""  # as pandas names columns
        others = [name for name in names if name not in numbers]
        alike = [name for name in others if (self.fields[name] == name).any()]
        if not numbers or len(others) - len(alike) > (len(names) > 1):
            return ""
        return (
            f"the first line, {listed(names)}, names the columns, and looks like a row; data.header=false if it is one"
        )

    def empty_are_missing(self, names: Sequence[str]) -> DataFrame:
        """Some columns, with NaN in place of what is empty, and of nothing else."""
        return self.fields[list(names)].mask(self.fields[list(names)] == "")

    def rows_with(self, goal: Goal, roles: "Roles") -> tuple[DataFrame, DataFrame, str]:
        """The rows that have a target: their targets and inputs as text, and a remark on the others, if there are any.

        Raises:
            UserError: no row has a target, or the table has other columns.
        """
        for name in roles.target:
            self.column(name, "data.target")
        labels = self.empty_are_missing(roles.target)
        present = goal.present(labels, self.where)
        if not present.any():
            raise UserError(f"{self.where}: no row has a {goal.name}")
        lost = int((~present).sum())
        are = "is" if lost == 1 else "are"
        remark = f"{counted(lost, 'row')} without {goal.name} {are} left out of {self.where}" if lost else ""
        if goal.numeric and (words := _listed(labels, goal)):
            remark = f"{remark}: {words}"
        apart = [name for name in roles.apart if name in self.fields]
        inputs = self.fields[present].drop(columns=[*roles.target, *apart])
        return labels[present], inputs.mask(inputs == ""), remark


def _listed(labels: DataFrame, goal: Goal) -> str:
    """The words that stand among the numbers of a target, with their rows."""
    found = []
    for column in goal.columns:
        texts = labels[column.name].dropna()
        found.append(texts[texts.isin(column.strays) | texts.str.lower().isin(PLACEHOLDERS)])
    said = [listed_words(words) for words in found if len(words)]
    return "; ".join(said)


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Attributes:
        target: The columns to predict.
        apart: The columns that are no inputs, beside the target.
        group: The column whose values are never on both sides of a split, None if there is none.
        order: The column by which the last rows are tested on, None if there is none.
        remarks: Which columns were left out unasked, and how to bring them back.
    """

    target: Sequence[str]
    apart: Sequence[str]
    group: str | None
    order: str | None
    remarks: Sequence[str]

    @classmethod
    def of(
        cls,
        table: Table,
        *,
        target: Name | Sequence[Name],
        ignore: Sequence[Name],
        keep: Sequence[Name],
        group: Name | None,
        order: Name | None,
    ) -> "Roles":
        """Find out what each column is for; the arguments are those of `csv_table`.

        Raises:
            UserError: a column that is not there, or is to be predicted and left out at once.
        """
        wanted = [target] if isinstance(target, str | int) else target
        targets = list(dict.fromkeys(table.column(name, "data.target") for name in wanted))
        ignored = [table.column(name, "data.ignore") for name in ignore]
        kept = {table.column(name, "data.keep") for name in keep}
        if both := [name for name in ignored if name in targets]:
            raise UserError(f"data.ignore={both[0]}: it is the target")
        by = {
            key: None if name is None else table.column(name, f"data.{key}")
            for key, name in (("group", group), ("order", order))
        }
        for key, name in by.items():
            if name in targets:
                raise UserError(f"data.{key}={name}: it is the target")
        inputs = [str(name) for name in table.fields if name not in {*targets, *ignored, *kept}]
        unnamed = [name for place, name in enumerate(map(str, table.fields), 1) if name == UNNAMED.format(place)]
        unnamed = [name for name in unnamed if name in inputs] if table.header else []
        empty = [name for name in unnamed if not table.fields[name].any()]
        counting = [name for name in counting_columns(table.fields[inputs], unnamed) if name not in by.values()]
        if len({*inputs} - {*counting}) == 0 and not kept:  # nothing else is left to learn from
            counting = []
        nameless = [name for name in unnamed if name not in {*counting, *empty}]
        splitting = [name for name in by.values() if name in inputs]
        remarks = [
            _left_out(counting, "counts the rows", "count the rows"),
            _left_out(nameless, "has no name", "have no names"),
        ]
        apart = list(dict.fromkeys([*ignored, *counting, *unnamed, *splitting]))
        return cls(targets, apart, by["group"], by["order"], [remark for remark in remarks if remark])

    def splitter(self, table: Table, seed: int) -> Splitter | None:
        """How rows are split, None if they are shuffled.

        Raises:
            UserError: a row without a group, or without a number or date to order by.
        """
        if self.order is not None:
            return by_order(moments_of(self._complete(table, self.order, "order"), table.where))
        if self.group is not None:
            return by_group(self._complete(table, self.group, "group"), seed)
        return None

    def splitter_anew(
        self, table: Table, rows: DataFrame, test_fraction: float, val_fraction: float
    ) -> EqualGroups | None:
        """How rows are split by groups for any seed; None if they are not, or cannot be into as many rows each time.

        Args:
            table: All rows of the file.
            rows: Those that have a target.
            test_fraction: Share of them to test on.
            val_fraction: Share of the remaining ones to validate on.
        """
        if self.group is None or not 0 < test_fraction < 1 or not 0 <= val_fraction < 1:  # which is refused elsewhere
            return None
        return by_group_anew(self._complete(table, self.group, "group"), rows, test_fraction, val_fraction)

    def _complete(self, table: Table, name: str, key: str) -> Series:
        texts = table.fields[name]
        if (texts == "").any():
            row = int((texts == "").to_numpy().argmax()) + 1
            raise UserError(f"{table.where}, row {row}: data.{key}={name}: nothing stands there")
        return texts


def _left_out(names: Sequence[str], why: str, why_all: str) -> str:
    """That columns were left out, and how to bring them back; empty if there are none."""
    if not names:
        return ""
    verb, them = (f"{why}, and is", "it") if len(names) == 1 else (f"{why_all}, and are", "them")
    return f"{', '.join(names)} {verb} left out; {typed_list('data.keep', names)} brings {them} back"
