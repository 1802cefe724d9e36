"""Weights and biases at the edge of chaos."""

import contextlib
import math
from functools import lru_cache

from torch import Generator, Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.checks import check_not_negative
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register
from initlab.theory.mean_field import CriticalPoint, critical_point, positively_homogeneous

# The first is that of Schoenholz et al., figures 1 to 5; GELU, Mish and SiLU have no attracting variance there.
USUAL_BIAS_VARIANCES = (0.05, 0.1, 0.2, 0.5, 1.0)


@register(
    "mean_field",
    aliases=("edge_of_chaos",),
    source="Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232",
)
def mean_field(
    weight: Tensor,
    *,
    bias: Tensor | None,
    fan: Fan,
    activation: Activation,
    sigma_b: float | None = None,
    sigma_w: float | None = None,
    generator: Generator,
) -> None:
    """Fill `weight` from N(0, σ_w²/fan_in) and biases from N(0, σ_b²), with σ_w such that χ₁ = 1 at σ_b.

    χ₁ is what a layer multiplies the mean square of a gradient by; where it is 1, gradients neither vanish nor explode.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        bias: Filled in place, shape (out,); None if the layer has none, or the user set another rule for it.
        fan: Fans of the layer, of which fan_in counts.
        activation: The nonlinearity that follows the layer, on which σ_w depends.
        sigma_b: σ_b, at least 0. None: 0 for positively homogeneous activations like ReLU, which allow no other; else
            the square root of the first of 0.05, 0.1, 0.2, 0.5 and 1 at which there is such a σ_w.
        sigma_w: σ_w, at least 0, used as it is, on the edge of chaos or off it; needs a `sigma_b`. None: the one that
            makes χ₁ = 1.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: sigma_b or sigma_w is negative, sigma_w is given alone, or no σ_w makes χ₁ = 1 there.
    """
    check_not_negative(sigma_b=sigma_b or 0.0, sigma_w=sigma_w or 0.0)
    if sigma_w is not None and sigma_b is None:
        raise UserError("init.sigma_w: set init.sigma_b, too")
    try:
        if sigma_b is None:
            point = critical_where_usual(activation)
        elif sigma_w is None:
            point = critical_point(activation, sigma_b**2)
        else:
            point = CriticalPoint(sigma_w**2, sigma_b**2, None)
    except UserError as error:
        raise UserError(f"init=mean_field: {error}") from error
    weight.normal_(0.0, math.sqrt(point.weight_variance / fan.fan_in), generator=generator)
    if bias is not None:
        bias.normal_(0.0, math.sqrt(point.bias_variance), generator=generator)


def critical_where_usual(activation: Activation) -> CriticalPoint:
    """The critical point that is taken where nobody says a σ_b.

    Args:
        activation: The nonlinearity φ that follows the layer.

    Raises:
        UserError: it has none at any of the usual σ_b².
    """
    return _usual_point(activation.name, tuple(activation.parameters.items()))


@lru_cache(maxsize=64)
def _usual_point(name: str, parameters: tuple[tuple[str, object], ...]) -> CriticalPoint:
    """The critical point at the first of the usual σ_b² that has one; found once, as every block of a network asks.

    Args:
        name: Of the nonlinearity φ. If it is positively homogeneous, like ReLU, the only candidate is σ_b² = 0.
        parameters: Its parameters, as pairs of name and value.

    Raises:
        UserError: none of them has a critical point.
    """
    activation = Activation(name, dict(parameters))
    if positively_homogeneous(activation):
        return critical_point(activation, 0.0)
    for variance in USUAL_BIAS_VARIANCES[:-1]:
        with contextlib.suppress(UserError):
            return critical_point(activation, variance)
    return critical_point(activation, USUAL_BIAS_VARIANCES[-1])
