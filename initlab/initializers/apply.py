"""Applying a scheme to a network: which layer gets what, and from which stream of randomness."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Generator, Tensor, nn

from initlab.activations import Activation
from initlab.errors import UserError
from initlab.initializers.fans import Fan, fan_of_layer, weighted_layers
from initlab.initializers.gains import gain_value
from initlab.initializers.registry import find_scheme
from initlab.randomness import stream

BIAS_LIKE_TORCH: Final = "torch_default"


@dataclass(frozen=True)
class InitSpec:
    """What to do to a network's weights and biases.

    Attributes:
        scheme: A registered name or alias.
        parameters: The scheme's own, e.g. `{"gain": "moment", "truncated": True}`.
        bias: A number, or `"torch_default"` for U(±1/sqrt(fan_in)).
        output: The rule for the last layer; None: the same as for the others.
    """

    scheme: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bias: float | str = 0.0
    output: "InitSpec | None" = None


@torch.no_grad()
def initialize_model(model: nn.Module, spec: InitSpec, *, activation: Activation, seed: int) -> None:
    """Fill the weights and biases of every Linear and convolution of a model in place; norms are left alone.

    Args:
        model: Any module, on the CPU.
        spec: What to do.
        activation: What follows the layers, for gains that depend on it.
        seed: Each parameter draws from its own stream, `stream(seed, parameter name)`.

    Raises:
        UserError: an unknown scheme, a parameter that does not fit it, or a model without any such layer.
    """
    layers = weighted_layers(model)
    if not layers:
        raise UserError(f"{type(model).__name__} has no Linear or convolution that init={spec.scheme} could fill")
    last = next(reversed(layers))
    for name, (layer, weight) in layers.items():
        rule = spec.output if spec.output is not None and name == last else spec
        fan = fan_of_layer(layer)
        draw_weight(weight, rule, fan=fan, activation=activation, generator=stream(seed, f"{name}.weight"))
        if isinstance(layer.bias, Tensor):
            _fill_bias(layer.bias, rule.bias, fan=fan, generator=stream(seed, f"{name}.bias"))


def draw_weight(weight: Tensor, spec: InitSpec, *, fan: Fan, activation: Activation, generator: Generator) -> None:
    """Fill one weight in place by a scheme of level "weight"."""
    scheme = find_scheme(spec.scheme)
    arguments = dict(spec.parameters)
    if isinstance(arguments.get("gain"), str):
        arguments["gain"] = gain_value(arguments["gain"], activation)
    supplied = {"fan": fan, "generator": generator}
    arguments.update({name: supplied[name] for name in supplied if name in scheme.supplied})
    scheme.function(weight, **arguments)


def _fill_bias(bias: Tensor, rule: float | str, *, fan: Fan, generator: Generator) -> None:
    if isinstance(rule, str):
        if rule != BIAS_LIKE_TORCH:
            raise UserError(f"init.bias={rule}: expected a number or {BIAS_LIKE_TORCH}")
        bound = 1 / math.sqrt(fan.fan_in)
        nn.init.uniform_(bias, -bound, bound, generator=generator)
    else:
        nn.init.constant_(bias, rule)
