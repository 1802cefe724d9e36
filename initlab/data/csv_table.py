"""Any table in a file: `data=csv data.path=table.csv data.target=column`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pandas import DataFrame, Series

from initlab.base.errors import UserError, nearest
from initlab.base.wording import counted
from initlab.data.assemble import Arrays, Splitter, assemble
from initlab.data.columns import columns_of_names, fit_columns
from initlab.data.dataset import Dataset
from initlab.data.fields import PLACEHOLDERS, Column, counting_columns, learn_columns, listed_words, sentences
from initlab.data.splitting import by_group, by_order, moments_of
from initlab.data.table_file import NUMBER, UNNAMED, read_text
from initlab.data.target_column import Goal

Name = str | int


def csv_table(
    *,
    path: str | None = None,
    target: Name | Sequence[Name] | None = None,
    test_path: str | None = None,
    separator: str | None = None,
    decimal: Literal[".", ","] | None = None,
    encoding: str | None = None,
    header: bool = True,
    task: Literal["auto", "classification", "regression"] = "auto",
    ignore: Sequence[Name] = (),
    keep: Sequence[Name] = (),
    missing: Sequence[Name] = (),
    group: Name | None = None,
    order: Name | None = None,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """A table, one row a sample: numbers and words as inputs, a class or numbers as target.

    Whatever is concluded from the fields that a reader may not expect stands in the data set's note: columns that count
    the rows are left out, words among numbers are taken for missing values, `1.234,5` and `$1,234.5` are numbers.
    `initlab.data.columns.fit_columns` says what becomes of missing values and words; it is learned from the training
    rows without those that validate. Numbers to fit get mean 0 and variance 1 by the same rows: that leaves R² as it
    was, and predicting the mean then costs a loss of about 1.

    Args:
        path: The file, must be given: text, packed (.gz, .bz2, .xz) or not, Parquet, or Excel with initlab[excel].
        target: The column to predict, must be given; rows without a value in it are left out. Columns are called by
            their names, or by their places from 1, -1 the last. Several are numbers to fit together.
        test_path: A file with the same columns that holds the rows to test on; None: `test_fraction` of the rows of
            `path`.
        separator: What stands between fields, one character or the word tab; None: whichever of , ; tab and | the
            header line has most of.
        decimal: What stands before decimals; None: what the columns show.
        encoding: Of a text, e.g. utf-16 or latin-1; None: UTF-8, or what the mark at its beginning says.
        header: Whether the first line names the columns; else they are called 1, 2, …
        task: `"classification"`, `"regression"`, or `"auto"`: text is classes, and so are whole numbers of at most 20
            different values with 5 rows each on average; other numbers are to be fitted.
        ignore: Columns to leave out of the inputs.
        keep: Columns to keep that would be left out: those that count the rows, that have no name, or that split.
        missing: Further words that stand for a missing value.
        group: A column whose values are never on both sides of a split, e.g. a patient; it is no input.
        order: A column of numbers or dates: the rows to test on are the last by it, before them those that validate; it
            is no input.
        test_fraction: Share of all rows to test on, in (0, 1); without effect where `test_path` is given.
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits, whatever the seeds of the networks.
        stratify: Whether each class keeps its share in the splits; without effect with `group` or `order`.
        standardize: Whether columns of numbers get mean 0 and variance 1.

    Raises:
        UserError: a file or column that is not there, or a table that nothing can be learned from.
    """
    if path is None or target is None or target == []:
        raise UserError("data=csv needs data.path=FILE, a table with a header line, and data.target=COLUMN")
    if group is not None and order is not None:
        raise UserError("data.group, data.order: rows are split by groups or by order, not both")
    read = partial(
        _Table.read, separator=separator, encoding=encoding, header=header, missing={str(word) for word in missing}
    )
    table = read("data.path", path)
    splits_by = {"group": group, "order": order}
    roles = _Roles.of(table, target=target, ignore=ignore, keep=keep, **splits_by)
    goal = Goal.of(
        table.empty_are_missing(roles.target).dropna(how="all"),
        table.where,
        task,
        decimal=decimal,
        separator=table.separator,
    )
    labels, inputs, lost = table.rows_with(goal, roles)
    values = goal.parse(labels, table.where)
    split = roles.splitter(table, split_seed)
    if stratify and split is None:
        goal.refuse_rare_classes(values, labels, splits=(test_path is None) + (val_fraction > 0))
    columns = learn_columns(inputs, decimal=decimal, separator=table.separator)
    notes = [goal.remark, *(column.remark for column in columns.values()), *roles.remarks]
    parsed = _parse(inputs, columns, table.where)
    notes += [_remark_on_names(parsed), lost]
    tested: Arrays | float = test_fraction
    if test_path is not None:
        test = read("data.test_path", test_path)
        test_labels, test_inputs, test_lost = test.rows_with(goal, roles)
        tested = (_parse(test_inputs, columns, test.where), goal.parse(test_labels, test.where))
        notes.append(test_lost)
    return assemble(
        (parsed, values),
        tested,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
        task=goal.task,
        split=split,
        prepare=partial(fit_columns, standardize=standardize),
        note=sentences(notes),
    )


@dataclass(frozen=True)
class _Table:
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
    ) -> "_Table":
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

    def empty_are_missing(self, names: Sequence[str]) -> DataFrame:
        """Some columns, with NaN in place of what is empty, and of nothing else."""
        return self.fields[list(names)].mask(self.fields[list(names)] == "")

    def rows_with(self, goal: Goal, roles: "_Roles") -> tuple[DataFrame, DataFrame, str]:
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
class _Roles:
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
        table: _Table,
        *,
        target: Name | Sequence[Name],
        ignore: Sequence[Name],
        keep: Sequence[Name],
        group: Name | None,
        order: Name | None,
    ) -> "_Roles":
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

    def splitter(self, table: _Table, seed: int) -> Splitter | None:
        """How rows are split, None if they are shuffled.

        Raises:
            UserError: a row without a group, or without a number or date to order by.
        """
        if self.order is not None:
            return by_order(moments_of(self._complete(table, self.order, "order"), table.where))
        if self.group is not None:
            return by_group(self._complete(table, self.group, "group"), seed)
        return None

    def _complete(self, table: _Table, name: str, key: str) -> Series:
        texts = table.fields[name]
        if (texts == "").any():
            row = int((texts == "").to_numpy().argmax()) + 1
            raise UserError(f"{table.where}, row {row}: data.{key}={name}: nothing stands there")
        return texts


def _left_out(names: Sequence[str], why: str, why_all: str) -> str:
    """That columns were left out, and how to bring them back; empty if there are none."""
    if not names:
        return ""
    verb = f"{why}, and is" if len(names) == 1 else f"{why_all}, and are"
    return f"{', '.join(names)} {verb} left out; data.keep=[{','.join(names)}] brings back"


def _parse(inputs: DataFrame, columns: dict[str, Column], where: str) -> DataFrame:
    """The inputs, columns of numbers as numbers and columns of words as text, in the order of `columns`.

    Raises:
        UserError: the table has other columns, text among numbers, or an infinite number.
    """
    lacks, more = sorted(columns.keys() - {*inputs}), sorted({*inputs} - columns.keys())
    if lacks or more:
        differences = [f"it lacks {', '.join(lacks)}"] * bool(lacks) + [f"it has {', '.join(more)}"] * bool(more)
        raise UserError(f"{where}: other columns than data.path: {' and '.join(differences)}; see data.ignore")
    return DataFrame({name: column.parse(inputs[name], where) for name, column in columns.items()}, index=inputs.index)


def _remark_on_names(inputs: DataFrame) -> str:
    names = columns_of_names(inputs)
    return f"{', '.join(names)}: words that hardly recur; data.ignore=[{','.join(names)}] leaves them out" * bool(names)
