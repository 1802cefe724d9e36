"""Weights that let no ReLU be born dead."""

import math
from typing import Final

import torch
from torch import Generator, Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register

# The positive root of σ²/2 + E[u]·sqrt(2/π)·σ + E[u²] = 1 for u ~ Beta(2, 1), 0.6007.
STD: Final = math.sqrt(8 / (9 * math.pi) + 1) - math.sqrt(8 / (9 * math.pi))


@register(
    "rai",
    needs=("relu",),
    source="Lu et al. 2019, arXiv:1903.06733",
    unlike_theory="draws weights whose mean is not 0",
)
def rai(
    weight: Tensor, *, bias: Tensor | None, fan: Fan, activation: Activation, std: float = 0.6007, generator: Generator
) -> None:
    """Fill `weight` and biases from N(0, std²/fan_in), and one entry of each unit, at random, from Beta(2, 1).

    That is randomized asymmetric initialization: with one weight or bias between 0 and 1 a unit is seldom off for every
    input, so that deep and narrow ReLU nets are seldom born dead. std = 0.6007 is the root of
    σ²/2 + E[u]·√(2/π)·σ + E[u²] = 1 for u ~ Beta(2, 1), whose left side bounds what a layer multiplies the mean square
    of the signal by. It is a bound: in wide nets the factor itself is 0.745 a layer, by simulation.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        bias: Filled in place, shape (out,); None if the layer has none, or the user set another rule for it.
        fan: Fans of the layer, of which fan_in counts.
        activation: The nonlinearity that follows the layer, which must be ReLU.
        std: Standard deviation of the normal entries times √fan_in, at least 0.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the activation is not ReLU.
    """
    if activation.name != "relu":
        raise UserError(f"init=rai: made for relu, not for {activation.name}; choose another init")
    out, entering = weight.shape[0], weight[0].numel()
    entries = torch.empty(out, entering + (bias is not None), dtype=weight.dtype, device="cpu")
    entries.normal_(0.0, std / math.sqrt(fan.fan_in), generator=generator)
    chosen = torch.randint(entries.shape[1], (out, 1), generator=generator, device="cpu")
    uniform = torch.rand(out, 1, generator=generator, dtype=weight.dtype, device="cpu")
    entries.scatter_(1, chosen, uniform.sqrt())  # the inverse of Beta(2, 1)'s distribution function, x²
    weight.copy_(entries[:, :entering].reshape(weight.shape))
    if bias is not None:
        bias.copy_(entries[:, entering])
