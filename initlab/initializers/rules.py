"""What users give `initialize` to do: a name, a function, or rules for some parameters; made one checked record."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.facts import Role
from initlab.initializers.registry import find_scheme
from initlab.initializers.spec import COMMON, InitSpec, Rule, parse_init

Given = str | Callable[..., Any]
"""The name of a scheme, or a function that fills a tensor in place."""

Rules = Mapping[str | type[nn.Module], Given | tuple[Given, Mapping[str, Any]] | None]
"""By patterns of names, or classes of modules: what to do to what they hit; with parameters; or None to leave it."""

Recipe = Mapping[str | type[nn.Module] | Role | tuple[Role, int], Given | tuple[Given, Mapping[str, Any]] | None]
"""A named set of rules: as `Rules`, and by roles, of the whole network or of one of its blocks, from 0."""

ALL: Final = "*"  # the pattern of the rule for whatever no other rule hits
REST: Final = "keep"  # the scheme for that, where there is no such rule


def spec_of(given: Given | Rules, params: Mapping[str, Any]) -> InitSpec:
    """Make what a user gives one record.

    Example:
        >>> spec = spec_of({"head": "zeros", nn.Embedding: ("normal", {"std": 0.02}), "*": "he"}, {})
        >>> spec.scheme, [str(rule) for rule in spec.rules]
        ('he_normal', ['head', 'Embedding'])

    Args:
        given: A name, a function, or rules.
        params: Parameters of the scheme, or of the one that `"*"` names.

    Raises:
        UserError: an unknown name, a parameter that a scheme does not have, or a rule that is none of these.
    """
    if not isinstance(given, Mapping):
        return spec_of_given(given, params, where="init")
    rules = tuple(_rule(pattern, chosen) for pattern, chosen in given.items() if pattern != ALL)
    if ALL in given and list(given)[-1] != ALL:
        raise UserError(f"rule {ALL}: hits everything, so that it must be the last; {list(given)[-1]} stands behind it")
    chosen = given.get(ALL) or REST
    name, own = chosen if isinstance(chosen, tuple) else (chosen, {})
    spec = spec_of_given(name, {**own, **params}, where=f"rule {ALL}" if ALL in given else "init")
    return InitSpec(**{**vars(spec), "rules": (*rules, *spec.rules)})


def _rule(pattern: Any, chosen: Any) -> Rule:
    if not (isinstance(pattern, str) or (isinstance(pattern, type) and issubclass(pattern, nn.Module))):
        raise UserError(f"rule {pattern}: expected a pattern of names, such as '*.head', or a class of modules")
    shown = pattern if isinstance(pattern, str) else pattern.__name__
    if chosen is None:
        return Rule(pattern, None)
    name, own = chosen if isinstance(chosen, tuple) and len(chosen) == 2 else (chosen, {})
    spec = spec_of_given(name, own, where=f"rule {shown}")
    if spec.function is None and find_scheme(spec.scheme).level != "weight":
        raise UserError(
            f"rule {shown}: init={spec.scheme} works on whole networks; choose one that fills single weights"
        )
    return Rule(pattern, spec)


def spec_of_given(given: Any, params: Any, *, where: str) -> InitSpec:
    """The record of a name or a function with its parameters.

    Args:
        given: A scheme's name, or a function that fills a tensor in place.
        params: Its parameters by name, and those that all schemes have.
        where: Where they were given, for messages.

    Raises:
        UserError: an unknown name, a parameter that it does not have, or something else than these.
    """
    if not isinstance(params, Mapping):
        raise UserError(f"{where}: expected a scheme, or a pair of it and its parameters in a dict, got {params!r}")
    if isinstance(given, str):
        return parse_init({**params, "name": given}, where=where)
    if not callable(given) or isinstance(given, type):
        raise UserError(f"{where}: expected a scheme's name, a function that fills a tensor, or None, got {given!r}")
    name = getattr(given, "__name__", None) or getattr(getattr(given, "func", None), "__name__", "function")
    common = {key: value for key, value in params.items() if key in COMMON}
    own = {key: value for key, value in params.items() if key not in COMMON}
    signature = inspect.signature(given)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for key in own:
        if key not in signature.parameters and not takes_any:
            raise UserError(f"{where}.{key}: {name} has no such parameter; it has {', '.join(signature.parameters)}")
    spec = parse_init({**common, "name": "zeros"}, where=where)  # for the keys that all schemes have
    return InitSpec(**{**vars(spec), "scheme": name, "parameters": own, "function": given})
