"""Weights for networks with sine activations."""

import math

from torch import Generator, Tensor, nn

from initlab.activations import Activation
from initlab.initializers.checks import check_positive
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register


@register("siren", source="Sitzmann et al. 2020, arXiv:2006.09661, section 3.2", bias="torch_default")
def siren(
    weight: Tensor,
    *,
    fan: Fan,
    activation: Activation,
    first: bool,
    omega: float | None = None,
    generator: Generator,
) -> None:
    """Fill `weight` from U(±sqrt(6/fan_in)/omega), the first layer's from U(±1/fan_in).

    It is made for the activation sin(omega · z).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        activation: The nonlinearity that follows the layer, which may know its omega.
        first: Whether this is the network's first weight, in the order of definition.
        omega: The frequency of the sine, above 0. None: that of the activation, or 30 where it has none.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the frequency omega is not positive.
    """
    frequency = float(activation.parameters.get("omega", 30.0)) if omega is None else omega
    check_positive(omega=frequency)
    bound = 1 / fan.fan_in if first else math.sqrt(6 / fan.fan_in) / frequency
    nn.init.uniform_(weight, -bound, bound, generator=generator)
