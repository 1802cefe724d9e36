"""Mean-field theory of wide random networks: W ~ N(0, σ_w²/fan_in), b ~ N(0, σ_b²).

The second moment q of a pre-activation obeys the variance map

    q ← σ_w²·E[φ(√q z)²] + σ_b²,  z ~ N(0, 1).

The correlation c of two inputs whose variance has settled at q* obeys the correlation map

    c ← (σ_w²·E[φ(u₁) φ(u₂)] + σ_b²)/q*,  u₁, u₂ ~ N(0, q*) with correlation c.

Each layer multiplies the mean square of a gradient, and that of a small difference between two inputs, by
χ₁ = σ_w²·E[φ'(√q z)²]. Near its fixed point each map approaches it as exp(-layer/ξ), where ξ is its depth scale.
Orthogonal weights of the same scale obey the same maps; they differ in the spectrum of the Jacobian.

Sources: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232; Pennington et al. 2017,
arXiv:1711.04735.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_fourth_moment,
    derivative_moment,
    derivative_moments,
    second_moment,
    second_moment_slopes,
    second_moments,
)

NEGLIGIBLE: Final = 1e-24  # a variance at which every smooth φ is linear
HUGE: Final = 1e12  # and one at which it is what it is far out
SMALL: Final = 1e-3
DEPTH_SCALES: Final = 6  # how many of its depth scales a network may be deep (Schoenholz et al. 2017, section 5)
TOLERANCE: Final = 1e-9  # of what counts as exactly critical
LIMIT_TOLERANCE: Final = 1e-4  # the same where a limit is looked at from HUGE
SEARCHED: Final = np.logspace(-8, 12, 401)  # of q*
SEARCHED_FOR_CRITICAL: Final = np.logspace(-8, 6, 57)

Phase = Literal["ordered", "critical", "chaotic"]


@dataclass(frozen=True)
class CriticalPoint:
    """Where χ₁ = 1: differences between inputs neither fade nor grow from layer to layer.

    Attributes:
        weight_variance: σ_w², fan_in times the variance of a weight.
        bias_variance: σ_b², the variance of a bias.
        fixed_point: q*, the variance that pre-activations settle at; 0 where they fade ever more slowly, as with tanh
            and no bias; None where every variance is a fixed point, as with ReLU.
    """

    weight_variance: float
    bias_variance: float
    fixed_point: float | None


@dataclass(frozen=True)
class MeanField:
    """What becomes of signal and gradient in a deep network.

    Attributes:
        weight_variance: σ_w², fan_in times the variance of a weight.
        bias_variance: σ_b², the variance of a bias.
        fixed_point: q*, the variance that a signal of variance 1 comes to; infinite where it grows for ever, None where
            every variance is a fixed point.
        chi: χ₁ at q*: what a layer multiplies the mean square of a gradient by.
        correlation: c*, the correlation that different inputs come to; None where that depends on where they started.
        variance_depth: ξ_q, the number of layers in which a deviation from q* falls by a factor of e; infinite where it
            does not, NaN where there is no finite q*.
        correlation_depth: ξ_c, the same for the correlation: -1/ln χ at c*. A network can be trained while its depth is
            below a few times ξ_c (Schoenholz et al.: about 6).
    """

    weight_variance: float
    bias_variance: float
    fixed_point: float | None
    chi: float
    correlation: float | None
    variance_depth: float
    correlation_depth: float

    @property
    def phase(self) -> Phase:
        """`"ordered"` if differences between inputs fade (χ₁ < 1), `"chaotic"` if they grow, else `"critical"`."""
        if abs(self.chi - 1) < 1e-5:
            return "critical"
        return "ordered" if self.chi < 1 else "chaotic"


def mean_field_theory(activation: Activation, weight_variance: float, bias_variance: float) -> MeanField:
    """Solve both maps for their fixed points, and say how fast these are approached.

    Example:
        >>> theory = mean_field_theory(Activation("tanh"), weight_variance=2.5, bias_variance=0.05)
        >>> theory.phase, round(theory.fixed_point, 3), round(theory.chi, 3), round(theory.correlation_depth, 1)
        ('chaotic', 1.064, 1.134, 11.8)

    Args:
        activation: The nonlinearity φ that follows every layer.
        weight_variance: σ_w², fan_in times the variance of a weight, at least 0.
        bias_variance: σ_b², the variance of a bias, at least 0.

    Raises:
        UserError: a variance is negative or not finite.
    """
    for name, value in {"σ_w²": weight_variance, "σ_b²": bias_variance}.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{name}={value}: expected a finite number of at least 0")
    q = fixed_variance(activation, weight_variance, bias_variance)
    if weight_variance == 0:
        return MeanField(weight_variance, bias_variance, q, 0.0, 1.0 if q else None, 0.0, 0.0)
    # Where every q is fixed, φ is alike at every scale.
    at = {None: 1.0, math.inf: HUGE}.get(q, max(q or 0.0, NEGLIGIBLE))
    chi = weight_variance * derivative_moment(activation, variance=at)
    slope = weight_variance * float(second_moment_slopes(activation, torch.tensor([at], dtype=torch.float64)))
    settles = q is not None and 0 < q < math.inf
    tolerance = LIMIT_TOLERANCE if q == math.inf else TOLERANCE
    correlation = _fixed_correlation(activation, weight_variance, bias_variance if settles else 0.0, at, tolerance)
    if q == math.inf and bias_variance and abs(slope - 1) < tolerance:
        correlation = 1.0  # q grows by nothing but the bias, which all inputs share
    known = torch.tensor([1.0 if correlation is None else correlation], dtype=torch.float64)
    fading = weight_variance * float(derivative_cross_moments(activation, at, known))
    if not settles:  # the variance changes with the covariance
        fading /= weight_variance * second_moment(activation, variance=at) / at
    return MeanField(
        weight_variance,
        bias_variance,
        q,
        chi,
        correlation,
        math.nan if q == math.inf else _depth_scale(slope),
        _depth_scale(fading, tolerance),
    )


def _depth_scale(factor: float, tolerance: float = TOLERANCE) -> float:
    """ξ = -1/ln factor: the number of layers in which something falls by a factor of e.

    Args:
        factor: What each layer multiplies it by.
        tolerance: How far below 1 a factor must be to count as falling.

    Returns:
        ξ in layers: 0 for a factor of 0 or less, infinite for one that counts as 1 or is greater.
    """
    if factor <= 0:
        return 0.0
    return -1 / math.log(factor) if factor < 1 - tolerance else math.inf


def fixed_variance(activation: Activation, weight_variance: float, bias_variance: float) -> float | None:
    """q*, the variance to which the variance map leads from q = 1.

    Args:
        activation: The nonlinearity φ that follows every layer.
        weight_variance: σ_w², fan_in times the variance of a weight, at least 0.
        bias_variance: σ_b², the variance of a bias, at least 0.

    Returns:
        The fixed point; infinite if the variance grows for ever; None if every variance is a fixed point.
    """
    if positively_homogeneous(activation):
        factor = weight_variance * second_moment(activation)
        if abs(factor - 1) < TOLERANCE:
            return math.inf if bias_variance else None
        return math.inf if factor > 1 else bias_variance / (1 - factor)
    grid = torch.from_numpy(SEARCHED)

    def excess(q: float) -> float:
        return weight_variance * second_moment(activation, variance=q) + bias_variance - q

    signs = np.sign((weight_variance * second_moments(activation, grid) + bias_variance - grid).numpy())
    start = int(np.searchsorted(SEARCHED, 1 - 1e-9))
    if abs(excess(1.0)) < TOLERANCE:
        return 1.0
    step = int(signs[start])
    turned = np.flatnonzero(signs[start::step] * step <= 0)
    if len(turned):
        place = start + step * int(turned[0])
        return _root(excess, float(SEARCHED[place - step]), float(SEARCHED[place]), xtol=1e-14)
    if step > 0:
        return math.inf
    if excess(0.0) <= 0:
        return 0.0
    return _root(excess, 0.0, float(SEARCHED[0]), xtol=1e-20)


def _fixed_correlation(
    activation: Activation, weight_variance: float, bias_variance: float, q: float, tolerance: float
) -> float | None:
    """c*, the correlation that inputs come to at a variance that has settled.

    Args:
        activation: The nonlinearity φ that follows every layer.
        weight_variance: σ_w², fan_in times the variance of a weight, above 0.
        bias_variance: σ_b², the variance of a bias, at least 0.
        q: The variance of both inputs, above 0.
        tolerance: How far the map's slope at c = 1 may exceed 1 where it counts as 1.

    Returns:
        The fixed point in [0, 1]; None where every correlation is one, as in a linear network.
    """
    total = weight_variance * second_moment(activation, variance=q) + bias_variance

    def excess(c: float) -> float:
        known = torch.tensor([c], dtype=torch.float64)
        return (weight_variance * float(cross_moments(activation, q, known)) + bias_variance) / total - c

    at_ends = excess(0.0), excess(0.5)
    if max(map(abs, at_ends)) < TOLERANCE:
        return None
    slope_at_one = weight_variance * derivative_moment(activation, variance=q) * q / total
    if slope_at_one <= 1 + max(tolerance, 1e-7):
        return 1.0
    if abs(at_ends[0]) < TOLERANCE:
        return 0.0
    # All coefficients of the map's power series are positive: it is convex, and crosses the diagonal once below 1.
    for gap in (1e-2, 1e-4, 1e-6):
        if excess(1 - gap) < 0:
            return _root(excess, 0.0, 1 - gap, xtol=1e-10)
    return 1.0


def variance_map(activation: Activation, q: Tensor, weight_variance: float, bias_variance: float) -> Tensor:
    """What one layer makes of variances: q ← σ_w²·E[φ(√q z)²] + σ_b².

    Args:
        activation: The nonlinearity φ that precedes the layer.
        q: Variances before the layer, shape (n,), float64, each at least 0.
        weight_variance: σ_w², fan_in times the variance of a weight, at least 0.
        bias_variance: σ_b², the variance of a bias, at least 0.

    Returns:
        The variances after it, shape (n,), float64.
    """
    return weight_variance * second_moments(activation, q) + bias_variance


def correlation_map(
    activation: Activation, correlations: Tensor, weight_variance: float, bias_variance: float, *, q: float
) -> Tensor:
    """What one layer makes of the correlations of inputs of one variance, which need not be a fixed point.

    Args:
        activation: The nonlinearity φ that precedes the layer.
        correlations: Before the layer, shape (n,), float64, each in [-1, 1].
        weight_variance: σ_w², fan_in times the variance of a weight, at least 0.
        bias_variance: σ_b², the variance of a bias, at least 0.
        q: The variance of all inputs before the layer, above 0.

    Returns:
        The correlations after it, shape (n,), float64.
    """
    mapped = weight_variance * second_moment(activation, variance=q) + bias_variance
    return (weight_variance * cross_moments(activation, q, correlations) + bias_variance) / mapped


def jacobian_moments(
    activation: Activation, weight_variance: float, q: float, depth: int, *, orthogonal: bool
) -> tuple[float, float]:
    """Mean and variance of the squared singular values of the Jacobian of several layers, all at one variance.

    The mean is χ₁^depth, whatever the weights. The variance, relative to the squared mean, is depth·(μ₂/μ₁² - 1 - s₁)
    with μ_k = E[φ'(√q z)^2k] and s₁ = 0 for orthogonal, -1 for Gaussian weights.

    Args:
        activation: The nonlinearity φ that follows every layer.
        weight_variance: σ_w², fan_in times the variance of a weight, at least 0.
        q: The variance of the pre-activations, the same in all layers.
        depth: How many layers there are, all of one width.
        orthogonal: Whether the weights are orthogonal rather than Gaussian.

    Source: Pennington et al. 2017, arXiv:1711.04735.
    """
    chi_each = derivative_moment(activation, variance=q)
    ratio = derivative_fourth_moment(activation, variance=q) / chi_each**2
    mean = (weight_variance * chi_each) ** depth
    return mean, mean**2 * depth * (ratio - 1 - (0 if orthogonal else -1))


def critical_point(activation: Activation, bias_variance: float) -> CriticalPoint:
    """Solve χ₁(q*) = 1 for σ_w² at a given σ_b²; of several solutions the one with the smallest q*.

    Only a q* that attracts counts. Those of GELU and SiLU at small σ_b² do not: there the variance in a deep network
    moves away from q* and explodes.

    Example:
        >>> point = critical_point(Activation("tanh"), bias_variance=0.05)
        >>> round(point.weight_variance, 4), round(point.fixed_point, 4)
        (1.761, 0.57)
        >>> round(critical_point(Activation("relu"), bias_variance=0.0).weight_variance, 4)
        2.0

    Args:
        activation: The nonlinearity φ that follows every layer.
        bias_variance: σ_b², the variance of a bias, at least 0; 0 is the only one that ReLU allows.

    Raises:
        UserError: no σ_w² makes φ critical there around a variance that attracts.

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
        return float(_misses(activation, np.array([q]), bias_variance)[0])

    values = _misses(activation, SEARCHED_FOR_CRITICAL, bias_variance)
    # A positively homogeneous φ gives q + σ_b² exactly, and rounding is no root.
    crossings = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    for crossing in () if homogeneous else crossings:
        q = _root(excess, SEARCHED_FOR_CRITICAL[crossing], SEARCHED_FOR_CRITICAL[crossing + 1], xtol=1e-12)
        point = _point(activation, q, bias_variance)
        if _attracts(activation, point):
            return point
    hint = "only σ_b = 0 does" if homogeneous else "try a larger σ_b, or another activation"
    raise UserError(f"no σ_w makes {name} critical at σ_b² = {bias_variance:g} around a variance that attracts; {hint}")


def _misses(activation: Activation, q: NDArray[np.float64], bias_variance: float) -> NDArray[np.float64]:
    """How far the variance map misses each q where σ_w² makes χ₁ one, shape (n,); infinite where φ' is 0.

    Args:
        activation: The nonlinearity φ that follows every layer.
        q: Candidates for q*, shape (n,), each above 0.
        bias_variance: σ_b², the variance of a bias.
    """
    known = torch.from_numpy(q)
    square, chi = (moments(activation, known).numpy() for moments in (second_moments, derivative_moments))
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(chi > 0, square / chi + bias_variance - q, np.inf))


def _point(activation: Activation, q: float, bias_variance: float) -> CriticalPoint:
    return CriticalPoint(1 / derivative_moment(activation, variance=q), bias_variance, q)


def _attracts(activation: Activation, point: CriticalPoint) -> bool:
    """Whether the variance map brings a q just above the fixed point closer to it."""
    assert point.fixed_point is not None
    above = point.fixed_point * (1 + SMALL)
    mapped = point.weight_variance * second_moment(activation, variance=above) + point.bias_variance
    return mapped <= above


def positively_homogeneous(activation: Activation) -> bool:
    """Whether φ(c·h) = c·φ(h) for all c > 0, as for ReLU: then φ acts alike on signals of every scale.

    Args:
        activation: The nonlinearity φ; it is tried out at a few points.
    """
    h = torch.linspace(-3, 3, 13, dtype=torch.float64)
    return bool(torch.allclose(activation.function(5 * h), 5 * activation.function(h), rtol=1e-9, atol=1e-12))


def _root(excess: Callable[[float], float], low: float, high: float, *, xtol: float) -> float:
    """Where a function of opposite signs at two ends crosses zero between them."""
    from scipy.optimize import brentq  # a quarter of what importing the schemes would take, for this one alone

    return float(brentq(excess, low, high, xtol=xtol))
