"""Initializers and activations of the user's own on the command line: `init=NAME` for each that a plugin registers."""

from collections.abc import Sequence
from inspect import Parameter
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

from initlab.base.plugins import announced_plugins, load_plugins


def offer_plugins(arguments: Sequence[str]) -> None:
    """Make what plugins register known to Hydra: `init=NAME`, `activation=NAME`, with their parameters' defaults.

    Args:
        arguments: Of the command line; `plugins=[…]` is looked for, before Hydra composes anything.

    Raises:
        UserError: a plugin that cannot be imported.
    """
    named = [argument.lstrip("+") for argument in arguments if argument.lstrip("+").startswith("plugins=")]
    if not named and not announced_plugins():
        return
    modules = [module for argument in named for module in _modules_in(argument)]
    load_plugins(modules)
    from initlab.activations import ACTIVATIONS, BUILT_IN  # heavy: --help does without
    from initlab.initializers import list_initializers

    store = ConfigStore.instance()
    for scheme in list_initializers().values():
        if not scheme.function.__module__.startswith("initlab."):
            for name in (scheme.name, *scheme.aliases):
                defaults = {k: "???" if v is Parameter.empty else v for k, v in scheme.defaults.items()}
                store.store(group="init", name=name, node={"name": scheme.name, **defaults})
    for name in ACTIVATIONS.keys() - BUILT_IN:
        store.store(group="activation", name=name, node={"name": name, **ACTIVATIONS[name].defaults})


def _modules_in(argument: str) -> list[str]:
    """The modules that one `plugins=` names: a word, or a list of words."""
    value: Any = OverridesParser.create().parse_override(argument).value()
    return [str(module) for module in value] if isinstance(value, list) else [str(value)]
