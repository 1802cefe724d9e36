"""What there is to choose from, as tables and words: schemes, gains, and the columns of the tables of results."""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.console import say
from initlab.base.errors import UserError, nearest
from initlab.config.defaults import NAMED_GAINS
from initlab.config.files import CONF
from initlab.initializers import Scheme
from initlab.initializers.facts import EXAMPLE_WORDS
from initlab.initializers.gains import gain_value
from initlab.initializers.recipes import example_of
from initlab.tables.schema import TABLE_ROWS, TABLES, describe_columns

# What the lecture says of schemes that nobody should train with, and the probe shows.
WHY_IT_FAILS: Mapping[str, str] = MappingProxyType(
    {
        "zeros": "It fails by symmetry: in a network with hidden layers no weight gets a gradient, so that none moves, "
        "and only the output's biases learn. Good for biases, and to compare with.",
        "ones": "It fails by symmetry: all units of a layer are equal, get the same gradient, and stay equal. Each "
        "layer is worth a single unit; and the signal grows by the fan_in in each.",
        "constant": "It fails by symmetry: all units of a layer are equal, get the same gradient, and stay equal. Each "
        "layer is worth a single unit.",
    }
)
RULE = re.compile(r"\b[NU]\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")  # a distribution, with brackets in it
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
    """A scheme as plain data; a parameter without a default is null, and a recipe's rules are those for an example."""
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
        **({"rules": example_of(scheme)} if scheme.level == "rules" else {}),
    }


def in_words(summary: str) -> str:
    """What a docstring says of its argument `weight`, for people who call nothing, as a sentence without marks."""
    return _unquoted(summary.replace("`weight`", "the weights"))


def _unquoted(text: str) -> str:
    return " ".join(re.sub(r"[`\"]", "", text).split())


def rule_by_default(scheme: Scheme) -> str | None:
    """The distribution that a scheme draws from where no parameter is set: `N(0, 2/fan_in)` of he_normal.

    None where it draws from none, or where no parameter is in it.
    """
    found = RULE.search(scheme.summary)
    if found is None or scheme.level == "rules":  # its rules are shown with their numbers
        return None
    values = {key: value for key, value in scheme.defaults.items() if isinstance(value, int | float | str)}
    rule = re.sub(r"\bfan\b", str(values.get("mode", "fan")), found[0])
    if values.get("gain") == 1:
        rule = re.sub(r"gain²? · ", "", rule)

    def number(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if not isinstance(value, int | float):
            return match[0]
        return f"{value**2 if match[2] else value:.4g}"

    rule = re.sub(r"(?<![a-z_])([a-z]+)(²?)(?![a-z_])", number, rule)
    return rule if rule != found[0] else None


def _texts(scheme: Scheme) -> dict[str, str]:
    """What each parameter does: in the words of the scheme's docstring, or of its file in conf.

    Args that the caller supplies (the weight, its fans, the generator) are for those who write schemes.
    """
    texts = {}
    for section in re.split(r"\n(?=(?:Args|Returns|Raises|Source|Example):)", inspect.getdoc(scheme.function) or ""):
        if section.startswith("Args:"):
            for entry in re.split(r"\n(?=    \w+: )", section)[1:]:
                key, _, text = entry.strip().partition(": ")
                texts[key] = _unquoted(text)
    path = CONF / "init" / f"{scheme.name}.yaml"
    commented = path.read_text(encoding="utf-8").replace("sqrt(2)", "√2") if path.exists() else ""
    for key, text in re.findall(r"^(\w+):.*?\s#\s*(.*)$", commented, re.MULTILINE):
        if key == "gain" or key not in texts:  # a gain's rules are words only on the command line
            texts[key] = f"{text[:1].upper()}{text[1:]}."
    return {key: texts.get(key, "") for key in scheme.defaults}


def _default_text(value: object) -> str:
    """A default as it is typed, a number in four digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
        summary, source = escape(in_words(scheme.summary)), escape(scheme.source)
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
    words = re.split(r"\n(?:Args|Returns|Raises|Source|Example):", inspect.getdoc(scheme.function) or "")[0]
    first, *others = words.rstrip().split("\n\n")
    default = rule_by_default(scheme)
    say(console, in_words(first) + (f" By default: {default}." if default else ""))
    for paragraph in [*others, *filter(None, [WHY_IT_FAILS.get(scheme.name)])]:
        say(console, f"\n{_unquoted(paragraph)}")
    parameters = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    parameters.add_column(no_wrap=True)
    parameters.add_column(overflow="fold")
    texts = _texts(scheme)
    for key, value in describe(scheme)["parameters"].items():
        parameters.add_row(escape(f"init.{key}={_default_text(value)}"), escape(texts[key]))
    if texts:
        say(console, "\nIts parameters, with what they are where nobody sets them:\n")
        console.print(parameters, highlight=False)
    if scheme.level == "rules":
        say(console, f"\nIts rules, of which the first that hits counts, for {EXAMPLE_WORDS}:\n")
        rules = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        for hit, done in example_of(scheme).items():
            rules.add_row(escape(hit), escape(done))
        console.print(rules, highlight=False)
    say(console, f"\nSource: {scheme.source}")
    if scheme.needs:
        say(console, f"Needs: {', '.join(scheme.needs)}")


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
