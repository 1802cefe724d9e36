"""python -m initlab.schemes: every initializer with its formula, source and needs; gains; the tables' columns."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from initlab.base.console import open_console, say, say_as_is, stop, survive_any_encoding
from initlab.base.errors import UserError
from initlab.base.importing import load
from initlab.base.plugins import load_plugins


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: What follows the program's name; None: what was typed.
    """
    parser = argparse.ArgumentParser(prog="python -m initlab.schemes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="say all about these schemes alone")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--columns", nargs="*", metavar="TABLE", help="the columns of these tables of results; of all if none is named"
    )
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="MODULE", help="with your own initializers and activations"
    )
    survive_any_encoding()
    chosen = parser.parse_args(arguments)
    load("initlab.cli.catalogue")  # heavy: --help does without
    from initlab.cli import catalogue
    from initlab.initializers import find_scheme, list_initializers

    sys.path.insert(0, str(Path.cwd()))
    console = open_console()
    try:
        if chosen.columns is not None:
            catalogue.show_columns(console, chosen.columns)
            return
        load_plugins(chosen.plugins)
        schemes = [find_scheme(name, where="schemes") for name in chosen.names] or sorted(
            list_initializers().values(), key=lambda scheme: scheme.name
        )
    except UserError as error:
        stop(error)
    if chosen.json:
        data = {
            "schemes": [catalogue.describe(scheme) for scheme in schemes],
            "gains": [asdict(row) for row in catalogue.gains()],
        }
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")
        return
    if chosen.names:
        for scheme in schemes:
            catalogue.show_scheme(console, scheme)
        return
    console.print(catalogue.schemes_table(schemes, width=console.width))
    say(console, "A scheme's parameters are init.KEY=VALUE; all about one:")
    say_as_is(console, "python -m initlab.schemes NAME")
    console.print(catalogue.gains_table())
    say(console, "init.gain=NAME; kaiming: torch's table, moment: 1/√E[φ(z)²], derivative: 1/√E[φ'(z)²]")
