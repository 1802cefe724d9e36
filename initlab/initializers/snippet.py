"""The call of `initlab.initialize` that does what a configuration says, as Python to paste."""

import inspect
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from initlab.activations import Activation
from initlab.initializers.registry import find_scheme
from initlab.initializers.spec import InitSpec, parse_init

# What a batch tells a scheme that needs it, unless the parameter beside does.
TOLD_BY_ROWS: Final[Mapping[str, str]] = MappingProxyType({"steps": "steps", "dropout": "p"})
# Data whose inputs are whole numbers that stand for something, whatever the configuration says.
ALWAYS_TOKENS: Final = frozenset({"initlab.data.text.text", "initlab.data.copy.copy", "initlab.data.recall.recall"})


def code_for(init: Mapping[str, Any], activation: Activation) -> str:
    """Lines of Python that initialize `model` as an `init` group of a configuration would.

    Where the scheme looks at data they name `inputs`, and where it looks at gradients `targets` and `loss`, too.

    Example:
        >>> print(code_for({"name": "he", "gain": "moment"}, Activation("tanh")))
        import initlab
        initlab.initialize(model, "he_normal", gain='moment', activation='tanh', seed=0)

    Args:
        init: The group, in plain data; keys that are null, or as the scheme has them by default, are left out.
        activation: The nonlinearity of the network, which is named only where the scheme depends on it.

    Raises:
        UserError: the group names an unknown scheme, or a parameter that the scheme does not have.
    """
    spec = parse_init(init, where="init")
    scheme = find_scheme(spec.scheme)
    given = {key: init[key] for key in init if key != "name" and _matters(key, init[key], scheme.defaults)}
    arguments = [f'"{scheme.name}"', *(f"{key}={value!r}" for key, value in given.items())]
    lines = ["import initlab", *_registering(spec)]
    if any(_depends_on_activation(part) for part in _parts(spec)):
        chosen = _own_parameters(activation)
        if chosen:
            lines.append("from initlab.activations import Activation")
        arguments.append(
            f"activation={f'Activation({activation.name!r}, {chosen!r})' if chosen else repr(activation.name)}"
        )
    if "loss" in scheme.needs or ("classes" in scheme.needs and spec.parameters.get("shares") is None):
        arguments.append("batch=(inputs, targets), loss=loss")
    elif "batch" in scheme.needs or any(
        need in scheme.needs and spec.parameters.get(key) is None for need, key in TOLD_BY_ROWS.items()
    ):
        arguments.append("batch=inputs")
    return "\n".join([*lines, f"initlab.initialize(model, {', '.join(arguments)}, seed=0)"])


def words_on_batch(init: Mapping[str, Any], data: Mapping[str, Any], loss: Mapping[str, Any]) -> str:
    """What the names in the lines of `code_for` stand for, in a sentence; empty where these name no data.

    Example:
        >>> words_on_batch({"name": "lsuv"}, {"standardize": True}, {})
        'Here inputs are rows to train on, a float32 tensor, standardized as in the study.'

    Args:
        init: The group of the initializer, in plain data.
        data: That of the data.
        loss: That of the loss.
    """
    spec = parse_init(init, where="init")
    needs = find_scheme(spec.scheme).needs
    if "classes" in needs and spec.parameters.get("shares") is None:
        return "Here targets are the classes of all rows to train on, which are counted; inputs and loss are any."
    told = any(need in needs and spec.parameters.get(key) is None for need, key in TOLD_BY_ROWS.items())
    if "batch" not in needs and not told:
        return ""
    tokens = data.get("tokens") is True or data.get("_target_") in ALWAYS_TOKENS
    kind = "a tensor of whole numbers" if tokens else "a float32 tensor"
    how = ", standardized as in the study" if data.get("standardize") is True and not tokens else ""
    inputs = f"Here inputs are rows to train on, {kind}{how}"
    if "loss" not in needs:
        return f"{inputs}."
    chosen = loss.get("_target_") or loss.get("name", "auto")
    named = "cross entropy for classes, the squared error for numbers" if chosen == "auto" else str(chosen)
    return f"{inputs}; targets are theirs, and loss(outputs, targets) is a scalar: in the study the mean of {named}."


def _registering(spec: InitSpec) -> list[str]:
    """A line for each module of the user's own that has to be imported, so that its schemes are known."""
    found = [find_scheme(part.scheme) for part in _parts(spec)]
    own = {one.function.__module__: one.name for one in found if one.function.__module__.partition(".")[0] != "initlab"}
    return [f"import {module}  # registers {name}" for module, name in own.items()]


def _matters(key: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    """Whether a key says more than its absence would.

    Args:
        key: Name of a parameter of the scheme, or one common to all schemes.
        value: What it is set to; `???` is Hydra's mark of what nobody has given.
        defaults: The scheme's own parameters with their defaults.
    """
    if value is None or value == "???":
        return False
    return key not in defaults or value != defaults[key]


def _parts(spec: InitSpec) -> Iterator[InitSpec]:
    """A rule, and those that it holds for the output layer and for what it starts from, at any depth."""
    yield spec
    for part in (spec.output, spec.base):
        if part is not None:
            yield from _parts(part)


def _depends_on_activation(spec: InitSpec) -> bool:
    scheme = find_scheme(spec.scheme)
    gain = spec.parameters.get("gain", scheme.defaults.get("gain"))
    return "activation" in scheme.supplied or isinstance(gain, str)


def _own_parameters(activation: Activation) -> dict[str, Any]:
    """The parameters of an activation that differ from their defaults."""
    declared = inspect.signature(activation.kind.build).parameters
    return {
        key: value
        for key, value in activation.parameters.items()
        if key not in declared or declared[key].default != value
    }
