"""To compose a configuration takes most of what a short command takes: in the tests' own process it is quicker.

Hydra's own code composes, but what it made of a choice of files, a word of the command line or a reference is kept for
the next time. Files are kept for good where they are initlab's and Hydra's own; with a test's own files among them,
Hydra composes as ever. Commands that run in processes of their own, as users start them, compose as they do for users.
"""

import copy
import importlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import takewhile
from typing import Any

import omegaconf._utils
import omegaconf.base
import yaml
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository, IConfigRepository
from hydra._internal.defaults_list import DefaultsList, Overrides
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from initlab.config.files import CONF


def compose_quicker() -> None:
    """Read YAML with libyaml where it is there, keep what was made, and compose nothing to see whether to sweep."""
    for place, name, quicker in QUICKER:
        setattr(place, name, quicker)


@contextmanager
def composed_by_hydra() -> Iterator[None]:
    """Compose as users' commands do for a while: all of it by Hydra, from files that it reads anew."""
    for place, name, of_hydra in OF_HYDRA:
        setattr(place, name, of_hydra)
    try:
        yield
    finally:
        compose_quicker()


_RULES: Any = omegaconf._utils.get_yaml_loader()


@cache
def _quick_loader() -> Any:
    """OmegaConf's loader, with the same rules, but libyaml in place of its parser in Python."""
    if not yaml.__with_libyaml__:
        return _RULES
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


_parse_rule: Callable[..., Any] = OverridesParser.parse_rule
_parsed: dict[tuple[str, str], Any] = {}


def _rule(parser: OverridesParser, s: str, rule_name: str) -> Any:
    """What a word of the command line says: a copy, which may be told more."""
    if (s, rule_name) not in _parsed:
        _parsed[s, rule_name] = _parse_rule(parser, s, rule_name)
    return copy.deepcopy(_parsed[s, rule_name])


# A tree of what a text refers to is only looked at.
_parse_reference: Callable[..., Any] = vars(omegaconf.base)["parse"]
_reference = lru_cache(maxsize=None)(_parse_reference)

_store: Callable[..., None] = ConfigStore.store
_stored: dict[tuple[str | None, str], str] = {}


def _keep_stored(store: ConfigStore, name: str, node: Any, group: str | None = None, **rest: Any) -> None:
    """Plugins add configurations: those that were composed without them are others."""
    _store(store, name, node, group, **rest)
    _stored[group, name] = repr((node, rest))


def _places(repository: IConfigRepository) -> tuple[Any, ...] | None:
    """Where files are looked for, and what plugins added; None where a test may have files of its own there."""
    paths = [source.path for source in repository.get_sources()]
    if any(path not in (str(CONF), "hydra.conf", "") for path in paths):
        return None
    return (*paths, *sorted(_stored.items(), key=str))


_load_config: Callable[..., Any] = ConfigRepository.load_config
_files: dict[tuple[Any, ...], bytes] = {}


def _file(repository: ConfigRepository, config_path: str) -> Any:
    """What a file holds."""
    places = _places(repository)
    if places is None:
        return _load_config(repository, config_path)
    if (places, config_path) not in _files:
        _files[places, config_path] = pickle.dumps(_load_config(repository, config_path))
    return pickle.loads(_files[places, config_path])


class _KeptDefaults(list[Any]):
    """Which files a configuration is composed of, with the key under which what became of them is kept."""

    key: tuple[Any, ...]


@dataclass(frozen=True)
class _Kept:
    found: DefaultsList
    defaults: _KeptDefaults


_create_defaults_list: Callable[..., DefaultsList] = vars(config_loader_impl)["create_defaults_list"]
_defaults: dict[tuple[Any, ...], _Kept] = {}


def _defaults_list(
    repo: IConfigRepository,
    config_name: str | None,
    overrides_list: Sequence[Any],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """Which files a configuration is composed of: that follows from the files that are chosen on the command line."""
    rest: tuple[Any, ...] = (prepend_hydra, skip_missing)
    places = _places(repo)
    if places is None:
        return _create_defaults_list(repo, config_name, overrides_list, *rest)
    typed = Overrides(repo=repo, overrides_list=list(overrides_list))
    values = {id(override) for override in typed.config_overrides}
    chosen = [override.input_line for override in overrides_list if id(override) not in values]
    key = (places, config_name, *rest, *chosen)
    if key not in _defaults:
        found = _create_defaults_list(repo, config_name, overrides_list, *rest)
        defaults = _KeptDefaults(found.defaults)
        defaults.key = key
        _defaults[key] = _Kept(found, defaults)
    kept = _defaults[key]
    return DefaultsList(
        defaults=kept.defaults,
        defaults_tree=kept.found.defaults_tree,
        config_overrides=typed.config_overrides,
        overrides=kept.found.overrides,
    )


_choices: Callable[..., DictConfig] = defaults_list._create_interpolation_map
_NO_CHOICES = OmegaConf.create()


def _choices_if_named(overrides: Overrides, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
    """What was chosen, for those files of a list whose names depend on it: most lists have none."""
    if any(default.is_interpolation() for default in defaults_list):
        return _choices(overrides, defaults_list, self_added)
    return _NO_CHOICES


_load_single: Callable[..., ConfigResult] = ConfigLoaderImpl._load_single_config


@dataclass
class _Merged(ResultDefault):
    """Stands for files that are merged already."""

    pickled: bytes = b""


def _single(loader: ConfigLoaderImpl, default: ResultDefault, repo: Any) -> ConfigResult:
    """What a file holds, or some files together."""
    if isinstance(default, _Merged):
        return ConfigResult(provider="", path="", config=pickle.loads(default.pickled), header={})
    return _load_single(loader, default, repo)


_compose_defaults: Callable[..., DictConfig] = ConfigLoaderImpl._compose_config_from_defaults_list
_composed: dict[tuple[Any, ...], bytes] = {}


def _from_defaults_list(loader: ConfigLoaderImpl, defaults: Sequence[ResultDefault], repo: Any) -> DictConfig:
    """What files say together, before values of the command line: pickled, which is copied quickest.

    Hydra's own come first, half of all, and are seldom others.
    """
    if not isinstance(defaults, _KeptDefaults):
        return _compose_defaults(loader, defaults, repo)
    if defaults.key not in _composed:
        first = [*takewhile(lambda default: str(default.config_path).startswith("hydra/"), defaults)]
        key = (defaults.key[0], *map(repr, first))
        if key not in _composed:
            _composed[key] = pickle.dumps(_compose_defaults(loader, first, repo))
        rest = [_Merged(pickled=_composed[key]), *defaults[len(first) :]]
        _composed[defaults.key] = pickle.dumps(_compose_defaults(loader, rest, repo))
    config: DictConfig = pickle.loads(_composed[defaults.key])
    return config


_deepcopy: Callable[..., DictConfig] = DictConfig.__deepcopy__


def _pickled_copy(config: DictConfig, memo: dict[int, Any]) -> DictConfig:
    """A copy as OmegaConf makes it, but quicker: what it is in stays the same and is not copied."""
    parent = config._get_parent()
    config.__dict__["_parent"] = None
    try:
        copied: DictConfig = pickle.loads(pickle.dumps(config))
    except (pickle.PicklingError, AttributeError, TypeError):  # it holds what is not pickled, such as a local class
        config.__dict__["_parent"] = parent
        return _deepcopy(config, memo)
    finally:
        config.__dict__["_parent"] = parent
    copied.__dict__["_parent"] = parent
    return copied


QUICKER: list[tuple[Any, str, Any]] = [
    (omegaconf._utils, "get_yaml_loader", _quick_loader),
    (omegaconf.base, "parse", _reference),
    (Hydra, "get_mode", _mode),
    (DictConfig, "__deepcopy__", _pickled_copy),
    (OverridesParser, "parse_rule", _rule),
    (ConfigStore, "store", _keep_stored),
    (ConfigRepository, "load_config", _file),
    (defaults_list, "_create_interpolation_map", _choices_if_named),
    (config_loader_impl, "create_defaults_list", _defaults_list),
    (ConfigLoaderImpl, "_load_single_config", _single),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list", _from_defaults_list),
]
OF_HYDRA: list[tuple[Any, str, Any]] = [(place, name, getattr(place, name)) for place, name, _ in QUICKER]
