"""Any table in a file: `data=csv data.path=table.csv data.target=column`."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pandas import DataFrame

from initlab.base.errors import UserError
from initlab.base.wording import typed_list
from initlab.data.assemble import Arrays, assemble
from initlab.data.columns import columns_of_names, fit_columns, fit_columns_anew
from initlab.data.dataset import Dataset
from initlab.data.fields import Column, learn_columns, remark_on_strays, sentences
from initlab.data.table import Name, Roles, Table
from initlab.data.target_column import Goal

TOO_LARGE = "groups are too large to be split anew for each seed"


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
    rows without those that validate. Where rows are split anew for each seed, how many inputs there are does not depend
    on the split (`fit_columns_anew`). Numbers to fit get mean 0 and variance 1 by the training rows: that leaves R² as
    it was, and predicting the mean then costs a loss of about 1.

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
        group: A column whose values are never on both sides of a split, e.g. a patient; it is no input. Where rows are
            split anew for each seed, all splits have as many rows: of the groups that are taken to test on so many are
            drawn as `test_fraction` asks for, and as many train as every split has (`initlab.data.grouping`).
        order: A column of numbers or dates: the rows to test on are the last by it, before them those that validate; it
            is no input.
        test_fraction: Share of all rows to test on, in (0, 1); without effect where `test_path` is given.
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
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
        Table.read, separator=separator, encoding=encoding, header=header, missing={str(word) for word in missing}
    )
    table = read("data.path", path)
    splits_by = {"group": group, "order": order}
    roles = Roles.of(table, target=target, ignore=ignore, keep=keep, **splits_by)
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
    notes = [table.remark, goal.remark, *(column.remark for column in columns.values()), *roles.remarks]
    parsed = _parse(inputs, columns, table.where)
    notes += [_remark_on_names(parsed), lost]
    tested: Arrays | float = test_fraction
    groups, once = None, ""
    if test_path is None and split is not None:
        groups = roles.splitter_anew(table, inputs, test_fraction, val_fraction)
        once = "data.order splits by what came first" if group is None else TOO_LARGE
        notes += [f"{TOO_LARGE}: all networks have one split"] if group is not None and groups is None else []
    if test_path is not None:
        test = read("data.test_path", test_path)
        test_labels, test_inputs, test_lost = test.rows_with(goal, roles)
        tested = (_parse(test_inputs, columns, test.where), goal.parse(test_labels, test.where))
        strays = [remark_on_strays(name, column.strays_among(test_inputs[name])) for name, column in columns.items()]
        notes += [test_lost, *(f"{test.where}: {remark}" for remark in strays if remark)]
    return assemble(
        (parsed, values),
        tested,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
        task=goal.task,
        split=split,
        groups=groups,
        prepare=partial(fit_columns, standardize=standardize),
        prepare_anew=partial(fit_columns_anew, standardize=standardize),
        note=sentences(notes),
        split_once=once,
    )


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
    hint = f"{typed_list('data.ignore', names)} leaves {'it' if len(names) == 1 else 'them'} out"
    return f"{', '.join(names)}: words that hardly recur; {hint}" if names else ""
