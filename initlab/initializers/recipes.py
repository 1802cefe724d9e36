"""Recipes: named sets of rules, made into rules for the parameters of one network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from initlab.initializers.facts import EXAMPLE, Part, Role, look_at
from initlab.initializers.registry import Scheme
from initlab.initializers.rules import ALL, REST, Recipe, spec_of_given
from initlab.initializers.slots import Slot
from initlab.initializers.spec import InitSpec, Rule, scheme_of


def rules_of(
    spec: InitSpec, model: nn.Module, slots: Sequence[Slot], output: Sequence[Slot]
) -> tuple[InitSpec, tuple[Rule, ...]]:
    """What a named set of rules does to one network.

    Args:
        spec: The set's name and parameters, with the user's rules for biases and embeddings.
        model: The network.
        slots: Its weights.
        output: Those of its output layer.

    Returns:
        What is done to all weights that no rule hits; and the rules, of which the first that hits counts. A rule for
        what this network has not is among them, and hits nothing.

    Raises:
        UserError: the network is none that the recipe is made for.
    """
    scheme = scheme_of(spec)
    facts, parts = look_at(model, slots, output, where=f"init={scheme.name}")
    recipe: Recipe = scheme.function(facts, **spec.parameters)
    biases = {name for slot in slots for name, _ in slot.biases}
    rules = []
    for key, chosen in recipe.items():
        if key == ALL:
            continue
        pattern = _pattern(key, parts)
        if spec.bias is not None and isinstance(pattern, Part):  # the user's word on biases counts
            pattern = replace(pattern, names=pattern.names - biases)
        rules.append(Rule(pattern, _spec(chosen, spec, scheme)))
    rest = _spec(recipe.get(ALL, REST), spec, scheme)
    assert rest is not None
    return replace(rest, embedding=spec.embedding), tuple(rules)


def example_of(scheme: Scheme) -> dict[str, str]:
    """A recipe as words, for a network of GPT-2's size: by what a rule hits, what it does.

    Example:
        >>> from initlab.initializers import find_scheme
        >>> example_of(find_scheme("gpt2"))["end of a branch"]
        'normal, std=0.004082'

    Args:
        scheme: A registered scheme of level "rules".
    """
    recipe: Recipe = scheme.function(EXAMPLE)
    return {_words(key): _done(chosen) for key, chosen in recipe.items()}


def _pattern(key: Any, parts: Mapping[tuple[Role, int | None], Part]) -> str | type[nn.Module] | Part:
    if isinstance(key, Role):
        return parts[key, None]
    if isinstance(key, tuple):
        return parts[key]
    found: str | type[nn.Module] = key
    return found


def _spec(chosen: Any, spec: InitSpec, scheme: Scheme) -> InitSpec | None:
    """One rule of a recipe, with the user's bias, else its own, else the recipe's."""
    if chosen is None:
        return None
    name, own = chosen if isinstance(chosen, tuple) else (chosen, {})
    made = spec_of_given(name, own, where=f"init={scheme.name}")
    own_bias = scheme.bias if made.bias is None else made.bias
    return replace(made, bias=own_bias if spec.bias is None else spec.bias)


def _words(key: Any) -> str:
    if isinstance(key, tuple):
        return f"{key[0].value}, block {key[1]}"
    if isinstance(key, Role):
        return key.value
    return key if isinstance(key, str) else key.__name__


def _done(chosen: Any) -> str:
    if chosen is None:
        return "left as it was"
    name, own = chosen if isinstance(chosen, tuple) else (chosen, {})
    shown = name if isinstance(name, str) else name.__name__
    values = (f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in own.items())
    return ", ".join([shown, *values])
