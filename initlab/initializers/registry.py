"""The registry of initialization schemes."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, TypeVar

from initlab.errors import UserError, nearest

InitializerFunction = TypeVar("InitializerFunction", bound=Callable[..., None])

# What the caller hands to a scheme that declares it; the rest of its keywords are the user's to set.
SUPPLIED = frozenset({"fan", "generator"})


@dataclass(frozen=True)
class Scheme:
    """One registered initialization scheme.

    Attributes:
        name: What `init=` names.
        function: `fn(weight, *, fan, gain, generator, **parameters)`, which fills one weight in place. It declares
            those of `fan`, `gain` and `generator` that it uses, and its own parameters by keyword.
        level: `"weight"` for a function of one tensor, `"model"` for one of the whole network.
        source: The paper, or the library whose rule it is.
        summary: One line.
        aliases: The short names people type.
    """

    name: str
    function: Callable[..., None]
    level: Literal["weight", "model"]
    source: str
    summary: str
    aliases: tuple[str, ...] = ()

    @cached_property
    def supplied(self) -> frozenset[str]:
        """Those of `fan` and `generator` that the function declares."""
        return SUPPLIED & inspect.signature(self.function).parameters.keys()

    @property
    def settable(self) -> frozenset[str]:
        """The keyword parameters that a configuration may set."""
        declared = inspect.signature(self.function).parameters.values()
        return frozenset(p.name for p in declared if p.kind is p.KEYWORD_ONLY) - SUPPLIED


_SCHEMES: dict[str, Scheme] = {}
_ALIASES: dict[str, str] = {}


def register(
    name: str, *, source: str, aliases: tuple[str, ...] = (), level: Literal["weight", "model"] = "weight"
) -> Callable[[InitializerFunction], InitializerFunction]:
    """Register the decorated function as a scheme; its docstring's first line becomes the summary.

    Raises:
        ValueError: the name or an alias is taken, or the function has no docstring.
    """

    def add(function: InitializerFunction) -> InitializerFunction:
        for taken in (name, *aliases):
            if taken in _SCHEMES or taken in _ALIASES:
                raise ValueError(f"an initializer named {taken} is registered already")
        if not function.__doc__:
            raise ValueError(f"the initializer {name} has no docstring to take its summary from")
        summary = function.__doc__.strip().splitlines()[0]
        _SCHEMES[name] = Scheme(name, function, level, source, summary, aliases)
        _ALIASES.update(dict.fromkeys(aliases, name))
        return function

    return add


def find_scheme(name: str, *, where: str = "init") -> Scheme:
    """Look a scheme up by its name or an alias; `where` is the configuration key, for the error.

    Raises:
        UserError: there is none; the nearest names are given.
    """
    found = _SCHEMES.get(_ALIASES.get(name, name))
    if found is None:
        raise UserError(f"{where}={name}: unknown initializer; {nearest(name, [*_SCHEMES, *_ALIASES])}")
    return found


def list_initializers() -> Mapping[str, Scheme]:
    """Every registered scheme by its name."""
    return MappingProxyType(_SCHEMES)
