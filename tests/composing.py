"""To compose a configuration takes most of what a short command takes: in the tests' own process it is quicker.

Commands that run in processes of their own, as users start them, compose as they do for users.
"""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import omegaconf._utils
import yaml
from hydra._internal.hydra import Hydra
from hydra.types import RunMode


def compose_quicker() -> None:
    """Let libyaml read YAML where it is there, and do not compose all to see whether a command always sweeps."""
    if yaml.__with_libyaml__:
        omegaconf._utils.get_yaml_loader = cache(_quick_loader)
    Hydra.get_mode = _mode  # type: ignore[assignment, method-assign]


_RULES: Any = omegaconf._utils.get_yaml_loader()


def _quick_loader() -> Any:
    """OmegaConf's loader, with the same rules, but libyaml in place of its parser in Python."""
    parser: Any = importlib.import_module("yaml.cyaml").CParser

    class Loader(parser, _RULES):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            parser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader


_compose_to_see: Callable[..., RunMode | None] = Hydra.get_mode
_modes: dict[str | None, RunMode | None] = {}


def _mode(hydra: Hydra, config_name: str | None, overrides: list[str]) -> RunMode | None:
    """Whether a command sweeps, as its configuration says: but for experiments it says the same whatever is typed."""
    if any("hydra" in override or "experiment" in override for override in overrides):
        return _compose_to_see(hydra, config_name, overrides)
    if config_name not in _modes:
        _modes[config_name] = _compose_to_see(hydra, config_name, [])
    return _modes[config_name]
