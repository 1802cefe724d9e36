"""Weights and biases at the edge of chaos."""

import math

from torch import Generator, Tensor

from initlab.activations import Activation
from initlab.errors import UserError
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register
from initlab.signal.mean_field import critical_point, positively_homogeneous

USUAL_BIAS_VARIANCE = 0.05  # of Schoenholz et al., figures 1 to 5


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
    generator: Generator,
) -> None:
    """Fill `weight` from N(0, σ_w²/fan_in) and biases from N(0, σ_b²), with σ_w such that χ₁ = 1 at σ_b.

    `sigma_b` None: 0 for positively homogeneous activations like ReLU, which allow no other, else sqrt(0.05).

    Raises:
        UserError: sigma_b is negative, or no σ_w is critical there.
    """
    if sigma_b is not None and sigma_b < 0:
        raise UserError(f"init.sigma_b={sigma_b}: expected a number that is not negative")
    usual = 0.0 if positively_homogeneous(activation) else USUAL_BIAS_VARIANCE
    try:
        point = critical_point(activation, usual if sigma_b is None else sigma_b**2)
    except UserError as error:
        raise UserError(f"init=mean_field: {error}") from error
    weight.normal_(0.0, math.sqrt(point.weight_variance / fan.fan_in), generator=generator)
    if bias is not None:
        bias.normal_(0.0, math.sqrt(point.bias_variance), generator=generator)
