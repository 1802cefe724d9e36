"""What to do to a network's weights, as a checked record."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Any, Literal

from torch import nn

from initlab.base.errors import UserError
from initlab.base.spellings import our_key
from initlab.config.calls import check_call, conforms
from initlab.config.defaults import check_gain
from initlab.initializers.facts import Part
from initlab.initializers.registry import BIAS_LIKE_TORCH, SUPPLIED, Scheme, find_scheme

COMMON = ("name", "bias", "output", "output_layer", "embedding", "rules")


@dataclass(frozen=True)
class InitSpec:
    """What to do to a network's weights and biases. `parse_init` makes it of a configuration, and checks it.

    Attributes:
        scheme: Name of a scheme; where `parse_init` made the record, its registered name rather than an alias.
        parameters: The scheme's own, e.g. `{"gain": "moment", "truncated": True}`; those left out keep their defaults.
        bias: A number, or `"torch_default"` for U(±1/sqrt(fan_in)); None: as the scheme says.
        output: The rule for the output layer; None: the same as for the other layers.
        output_layer: Name of that layer in the network; None: the last one that the network registers.
        base: For a scheme of level "model": the rule that fills the weights before, or a named set of rules; None: the
            scheme's own choice.
        embedding: The rule for embeddings; None: N(0, 0.02²) where the scheme scales by fans, which a table of rows to
            look up has not in that sense; else the same as for the other layers.
        rules: What is done to parameters apart, the first that hits one; those that none hits are as above.
        function: A function that fills a tensor in place, such as `nn.init.xavier_uniform_`, in place of a registered
            scheme; `scheme` is then its name.
    """

    scheme: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bias: float | str | None = None
    output: "InitSpec | None" = None
    output_layer: str | None = None
    base: "InitSpec | None" = None
    embedding: "InitSpec | None" = None
    rules: tuple["Rule", ...] = ()
    function: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Rule:
    """What to do to some parameters apart.

    Attributes:
        pattern: Which: a pattern of the names of parameters or of modules that hold them, such as `"*.o_proj"`; a class
            of modules; or, in a named set of rules, the part that they play in their network.
        spec: What to do to them; None: leave them as they are.
    """

    pattern: str | type[nn.Module] | Part
    spec: InitSpec | None

    def __str__(self) -> str:
        return self.pattern.__name__ if isinstance(self.pattern, type) else str(self.pattern)


def scheme_of(spec: InitSpec) -> Scheme:
    """The registered scheme of a rule, or its function as a scheme.

    Args:
        spec: The rule.

    Raises:
        UserError: there is no scheme of that name.
    """
    if spec.function is None:
        return find_scheme(spec.scheme)
    return Scheme(spec.scheme, spec.function, "weight", "a function", "", elementwise=False)


def beyond_theory(spec: InitSpec) -> str | None:
    """Why mean-field theory has nothing to say of the weights that a rule fills: it is about random ones.

    Args:
        spec: The rule for a whole network. What it does to single layers apart is left to a look at their weights.

    Returns:
        The scheme's name and the reason; None where theory has something to say.
    """
    for scheme in (scheme_of(spec), *([] if spec.base is None else [scheme_of(spec.base)])):
        if scheme.beyond_theory:
            return f"{scheme.name} {scheme.beyond_theory}"
    return None


def parse_init(config: Mapping[str, Any] | str, *, where: str, bias: float | str | None = None) -> InitSpec:
    """Read an `init` group: a scheme's name, its parameters, and the rules for biases and the output layer.

    Example:
        >>> parse_init("he", where="init").scheme
        'he_normal'
        >>> spec = parse_init({"name": "he", "gain": "moment", "output": "zeros"}, where="init")
        >>> spec.parameters, spec.output.scheme
        ({'gain': 'moment'}, 'zeros')
        >>> spec = parse_init({"name": "he", "rules": {"*.head": "zeros", "*.gate": None}}, where="init")
        >>> [(str(rule), rule.spec and rule.spec.scheme) for rule in spec.rules]
        [('*.head', 'zeros'), ('*.gate', None)]

    Args:
        config: The group in plain data, or the scheme's name or alias alone.
        where: Its key in the configuration, for the message, e.g. `"init"`.
        bias: The rule for biases where the group has none: so the output layer follows the other layers. None: as the
            scheme says.

    Raises:
        UserError: an unknown scheme, a parameter that it does not have, or a value of the wrong type.
    """
    if not isinstance(config, str | Mapping):
        raise UserError(f"{where}={config}: expected an initializer's name, or a group with a name")
    settings: dict[str, Any] = {"name": config} if isinstance(config, str) else {str(k): v for k, v in config.items()}
    settings = {key: value for key, value in settings.items() if value != "???"}  # Hydra's mark of what must be given
    scheme = find_scheme(str(settings.pop("name", None)), where=where)
    own = settings.pop("bias", None)
    if not conforms(own, float | Literal["torch_default"] | None):
        raise UserError(f"{where}.bias={own}: expected a number, {BIAS_LIKE_TORCH}, or null for the scheme's own rule")
    bias = bias if own is None else own
    output, output_layer, base, embedding, rules = (
        settings.pop(key, None) for key in ("output", "output_layer", "base", "embedding", "rules")
    )
    if not conforms(output_layer, str | None):
        raise UserError(f"{where}.output_layer={output_layer}: expected the name of a layer")
    if not isinstance(rules, Mapping | None):
        raise UserError(f"{where}.rules={rules}: expected patterns of names with a rule each, e.g. {{'*.head': zeros}}")
    known = {*COMMON, *scheme.settable}
    for key in [*settings, *(["base"] if base is not None else [])]:
        if key not in known:
            ours = our_key(key, str(settings.get(key)), scheme=scheme.name)
            hint = "" if ours is None else f"here it is {ours}; "
            raise UserError(
                f"{where}.{key}: init={scheme.name} has no such parameter; {hint}it has {', '.join(sorted(known))}"
            )
    supplied = ["weight", "model", "facts", *SUPPLIED]
    if "gain" in settings:  # a number, or the name of a rule, which no annotation tells
        check_gain(settings["gain"])
        supplied.append("gain")
    checked = {key: value for key, value in settings.items() if key != "gain"}
    _check_given(scheme, settings, where=where)
    check_call(scheme.function, checked, where=where, supplied=supplied)
    for key, value in {**checked, "bias": own}.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}.{key}={value}: expected a finite number")
    inherited = scheme.bias if bias is None else bias
    return InitSpec(
        scheme.name,
        settings,
        bias,
        _weight_rule(output, where=f"{where}.output", bias=inherited),
        output_layer,
        _base_rule(base, where=f"{where}.base", bias=bias, inherited=inherited),
        _weight_rule(embedding, where=f"{where}.embedding", bias=inherited),
        tuple(
            Rule(str(pattern), _weight_rule(rule, where=f"{where}.rules.{pattern}", bias=inherited))
            for pattern, rule in (rules or {}).items()
        ),
    )


def _check_given(scheme: Scheme, settings: Mapping[str, Any], *, where: str) -> None:
    """See that a scheme for single weights gets all that it asks for; what it may lack is often the network's to say.

    Args:
        scheme: Of any level.
        settings: What the user set.
        where: The key of the scheme's group, for the message.

    Raises:
        UserError: a parameter without a default was not set.
    """
    if scheme.level != "weight":
        return
    for name, default in scheme.defaults.items():
        if default is Parameter.empty and name not in settings:
            seen = "" if name == "gain" else ', or, if the network is to tell, register the scheme with level="model"'
            raise UserError(f"{where}.{name}: missing; {scheme.name} needs it: set {where}.{name}=VALUE{seen}")


def _base_rule(
    config: Mapping[str, Any] | str | None, *, where: str, bias: float | str | None, inherited: float | str
) -> InitSpec | None:
    """The rule that `base` holds; None where it is null. A named set of rules keeps its own biases.

    Args:
        config: What the key holds: a group, a scheme's name, or null.
        where: The key, for the message.
        bias: The rule for biases that the user gave; None for none.
        inherited: That, or the one of the scheme that works on what the base fills.

    Raises:
        UserError: it names a scheme that cannot be a base.
    """
    name = config.get("name") if isinstance(config, Mapping) else config
    if name is None or find_scheme(str(name), where=where).level != "rules":
        return _weight_rule(config, where=where, bias=inherited)
    assert config is not None
    return parse_init(config, where=where, bias=bias)


def _weight_rule(config: Mapping[str, Any] | str | None, *, where: str, bias: float | str) -> InitSpec | None:
    """The rule for single weights that a key such as `output` or `base` holds; None where the key is null.

    Args:
        config: What the key holds: a group, a scheme's name, or null.
        where: The key, for the message, e.g. `"init.output"`.
        bias: The rule for biases where the group has none.

    Raises:
        UserError: it names a scheme for whole networks, or has rules of its own.
    """
    if config is None:
        return None
    spec = parse_init(config, where=where, bias=bias)
    if find_scheme(spec.scheme).level != "weight":
        raise UserError(f"{where}={spec.scheme}: works on whole networks only; choose one that fills single weights")
    if spec.rules:
        raise UserError(f"{where}.rules: rules stand beside the scheme for all layers, in init.rules")
    return spec
