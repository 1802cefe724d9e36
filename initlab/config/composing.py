"""Composing many jobs: what differs in plain numbers alone is composed once, and the numbers are set in it.

Hydra takes 0.1 s for a job, a third of it to read the same files again, and setting a number takes nothing. Whatever is
not sure to come out as Hydra would have it is left to Hydra.
"""

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from initlab.config.names import key_of
from initlab.config.plain import as_plain, without_hydra

Compose = Callable[[list[str]], DictConfig]

# A number as Hydra's grammar has it: 007 is a word there.
NUMBER: Final = re.compile(
    r"(?P<key>\+{0,2}[A-Za-z_]\w*(?:\.\w+)*)="
    r"(?P<value>(?P<whole>-?(?:0|[1-9]\d*))|-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
)
# Resolvers whose value depends on the keys that are named in their arguments, and on no others.
PLAIN_RESOLVERS: Final = ("oc.select:", "oc.env:", "started:")
RESOLVER: Final = re.compile(r"[\w.]+:")
REFERENCE: Final = re.compile(r"[\w.]+")


@dataclass(frozen=True)
class _Composed:
    """What Hydra made of the first of some jobs that differ in numbers.

    Attributes:
        plain: All of it as plain data, references resolved, without Hydra's own part.
        free: The keys whose numbers may be set in it: nothing else follows from them.
    """

    plain: Mapping[str, Any]
    free: Collection[str]


class KeptFiles:
    """Where Hydra finds configurations, but that each file is read once, and not once a job.

    Where the command or its configuration names more places to look in, Hydra reads all of them for each job, as ever.

    Args:
        found: Hydra's own, which has no type of its own outside Hydra.
    """

    def __init__(self, found: Any) -> None:
        self._found = found
        self.kept: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """What Hydra asks for before it composes a job: it may look in other places for this one."""
        other = type(self)(copy.deepcopy(self._found, memo))
        other.kept = self.kept
        return other

    def initialize_sources(self, places: Any) -> None:
        """Look in other places."""
        self._found.initialize_sources(places)
        self.kept = {}

    def load_config(self, config_path: str) -> Any:
        """What a file holds; a copy, which Hydra merges others into."""
        if config_path not in self.kept:
            self.kept[config_path] = self._found.load_config(config_path)
        found = copy.copy(self.kept[config_path])
        if found is not None:
            found.config = copy.deepcopy(found.config)
        return found


def read_once(loader: Any) -> None:
    """Let Hydra read each file of a command's configurations once.

    Args:
        loader: Hydra's, as its plugins get it. Where it is made in another way than those that are known, it stays.
    """
    if hasattr(loader, "repository") and not isinstance(loader.repository, KeptFiles):
        loader.repository = KeptFiles(loader.repository)


class Composer:
    """Composes the jobs of a command.

    Args:
        compose: From the overrides of a job to its configuration, as Hydra composes it; it may be slow.
    """

    def __init__(self, compose: Compose) -> None:
        self._compose = compose
        self._known: dict[tuple[str, ...], _Composed | ConfigCompositionException] = {}

    def plain(self, overrides: Sequence[str]) -> Mapping[str, Any]:
        """A job's configuration as plain data, references resolved, without Hydra's own part.

        Jobs share what they have in common, so that nothing in it may be changed.

        Args:
            overrides: Those that make the job, such as `["init=he", "optim.lr=0.1"]`.

        Raises:
            ConfigCompositionException: it cannot be composed.
        """
        numbers = {found["key"]: _value_of(found) for text in overrides if (found := NUMBER.fullmatch(text))}
        form = tuple(f"{found['key']}=" if (found := NUMBER.fullmatch(text)) else text for text in overrides)
        first = self._known.get(form)
        if first is None:
            try:
                config = self._compose(list(overrides))
            except ConfigCompositionException as error:
                self._known[form] = error
                raise
            first = self._known[form] = _composed(config, numbers, form)
            return first.plain
        if isinstance(first, ConfigCompositionException):
            raise first
        plain = first.plain
        for key, value in numbers.items():
            path = key.lstrip("+").split(".")
            held = _held(plain, path)
            if type(held) is type(value) and held == value:
                continue
            if key not in first.free:
                return as_plain(self._compose(list(overrides)))
            plain = _with(plain, path, value)
        return plain


def _value_of(found: re.Match[str]) -> int | float:
    return int(found["value"]) if found["whole"] else float(found["value"])


def _composed(config: DictConfig, numbers: Mapping[str, int | float], form: Sequence[str]) -> _Composed:
    """Take in what Hydra composed.

    Args:
        config: The configuration of a job.
        numbers: By their keys, the numbers among its overrides.
        form: Its overrides, without the values of numbers.
    """
    plain, references = (
        as_plain(config),
        list(_references(OmegaConf.to_container(without_hydra(config), resolve=False))),
    )
    others = [text for text in form if text.removesuffix("=") not in numbers]
    free = set()
    for key, value in numbers.items():
        path = key.lstrip("+")
        held = _held(plain, path.split("."))
        once = sum(key_of(text) == path for text in form) == 1
        as_typed = type(held) is type(value) and held == value
        if once and as_typed and not _is_touched(path, others) and not _is_used(path, references):
            free.add(key)
    return _Composed(plain, free)


def _held(plain: Mapping[str, Any], path: Sequence[str]) -> Any:
    """What a nested configuration holds at a path; None where there is nothing."""
    held: Any = plain
    for name in path:
        held = held.get(name) if isinstance(held, Mapping) else None
    return held


def _with(plain: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A nested configuration with another value at a path that it has; it shares all else with the former one."""
    name, *rest = path
    return {**plain, name: _with(plain[name], rest, value) if rest else value}


def _references(held: Any) -> Iterator[str]:
    """The texts in a configuration that refer to something."""
    if isinstance(held, Mapping):
        for value in held.values():
            yield from _references(value)
    elif isinstance(held, list):
        for value in held:
            yield from _references(value)
    elif isinstance(held, str) and "${" in held:
        yield held


def _is_touched(path: str, others: Sequence[str]) -> bool:
    """Whether another override sets or removes a key, or what it is in, as `optim={lr:0.1}` and `~optim.lr` do."""
    for text in others:
        key, _, value = text.partition("=")
        above = key_of(text)
        if (path == above or path.startswith(f"{above}.")) and (key.startswith("~") or value.lstrip()[:1] in "{["):
            return True
    return False


def _is_used(path: str, references: Sequence[str]) -> bool:
    """Whether something may follow from a key: it is referred to, or what it is in, or that cannot be told."""
    return any(_may_mean(path, text) for text in references)


def _may_mean(path: str, text: str) -> bool:
    """Whether a text that refers to something may refer to a key, or to what it is in."""
    parts = path.split(".")
    above = [".".join(parts[: end + 1]) for end in range(len(parts))]  # the key, and what it is in
    for part in text.split("${")[1:]:
        resolver = RESOLVER.match(part)
        if resolver and resolver[0] not in PLAIN_RESOLVERS:
            return True
        named = part.removeprefix(resolver[0] if resolver else "")
        if "}" not in named and not named.endswith(","):  # the name goes on with what another key holds
            if not named or named.startswith(".") or any(one.startswith(named) for one in above):
                return True
            continue
        relative = named.startswith(".")
        for name in (found.strip(".") for found in REFERENCE.findall(named)):
            if name in above or (relative and any(f".{one}".endswith(f".{name}") or not name for one in above)):
                return True
    return False
