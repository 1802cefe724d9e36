"""Tables of earlier versions, read as if this version had written them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pyarrow as pa

from initlab.tables.schema import TABLES

# Version 1 knew classification alone, and called its scores accuracies.
SCORES_OF_VERSION_1 = {
    "accuracy": "score",
    "val_accuracy": "val_score",
    "best_val_accuracy": "best_val_score",
    "test_accuracy": "test_score",
}


def upgrade(name: str, table: pa.Table, version: int) -> pa.Table:
    """Bring a stored table to the columns of this version.

    Args:
        name: A name of `schema.TABLES`, such as `members` or `signal`.
        table: The rows as they were written.
        version: The schema version that they were written with, at least 1.

    Returns:
        The columns of `schema.TABLES[name]` in their order; those that could not be known then are null.
    """
    for step in range(version, max(STEPS) + 1):
        table = STEPS[step](name, table)
    schema = TABLES[name]
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _from_1(_: str, table: pa.Table) -> pa.Table:
    table = table.rename_columns([SCORES_OF_VERSION_1.get(column, column) for column in table.column_names])
    return table.append_column("metric", pa.array(["accuracy"] * len(table), pa.string()))


def _from_2(_: str, table: pa.Table) -> pa.Table:
    return table  # version 3 adds why there is no prediction of a gradient, which nobody has kept


def _from_3(_: str, table: pa.Table) -> pa.Table:
    return table  # version 4 adds the table `rows`, which earlier jobs do not have


def _from_4(_: str, table: pa.Table) -> pa.Table:
    return table  # version 5 adds the tables `eigenvalues` and `lags`, which earlier probes do not have


def _from_5(_: str, table: pa.Table) -> pa.Table:
    return table  # version 6 adds how a cohort took its steps, which nobody has kept


STEPS: Mapping[int, Callable[[str, pa.Table], pa.Table]] = MappingProxyType(
    {1: _from_1, 2: _from_2, 3: _from_3, 4: _from_4, 5: _from_5}
)
