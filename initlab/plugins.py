"""Initializers of the user's own: modules that register them, and how the command line finds their names."""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from inspect import Parameter
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

from initlab.errors import UserError

ENTRY_POINTS = "initlab.initializers"


def load_plugins(modules: Sequence[str]) -> None:
    """Import modules that register initializers: those named, and those of installed packages.

    A package announces its module by an entry point of the group `initlab.initializers`.

    Raises:
        UserError: one that cannot be imported.
    """
    for module in [*modules, *_announced()]:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever importing the user's module raises
            reason = " ".join(str(error).split())
            raise UserError(f"plugins=[{module}]: cannot import it: {type(error).__name__}: {reason}") from error


def offer_plugins(arguments: Sequence[str]) -> None:
    """Make the initializers of plugins known to Hydra, as `init=NAME` with their parameters' defaults.

    Args:
        arguments: Of the command line; `plugins=[…]` is looked for, before Hydra composes anything.

    Raises:
        UserError: a plugin that cannot be imported.
    """
    named = [argument.lstrip("+") for argument in arguments if argument.lstrip("+").startswith("plugins=")]
    if not named and not _announced():
        return
    modules = [module for argument in named for module in _modules_in(argument)]
    load_plugins(modules)
    from initlab.initializers import list_initializers  # heavy: --help does without

    store = ConfigStore.instance()
    for scheme in list_initializers().values():
        if not scheme.function.__module__.startswith("initlab."):
            for name in (scheme.name, *scheme.aliases):
                defaults = {k: "???" if v is Parameter.empty else v for k, v in scheme.defaults.items()}
                store.store(group="init", name=name, node={"name": scheme.name, **defaults})


@cache
def _announced() -> tuple[str, ...]:
    """The modules that installed packages announce; looking through all packages takes a while."""
    return tuple(point.value for point in entry_points(group=ENTRY_POINTS))


def _modules_in(argument: str) -> list[str]:
    """The modules that one `plugins=` names: a word, or a list of words."""
    value: Any = OverridesParser.create().parse_override(argument).value()
    return [str(module) for module in value] if isinstance(value, list) else [str(value)]
