"""Weights under which the logarithm of a gradient's norm walks without drift."""

import math

from torch import Generator, Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register


@register("random_walk", needs=("relu",), source="Sussillo & Abbott 2014, arXiv:1412.6558")
def random_walk(weight: Tensor, *, fan: Fan, activation: Activation, generator: Generator) -> None:
    """Fill `weight` from N(0, g²/fan_in), with g such that log-norms of gradients have no drift over depth.

    Weights that keep the mean square let the logarithm of a gradient's norm fall in narrow nets, by 1/(2N) a layer if
    they are linear, as the mean of a logarithm is less than the logarithm of the mean. g makes up for that: with N for
    fan_in it is exp(1/(2N)) in linear nets and √2·exp(1.2/(max(N, 6) − 2.4)) under ReLU. The first follows from
    E[ln χ²_N] ≈ ln N − 1/N; the second is a fit, within 1 % of the exact mean over the number of active units from
    N = 9 on, and 7 % above it at 6, where nets die often. Other activations have no such formula: their drift depends
    on the size of the signal.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        activation: The nonlinearity that follows the layer: ReLU, or the identity for linear nets.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: another activation.
    """
    weight.normal_(0.0, walking_gain(activation, fan.fan_in) / math.sqrt(fan.fan_in), generator=generator)


def walking_gain(activation: Activation, width: int) -> float:
    """The gain without drift.

    Args:
        activation: ReLU or the identity.
        width: N, how many inputs a unit has.

    Raises:
        UserError: another activation.
    """
    if activation.name == "relu":
        return math.sqrt(2) * math.exp(1.2 / (max(width, 6) - 2.4))
    if activation.name == "identity":
        return math.exp(1 / (2 * width))
    raise UserError(
        f"init=random_walk: has a gain for relu and identity, not for {activation.name}; choose another init"
    )
