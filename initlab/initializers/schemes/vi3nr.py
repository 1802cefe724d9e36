"""Weights for any activation at any size of the signal."""

import math

from torch import Generator, Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.checks import check_choice, check_positive
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register
from initlab.theory.moments import second_moment


@register("vi3nr", source="Hewa Koneputugodage et al. 2025, arXiv:2504.19270")
def vi3nr(
    weight: Tensor,
    *,
    fan: Fan,
    activation: Activation,
    first: bool,
    sigma_p: float = 1.0,
    input_rms: float = 1.0,
    distribution: str = "uniform",
    generator: Generator,
) -> None:
    """Fill `weight` with std σ_p/sqrt(fan_in · E[φ(σ_p·z)²]), z ~ N(0, 1), so that every pre-activation has std σ_p.

    The first layer's is σ_p/(input_rms · sqrt(fan_in)), as what enters it comes from the data. The authors' code
    estimates E[φ(σ_p·z)²] by sampling; here it is integrated. Biases are 0.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        activation: φ, the nonlinearity of the network.
        first: Whether this is the network's first weight, in the order of definition.
        sigma_p: σ_p, the standard deviation that pre-activations get, above 0.
        input_rms: Root of the mean square of the inputs, above 0; 1 for standardized ones.
        distribution: `"uniform"` or `"normal"`.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: sigma_p or input_rms is not positive, another distribution, or φ is 0 or infinite there.
    """
    check_positive(sigma_p=sigma_p, input_rms=input_rms)
    check_choice("distribution", distribution, "uniform", "normal")
    entering = input_rms**2 if first else second_moment(activation, variance=sigma_p**2)
    if not 0 < entering < math.inf:
        raise UserError(f"init.sigma_p={sigma_p:g}: E[φ²] of {activation.name} is {entering:g} there; choose another")
    std = sigma_p / math.sqrt(fan.fan_in * entering)
    if distribution == "uniform":
        weight.uniform_(-math.sqrt(3) * std, math.sqrt(3) * std, generator=generator)
    else:
        weight.normal_(0.0, std, generator=generator)
