"""Calling what a configuration names: the target is imported, and its arguments are checked before it is called."""

import importlib
import importlib.util
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, Union

from initlab.base.errors import UserError, closest, nearest
from initlab.base.importing import load
from initlab.base.own_code import reason_of


def import_target(path: object, *, where: str, key: str = "_target_") -> Callable[..., Any]:
    """Import the function or class that a `_target_` names.

    Args:
        path: A dotted name, e.g. `torch.optim.Adam`; anything else is an error.
        where: The configuration group that holds it, for the message, e.g. `"optim"`.
        key: Its key in that group.

    Raises:
        UserError: it is no dotted name, or cannot be imported.
    """
    if not isinstance(path, str) or "." not in path:
        raise UserError(f"{where}.{key}={path}: expected the dotted name of a function or class")
    module, _, attribute = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(load(module), attribute)
    except Exception as error:  # whatever importing the user's module raises
        raise UserError(f"{where}.{key}={path}: cannot import it: {reason_of(error)}{_meant(path)}") from error
    return found


def _meant(path: str) -> str:
    """What the part of a dotted name that cannot be found was probably meant to be, to end a message; or nothing."""
    parts = path.split(".")
    for place in range(1, len(parts)):
        known, part = ".".join(parts[:place]), parts[place]
        try:
            names = [name for name in dir(importlib.import_module(known)) if not name.startswith("_")]
        except Exception:  # whatever importing raises: the message has it
            return ""
        if part not in names and not _is_module(f"{known}.{part}"):
            close = closest(part, names, cutoff=0.75)
            kept = f"{known}." if place < len(parts) - 1 else ""
            return f"; did you mean {' or '.join(kept + name for name in close)}?" if close else ""
    return ""


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # what it would be in is no package
        return False


def instead_of_list(key: str, value: object) -> str:
    """What to type in place of a list where one value is expected, to end a message; empty for any other value.

    Example:
        >>> instead_of_list("optim.lr", [0.1, 0.01])
        '; to sweep over several, -m optim.lr=0.1,0.01'

    Args:
        key: The whole key.
        value: What was typed.
    """
    if not isinstance(value, list) or not value or any(isinstance(entry, list | dict) for entry in value):
        return ""
    return f"; to sweep over several, -m {key}={','.join(map(str, value))}"


def check_call(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    where: str,
    supplied: Sequence[str] = (),
    choice: str = "",
) -> None:
    """Check configured arguments against what a function or class takes, before it is called.

    Example:
        >>> def ring(*, rows: int = 500): ...
        >>> check_call(ring, {"rows": 100}, where="data")
        >>> check_call(ring, {"rows": "many"}, where="data")
        Traceback (most recent call last):
            ...
        initlab.base.errors.UserError: data.rows=many: expected a whole number

    Args:
        function: What will be called: its signature and annotations say which keys there are, and of what type.
        given: The configured keyword arguments.
        where: Their configuration group, which comes first in the message; empty for keys at the top.
        supplied: Arguments that the program passes itself, and a configuration must not.
        choice: What was typed to choose the function, for the message; may be empty.

    Raises:
        UserError: an unknown or missing key, or a value of the wrong type.
    """
    prefix = f"{where}." if where else ""
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    open_names = [name for name in allowed if name not in supplied]
    hints = _hints(function)
    for key, value in given.items():
        if key not in open_names and (key in supplied or not takes_any):
            known = [name for name in open_names if not name.startswith("_")]
            of = f" of {choice}" if choice else ""
            raise UserError(f"{prefix}{key}: unknown key{of}; {nearest(str(key), known)}")
        hint = hints.get(key, Any)
        if not conforms(value, hint):
            swept = "" if _takes_list(hint) else instead_of_list(f"{prefix}{key}", value)
            raise UserError(f"{prefix}{key}={value}: expected {describe(hint)}{swept}")
    for name in open_names:
        if parameters[name].default is inspect.Parameter.empty and name not in given:
            raise UserError(f"{prefix}{name}: missing; {function.__name__} needs it")


def as_words(function: Callable[..., Any], given: Mapping[str, Any], typed: Mapping[str, str]) -> dict[str, Any]:
    """Arguments in which what looks like a number is a word, wherever the function takes a word and no number.

    Example:
        >>> def table(*, target: str, rows: int = 5): ...
        >>> as_words(table, {"target": 7, "rows": 7}, {"target": "007"})
        {'target': '007', 'rows': 7}

    Args:
        function: What will be called.
        given: The configured keyword arguments.
        typed: By key, the text that was typed for it, if any was.
    """
    hints = _hints(function)
    result = dict(given)
    for key, value in given.items():
        hint = hints.get(key, Any)
        if conforms(value, hint):
            continue
        if isinstance(value, list):
            words: Any = [str(entry) if isinstance(entry, int | float) else entry for entry in value]
        elif isinstance(value, int | float):
            words = typed.get(key, str(value))
        else:
            continue
        if conforms(words, hint):
            result[key] = words
    return result


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError):  # a library's annotation that cannot be resolved checks nothing
        return {}


def conforms(value: Any, hint: Any) -> bool:
    """Whether a configured value fits an annotation.

    Whole numbers fit `float`, words fit `Path`, and mappings fit a dataclass; true and false fit `bool` alone. An
    annotation of a type that no configuration can hold, such as `Tensor`, is fitted by nothing that one holds.

    Example:
        >>> conforms(1, float), conforms(True, int), conforms([1, 2], Sequence[int]), conforms(None, int | None)
        (True, False, True, True)

    Args:
        value: Plain data, as YAML holds it.
        hint: The annotation, as `typing.get_type_hints` gives it.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(conforms(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, str | Path)
    if is_dataclass(hint):  # a group of keys with a record of its own
        return isinstance(value, Mapping)
    container = origin or hint
    if isinstance(container, type) and issubclass(container, Mapping):
        return isinstance(value, Mapping)
    if isinstance(container, type) and issubclass(container, Sequence):
        item = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(conforms(entry, item) for entry in value)
    return isinstance(hint, type) and isinstance(value, hint)


def describe(hint: Any) -> str:
    """An annotation in words, for an error message.

    Example:
        >>> describe(float | None), describe(Literal["auto", "vmap"]), describe(Sequence[int])
        ('a number or null', 'one of auto, vmap', 'a list with a whole number in each place')

    Args:
        hint: The annotation, as `typing.get_type_hints` gives it.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in arguments if _can_be_written(option))
    if origin is Literal:
        return f"one of {', '.join(str(option) for option in arguments)}"
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", Path: "a path"}
    if hint is None or hint is type(None):
        return "null"
    container = origin or hint
    if is_dataclass(hint) or (isinstance(container, type) and issubclass(container, Mapping)):
        return "a group of keys"
    if isinstance(container, type) and issubclass(container, Sequence) and hint is not str:
        return "a list" + (f" with {describe(arguments[0])} in each place" if arguments else "")
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def _takes_list(hint: Any) -> bool:
    """Whether some list would fit an annotation."""
    return conforms([], hint) or any(map(_takes_list, typing.get_args(hint)))


def _can_be_written(hint: Any) -> bool:
    """Whether a configuration file could write a value of this type at all."""
    plain = (float, int, bool, str, Path, None, type(None))
    return hint in plain or is_dataclass(hint) or typing.get_origin(hint) is not None
