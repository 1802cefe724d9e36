"""Initializers of the user's own: modules that register them when they are imported."""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points

from initlab.base.errors import UserError

ENTRY_POINTS = "initlab.initializers"


def load_plugins(modules: Sequence[str]) -> None:
    """Import modules that register initializers: those named, and those of installed packages.

    A package announces its module by an entry point of the group `initlab.initializers`.

    Raises:
        UserError: one that cannot be imported.
    """
    for module in [*modules, *announced_plugins()]:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever importing the user's module raises
            reason = " ".join(str(error).split())
            raise UserError(f"plugins=[{module}]: cannot import it: {type(error).__name__}: {reason}") from error


@cache
def announced_plugins() -> tuple[str, ...]:
    """The modules that installed packages announce; looking through all packages takes a while."""
    return tuple(point.value for point in entry_points(group=ENTRY_POINTS))
