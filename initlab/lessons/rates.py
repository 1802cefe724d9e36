"""What verdicts say of learning rates: where the best one is the last that was tried."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from initlab.lessons.finding import Tables
from initlab.lessons.reading import named

Row = Mapping[Hashable, Any]
NameKind = Callable[[str, Row], str]
MOST: Final = 4  # kinds of networks that are named


def at_the_end(tables: Tables, name_kind: NameKind | None = None) -> str:
    """A sentence on those kinds of networks whose best rate is the smallest or the largest one tried, or nothing.

    Args:
        tables: Of a lesson; in those called `candidates` a row is a kind of network at its best rate.
        name_kind: What a kind is called, from the name of its experiment and its row; None: as the tables have it.

    Returns:
        The sentence with a space before it, to go on after another.
    """
    parts = {name.removesuffix(".candidates"): tables[name] for name in tables if name.endswith(".candidates")}
    name_kind = name_kind or (_by_experiment if len(parts) > 1 else _by_row)
    kinds = {
        f"{name_kind(experiment, row)} ({float(row['rate']):g})": bool(row["at_edge"])
        for experiment, table in parts.items()
        for row in table.to_dict("records")
    }
    ends = [kind for kind, at_edge in kinds.items() if at_edge]
    if not ends:
        return ""
    many = f"{len(ends)} of {len(kinds)} kinds of networks, among them " if len(ends) > MOST else ""
    return (
        f" The smallest or largest learning rate tried is the best for {many}{named(ends[:MOST])}; beyond it they may "
        "do better."
    )


def _in_words(text: str) -> str:
    """A candidate or a setting, with what all pages call σ and layers in these words."""
    return re.sub(r"model\.depth=(\d+)", r"\1 layers", text.replace("init.std=", "σ = "))


def _by_experiment(experiment: str, row: Row) -> str:
    return f"{_by_row(experiment, row)} in {experiment}"


def _by_row(_: str, row: Row) -> str:
    """The candidate with its setting, and with the name of the data set where lessons compare several."""
    where = [_in_words(str(row[key])) for key in ("data", "setting") if str(row.get(key) or "") not in ("", "nan")]
    return f"{_in_words(str(row['candidate']))}{f' at {named(where)}' if where else ''}"
