"""Mean-field theory of wide random networks: W ~ N(0, σ_w²/fan_in), b ~ N(0, σ_b²).

The variance of a pre-activation obeys q ← σ_w²·E[φ(√q z)²] + σ_b², z ~ N(0, 1), and a small difference between two
inputs grows by χ₁ = σ_w²·E[φ'(√q z)²] a layer (Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017,
arXiv:1611.01232).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from scipy.optimize import brentq

from initlab.activations import Activation, derivative_moment, second_moment
from initlab.errors import UserError

NEGLIGIBLE: Final = 1e-12
SMALL: Final = 1e-3
SEARCHED: Final = np.logspace(-8, 6, 57)  # of q*


@dataclass(frozen=True)
class CriticalPoint:
    """Where χ₁ = 1: differences between inputs neither fade nor grow.

    Attributes:
        weight_variance: σ_w².
        bias_variance: σ_b².
        fixed_point: q*; None where every q is one.
    """

    weight_variance: float
    bias_variance: float
    fixed_point: float | None


def critical_point(activation: Activation, bias_variance: float) -> CriticalPoint:
    """Solve χ₁(q*) = 1 for σ_w² at a given σ_b²; of several solutions the one with the smallest q*.

    Only a q* that attracts counts: GELU's and SiLU's at small σ_b² do not, and there a deep network leaves them and
    explodes.

    Args:
        activation: φ.
        bias_variance: σ_b².

    Raises:
        UserError: there is no such σ_w².

    Source: Schoenholz et al. 2017, arXiv:1611.01232, section 3.
    """
    return _critical_point(activation.name, tuple(activation.parameters.items()), bias_variance)


@lru_cache(maxsize=256)
def _critical_point(name: str, parameters: tuple[tuple[str, object], ...], bias_variance: float) -> CriticalPoint:
    activation = Activation(name, dict(parameters))
    homogeneous = positively_homogeneous(activation)
    if bias_variance == 0 and float(activation.function(torch.zeros(1))) == 0:
        point = _point(activation, NEGLIGIBLE, 0.0)
        if homogeneous:
            return replace(point, fixed_point=None)
        if _attracts(activation, replace(point, fixed_point=SMALL)):
            return replace(point, fixed_point=0.0)

    def excess(q: float) -> float:
        """How far σ_w²·E[φ²] + σ_b² misses q where σ_w² makes χ₁ one."""
        chi = derivative_moment(activation, variance=q)
        return second_moment(activation, variance=q) / chi + bias_variance - q if chi else np.inf

    values = np.array([excess(q) for q in SEARCHED])
    # A positively homogeneous φ gives q + σ_b² exactly, and rounding is no root.
    crossings = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    for crossing in () if homogeneous else crossings:
        q = float(brentq(excess, SEARCHED[crossing], SEARCHED[crossing + 1], xtol=1e-12))
        point = _point(activation, q, bias_variance)
        if _attracts(activation, point):
            return point
    hint = "only σ_b = 0 does" if homogeneous else "try a larger σ_b, or another activation"
    raise UserError(f"no σ_w makes {name} critical at σ_b² = {bias_variance:g} around a variance that attracts; {hint}")


def _point(activation: Activation, q: float, bias_variance: float) -> CriticalPoint:
    return CriticalPoint(1 / derivative_moment(activation, variance=q), bias_variance, q)


def _attracts(activation: Activation, point: CriticalPoint) -> bool:
    """Whether the variance map brings a q just above the fixed point closer to it."""
    assert point.fixed_point is not None
    above = point.fixed_point * (1 + SMALL)
    mapped = point.weight_variance * second_moment(activation, variance=above) + point.bias_variance
    return mapped <= above


def positively_homogeneous(activation: Activation) -> bool:
    """Whether φ(c·h) = c·φ(h) for c > 0, as for ReLU."""
    h = torch.linspace(-3, 3, 13, dtype=torch.float64)
    return bool(torch.allclose(activation.function(5 * h), 5 * activation.function(h), rtol=1e-9, atol=1e-12))
