"""Moments of φ for normal inputs, against closed forms and against another quadrature.

The oracle splits at kinks, as any quadrature has to, but shares nothing else with the code: its activations and their
slopes are formulas of NumPy and SciPy, its nodes are those of the double exponential rule, and of a pair it draws the
second variable given the first one.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats
from scipy.integrate import dblquad, quad

from initlab.activations import ACTIVATIONS, Activation
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_fourth_moment,
    derivative_moments,
    second_moment,
    second_moment_slopes,
    second_moments,
)

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU: Klambauer et al. 2017
SIXTH = float(np.float32(1 / 6))  # torch has the slope of its hard sigmoid in single precision
VARIANCES = (0.1, 1.0, 20.0)
CORRELATIONS = (-1.0, -0.999, -0.6, -0.1, 0.0, 0.3, 0.9, 0.999, 1.0)


@dataclass(frozen=True)
class Formula:
    """An activation, its slope, and where either is not smooth."""

    value: Function
    slope: Function
    kinks: tuple[float, ...] = ()


def _leaky(below: float) -> Formula:
    return Formula(lambda h: np.where(h > 0, h, below * h), lambda h: np.where(h > 0, 1.0, below), (0.0,))


def _exponential(scale: float, alpha: float) -> Formula:
    def value(h: Array) -> Array:
        return scale * np.where(h > 0, h, alpha * np.expm1(np.minimum(h, 0)))

    return Formula(value, lambda h: scale * np.where(h > 0, 1.0, alpha * np.exp(np.minimum(h, 0))), (0.0,))


def _mish_parts(h: Array) -> tuple[Array, Array]:
    """e^h and e^2h + 2e^h, in which tanh(softplus(h)) is rational; beyond 40 the share is 1."""
    e = np.exp(np.clip(h, -40, 40))
    return e, e * (e + 2)


def _mish(h: Array) -> Array:
    _, n = _mish_parts(h)
    return h * n / (n + 2)


def _mish_slope(h: Array) -> Array:
    e, n = _mish_parts(h)
    return n / (n + 2) + h * 4 * e * (e + 1) / (n + 2) ** 2


def _sigmoid_linear(factor: float) -> Formula:
    """z·σ(factor·z)."""

    def slope(h: Array) -> Array:
        share = special.expit(factor * h)
        return share + factor * h * share * special.expit(-factor * h)

    return Formula(lambda h: h * special.expit(factor * h), slope)


def _tanh_of_cubic(h: Array) -> Array:
    return np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))


def _gelu_tanh_slope(h: Array) -> Array:
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * h**2)
    return (1 + _tanh_of_cubic(h)) / 2 + h / 2 * (1 - _tanh_of_cubic(h) ** 2) * inner


def _inside(h: Array, low: float, high: float, slope: Array | float) -> Array:
    return np.where((low < h) & (h < high), slope, 0.0)


FORMULAS = {
    "relu": _leaky(0.0),
    "leaky_relu": _leaky(0.01),
    "prelu": _leaky(0.25),
    "identity": _leaky(1.0),
    "elu": _exponential(1.0, 1.0),
    "selu": _exponential(LAMBDA, ALPHA),
    "gelu": Formula(
        lambda h: h * special.ndtr(h), lambda h: special.ndtr(h) + h * np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi)
    ),
    "gelu_tanh": Formula(lambda h: h / 2 * (1 + _tanh_of_cubic(h)), _gelu_tanh_slope),
    "quick_gelu": _sigmoid_linear(1.702),
    "silu": _sigmoid_linear(1.0),
    "relu6": Formula(lambda h: np.clip(h, 0, 6), lambda h: _inside(h, 0, 6, 1.0), (0.0, 6.0)),
    "squared_relu": Formula(lambda h: np.maximum(h, 0) ** 2, lambda h: 2 * np.maximum(h, 0), (0.0,)),
    "hardsigmoid": Formula(
        lambda h: np.clip(h / 6 + 0.5, 0, 1), lambda h: _inside(h, -3, 3, SIXTH), (-3.0, 3.0)
    ),
    "hardswish": Formula(
        lambda h: h * np.clip(h / 6 + 0.5, 0, 1), lambda h: _inside(h, -3, 3, h / 3 + 0.5) + (h >= 3), (-3.0, 3.0)
    ),
    "mish": Formula(_mish, _mish_slope),
    "tanh": Formula(np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    "sigmoid": Formula(special.expit, lambda h: special.expit(h) * special.expit(-h)),
    "softsign": Formula(lambda h: h / (1 + np.abs(h)), lambda h: (1 + np.abs(h)) ** -2.0, (0.0,)),
    "softplus": Formula(lambda h: np.logaddexp(0, h), special.expit),
    "hardtanh": Formula(lambda h: np.clip(h, -1, 1), lambda h: np.where(np.abs(h) < 1, 1.0, 0.0), (-1.0, 1.0)),
}  # fmt: skip


def _double_exponential(steps: int = 120, reach: float = 3.3) -> tuple[Array, Array]:
    """Nodes and weights on [0, 1], crowded at both ends (Takahasi & Mori 1974)."""
    t = np.linspace(-reach, reach, steps)
    inner = np.pi / 2 * np.sinh(t)
    return special.expit(2 * inner), (t[1] - t[0]) * np.pi / 4 * np.cosh(t) / np.cosh(inner) ** 2


UNIT_NODES, UNIT_WEIGHTS = _double_exponential()
REACH = 10.0  # in standard deviations


def nodes_between(edges: Array) -> tuple[Array, Array]:
    """Nodes z between ascending edges, shape (..., edges), and weights times the normal density."""
    edges = np.clip(edges, -REACH, REACH)
    width = np.diff(edges)[..., None]
    z = edges[..., :-1, None] + width * UNIT_NODES
    weights = width * UNIT_WEIGHTS * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z.reshape(*edges.shape[:-1], -1), weights.reshape(*edges.shape[:-1], -1)


def mean(function: Function, variance: float, kinks: tuple[float, ...] = ()) -> float:
    """E[f(h)], h ~ N(0, variance)."""
    std = math.sqrt(variance)
    z, weights = nodes_between(np.array([-REACH, *(kink / std for kink in sorted({0.0, *kinks})), REACH]))
    return float(weights @ function(std * z))


def pair_mean(function: Function, variance: float, correlation: float, kinks: tuple[float, ...] = ()) -> float:
    """E[f(h₁) f(h₂)]: h₂ given h₁ is normal around correlation·h₁."""
    if abs(correlation) == 1:
        mirrored = (*kinks, *(-kink for kink in kinks))
        return mean(lambda h: function(h) * function(correlation * h), variance, mirrored)
    std, rest = math.sqrt(variance), math.sqrt((1 - correlation) * (1 + correlation))
    places = np.array(sorted({0.0, *kinks})) / std
    x, outer = nodes_between(np.array([-REACH, *sorted({*places, *(-places)}), REACH]))
    ends = np.full((len(x), 1), REACH)
    z, inner = nodes_between(np.concatenate([-ends, (places - correlation * x[:, None]) / rest, ends], 1))
    given = (inner * function(std * (correlation * x[:, None] + rest * z))).sum(1)
    return float(outer @ (function(std * x) * given))


def _piecewise(integrand: Callable[[float], float], edges: list[float]) -> float:
    return sum(quad(integrand, a, b, epsabs=1e-13, limit=400)[0] for a, b in itertools.pairwise(edges))


def test_the_oracle_knows_every_activation_but_the_sine() -> None:
    assert set(FORMULAS) == {*ACTIVATIONS, "gelu_tanh"} - {"sine"}


@pytest.mark.parametrize("name", FORMULAS)
def test_activations_and_slopes_are_their_formulas(name: str) -> None:
    h = np.linspace(-18.03, 18.04, 1001)  # softplus is cut off at 20
    points = torch.from_numpy(h)
    np.testing.assert_allclose(Activation(name).function(points).numpy(), FORMULAS[name].value(h), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        Activation(name).derivative(points).numpy(), FORMULAS[name].slope(h), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(("name", "correlation"), [("tanh", 0.9), ("elu", -0.6), ("softsign", 0.3)])
def test_the_oracle_agrees_with_scipy(name: str, correlation: float) -> None:
    formula = FORMULAS[name]
    law = stats.multivariate_normal([0, 0], [[1.0, correlation], [correlation, 1.0]])
    norm = 1 / (2 * math.pi * math.sqrt(1 - correlation**2))
    assert law.pdf([0, 0]) == pytest.approx(norm)

    def integrand(y: float, x: float) -> float:
        exponent = (x * x - 2 * correlation * x * y + y * y) / (2 * (1 - correlation**2))
        return float(formula.value(np.asarray(x)) * formula.value(np.asarray(y))) * norm * math.exp(-exponent)

    halves = ((-7.0, 0.0), (0.0, 7.0))
    expected = sum(
        dblquad(integrand, *one, *other, epsabs=1e-8, epsrel=1e-7)[0]
        for one, other in itertools.product(halves, halves)
    )
    assert pair_mean(formula.value, 1.0, correlation, formula.kinks) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("variance", [1e-8, *VARIANCES, 1e4])
@pytest.mark.parametrize("name", FORMULAS)
def test_moments_of_one_variable(name: str, variance: float) -> None:
    activation, formula = Activation(name), FORMULAS[name]
    variances = torch.tensor([variance, 2 * variance], dtype=torch.float64)
    squares = [mean(lambda h: formula.value(h) ** 2, v, formula.kinks) for v in variances.tolist()]
    slopes = [mean(lambda h: formula.slope(h) ** 2, v, formula.kinks) for v in variances.tolist()]
    assert second_moments(activation, variances).tolist() == pytest.approx(squares, rel=1e-6)
    assert derivative_moments(activation, variances).tolist() == pytest.approx(slopes, rel=1e-6)


@pytest.mark.parametrize("variance", [1e-4, *VARIANCES, 1e4])
@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_of_the_second_moment(name: str, variance: float) -> None:
    """By central differences."""
    formula, step = FORMULAS[name], 1e-4 * variance
    above, below = (mean(lambda h: formula.value(h) ** 2, variance + d, formula.kinks) for d in (step, -step))
    found = second_moment_slopes(Activation(name), torch.tensor([variance], dtype=torch.float64))
    assert found.tolist() == pytest.approx([(above - below) / (2 * step)], rel=1e-6)


@pytest.mark.parametrize("variance", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("name", FORMULAS)
def test_fourth_moments_of_the_slope(name: str, variance: float) -> None:
    """By adaptive quadrature."""
    formula, std = FORMULAS[name], math.sqrt(variance)

    def integrand(z: float) -> float:
        return float(formula.slope(np.asarray(std * z))) ** 4 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    edges = sorted({-10.0, 0.0, 10.0, *(kink / std for kink in formula.kinks)})
    assert derivative_fourth_moment(Activation(name), variance=variance) == pytest.approx(
        _piecewise(integrand, edges), rel=1e-6
    )


@pytest.mark.parametrize("variance", VARIANCES)
@pytest.mark.parametrize("name", FORMULAS)
def test_moments_of_pairs(name: str, variance: float) -> None:
    activation, formula = Activation(name), FORMULAS[name]
    correlations = torch.tensor(CORRELATIONS, dtype=torch.float64)
    for function, found in (
        (formula.value, cross_moments(activation, variance, correlations)),
        (formula.slope, derivative_cross_moments(activation, variance, correlations)),
    ):
        expected = [pair_mean(function, variance, c, formula.kinks) for c in CORRELATIONS]
        assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-11 * max(map(abs, expected)))


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "selu", "hardtanh"])
@pytest.mark.parametrize("variance", [1e-8, 1e4])
def test_moments_of_pairs_at_extreme_variances_and_correlations(name: str, variance: float) -> None:
    activation, formula = Activation(name), FORMULAS[name]
    near = (-1 + 1e-6, -1e-5, 1e-8, 1 - 1e-6)
    correlations = torch.tensor(near, dtype=torch.float64)
    for function, found in (
        (formula.value, cross_moments(activation, variance, correlations)),
        (formula.slope, derivative_cross_moments(activation, variance, correlations)),
    ):
        expected = [pair_mean(function, variance, c, formula.kinks) for c in near]
        assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6 * max(map(abs, expected)))


@pytest.mark.parametrize("below", [0.0, 0.2, -0.5])
@pytest.mark.parametrize("variance", VARIANCES)
def test_arc_cosine_kernels(variance: float, below: float) -> None:
    """The rectifiers' pairs in closed form (Cho & Saul 2009); a leaky one is below·h + (1 - below)·relu(h)."""
    activation = Activation("leaky_relu", {"negative_slope": below}) if below else Activation("relu")
    correlations = np.array([*CORRELATIONS, 1 - 1e-6, 1 - 1e-9])
    angles = np.arccos(correlations)
    steps = (math.pi - angles) / (2 * math.pi)
    rectified = variance * (np.sin(angles) + (math.pi - angles) * correlations) / (2 * math.pi)
    linear = variance * correlations  # E[h₁ relu(h₂)] is half of it
    products = below**2 * linear + below * (1 - below) * linear + (1 - below) ** 2 * rectified
    slopes = below**2 + below * (1 - below) + (1 - below) ** 2 * steps
    found = torch.from_numpy(correlations)
    np.testing.assert_allclose(
        cross_moments(activation, variance, found).numpy(), products, rtol=1e-6, atol=1e-10 * variance
    )
    np.testing.assert_allclose(derivative_cross_moments(activation, variance, found).numpy(), slopes, rtol=1e-6)


def _sines(omega: float, variance: float, correlation: float) -> tuple[float, float]:
    """E[sin ωh₁ sin ωh₂] = exp(-ω²v)·sinh(ω²vc), and ω² times the same with cosh for the slopes."""
    square = omega**2 * variance
    rising, falling = math.exp(-square * (1 - correlation)), math.exp(-square * (1 + correlation))
    return (rising - falling) / 2, omega**2 * (rising + falling) / 2


@pytest.mark.parametrize(("omega", "variance"), [(1, 0.1), (1, 20), (3, 1), (3, 20), (30, 0.1), (30, 1)])
def test_pairs_of_sines(omega: float, variance: float) -> None:
    sine, correlations = Activation("sine", {"omega": float(omega)}), (-0.999, -0.6, 0.0, 0.9, 0.999, 1.0)
    products, slopes = zip(*(_sines(omega, variance, c) for c in correlations), strict=True)
    known = torch.tensor(correlations, dtype=torch.float64)
    assert cross_moments(sine, variance, known).tolist() == pytest.approx(products, rel=1e-6, abs=1e-9)
    found = derivative_cross_moments(sine, variance, known)
    assert found.tolist() == pytest.approx(slopes, rel=1e-6, abs=1e-9 * omega**2)


@pytest.mark.parametrize("omega", [134.0, pytest.param(300.0, marks=pytest.mark.slow)])
def test_a_sine_that_turns_fast(omega: float) -> None:
    """SIREN's ω is 30, and a σ_w² of 40 makes q* 20: there ω·√q is 134."""
    sine = Activation("sine", {"omega": omega})
    assert second_moment(sine) == pytest.approx(0.5, rel=1e-6)
    product, _ = _sines(omega, 1.0, 0.9999)
    assert cross_moments(sine, 1.0, torch.tensor([0.9999], dtype=torch.float64)).item() == pytest.approx(
        product, rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("name", FORMULAS)
def test_pairs_without_variance(name: str) -> None:
    activation, zero = Activation(name), np.zeros(1)
    known = torch.tensor([-1.0, 0.3, 1.0], dtype=torch.float64)
    at_zero = float(FORMULAS[name].value(zero)[0])
    assert cross_moments(activation, 0.0, known).tolist() == pytest.approx([at_zero**2] * 3, rel=1e-9, abs=1e-15)
    if not FORMULAS[name].kinks:
        slope = float(FORMULAS[name].slope(zero)[0])
        assert derivative_cross_moments(activation, 0.0, known).tolist() == pytest.approx([slope**2] * 3, rel=1e-9)


@pytest.mark.parametrize("variance", [1e2, 1e3, 1e4, 1e6, 1e9, 1e12])
def test_the_fastest_sines_are_right_to_four_percent(variance: float) -> None:
    """E[sin²(ωh)] is (1 - exp(-2ω²v))/2, so 1/2 here: to 1e-9 up to 1000 radians a standard deviation."""
    sine = Activation("sine", {"omega": 30.0})
    allowed = 1e-9 if 30 * variance**0.5 < 1000 else 0.04
    assert second_moment(sine, variance=variance) == pytest.approx(0.5, rel=allowed)
    slopes = derivative_moments(sine, torch.tensor([variance], dtype=torch.float64))
    assert float(slopes) == pytest.approx(450, rel=allowed)
