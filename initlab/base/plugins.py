"""Initializers and activations of the user's own: modules that register them on import."""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points

from initlab.base.errors import UserError
from initlab.base.own_code import reason_of

ENTRY_POINTS = "initlab.initializers"


def load_plugins(modules: Sequence[str]) -> None:
    """Import the modules that register further initializers or activations: those named, and those of packages.

    A package announces its module by an entry point of the group `initlab.initializers`.

    Args:
        modules: Dotted names, as in the key `plugins`; a module that was imported before is not run again.

    Raises:
        UserError: a module cannot be imported, for whatever reason.
    """
    for module in [*modules, *announced_plugins()]:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever importing the user's module raises
            raise UserError(f"plugins=[{module}]: cannot import it: {reason_of(error)}") from error


@cache
def announced_plugins() -> tuple[str, ...]:
    """The modules that installed packages announce. The search through all packages is made once."""
    return tuple(point.value for point in entry_points(group=ENTRY_POINTS))
