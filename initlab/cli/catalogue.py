"""What there is to choose from, as tables and words: schemes, gains, and the columns of the tables of results."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.errors import UserError, nearest
from initlab.config.defaults import NAMED_GAINS
from initlab.initializers import Scheme
from initlab.initializers.gains import gain_value
from initlab.tables.schema import TABLE_ROWS, TABLES, describe_columns

WIDE = 110  # characters of a terminal in which each scheme's source has a column of its own


@dataclass(frozen=True)
class Gains:
    """An activation's gains; None where the rule knows none.

    Attributes:
        activation: Its name; its parameters are the defaults.
        kaiming: What `torch.nn.init.calculate_gain` says.
        moment: 1/√E[φ(z)²], z ~ N(0, 1).
        derivative: 1/√E[φ'(z)²].
    """

    activation: str
    kaiming: float | None
    moment: float | None
    derivative: float | None


def gains() -> list[Gains]:
    """The gains of every activation, with its default parameters."""
    return [Gains(name, *(_gain(rule, Activation(name)) for rule in NAMED_GAINS)) for name in ACTIVATIONS]


def _gain(rule: str, activation: Activation) -> float | None:
    try:
        return gain_value(rule, activation)
    except UserError:
        return None


def describe(scheme: Scheme) -> dict[str, Any]:
    """A scheme as plain data; a parameter without a default is null."""
    empty = inspect.Parameter.empty
    return {
        "name": scheme.name,
        "aliases": list(scheme.aliases),
        "level": scheme.level,
        "summary": scheme.summary,
        "source": scheme.source,
        "needs": list(scheme.needs),
        "bias": scheme.bias,
        "parameters": {key: None if value is empty else value for key, value in scheme.defaults.items()},
    }


def _explain(scheme: Scheme) -> str:
    """What a scheme's docstring tells a user: what it does, and the parameters that can be set.

    Args that the caller supplies (the weight, its fans, the generator), Returns and Raises are for those who write
    schemes.
    """
    words, *sections = re.split(r"\n(?=(?:Args|Returns|Raises|Source|Example):)", inspect.getdoc(scheme.function) or "")
    for section in sections:
        if section.startswith("Args:"):
            entries = re.split(r"\n(?=    \w+: )", section)[1:]
            shown = [entry.rstrip() for entry in entries if entry.split(":")[0].strip() in scheme.defaults]
            words = "\n".join([words.rstrip(), "", *shown] if shown else [words.rstrip()])
    return words.rstrip()


def schemes_table(schemes: Sequence[Scheme], *, width: int) -> Table:
    """One row a scheme; in a narrow terminal its source stands below what it does.

    Args:
        schemes: What to list.
        width: Of the terminal, in characters.
    """
    narrow = width < WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("init")
    table.add_column("what it does, and its source" if narrow else "what it does", overflow="fold", ratio=5)
    table.add_column("needs")
    if not narrow:
        table.add_column("source", overflow="fold", ratio=3)
    for scheme in schemes:
        name = "\n".join([f"[bold]{scheme.name}[/bold]", *scheme.aliases])
        summary, source = (
            escape(scheme.summary.replace("Fill `weight`", "weights").replace("`", "")),
            escape(scheme.source),
        )
        cells = (f"{summary}\n[dim]{source}[/dim]",) if narrow else (summary,)
        table.add_row(name, *cells, ", ".join(scheme.needs), *([] if narrow else [source]))
    return table


def gains_table() -> Table:
    """One row an activation."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("activation")
    for rule in NAMED_GAINS:
        table.add_column(rule, justify="right")
    for row in gains():
        numbers = (row.kaiming, row.moment, row.derivative)
        table.add_row(row.activation, *("—" if number is None else f"{number:.4f}" for number in numbers))
    return table


def show_scheme(console: Console, scheme: Scheme) -> None:
    """Print all there is to say of one scheme."""
    aliases = f" (also {', '.join(scheme.aliases)})" if scheme.aliases else ""
    console.print(f"[bold]{scheme.name}[/bold]{aliases}\n", highlight=False)
    console.print(_explain(scheme), markup=False, highlight=False)
    console.print(f"\nSource: {scheme.source}", markup=False, highlight=False)
    if scheme.needs:
        console.print(f"Needs: {', '.join(scheme.needs)}", highlight=False)
    for key, value in describe(scheme)["parameters"].items():
        console.print(f"init.{key}={'null' if value is None else value}", markup=False, highlight=False)


def _columns_table(name: str) -> Table:
    """One row a column of a stored table."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{name}.parquet: {TABLE_ROWS[name]}", title_justify="left")
    table.add_column("column", overflow="fold")
    table.add_column("type", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for column, text in describe_columns(name).items():
        table.add_row(column, str(TABLES[name].field(column).type), escape(text))
    return table


def show_columns(console: Console, names: Sequence[str]) -> None:
    """Print the columns of some stored tables, of all where none is named.

    Raises:
        UserError: there is no such table.
    """
    for name in names:
        if name not in TABLES:
            raise UserError(f"--columns {name}: unknown table; {nearest(name, TABLES)}")
    for name in names or TABLES:
        console.print(_columns_table(name))
