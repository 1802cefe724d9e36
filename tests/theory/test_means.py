"""Moments for a normal with a mean, against closed forms and SciPy's quadrature."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import integrate, stats

from initlab.activations import Activation
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_moments,
    first_two_moments,
    second_moments,
)

CASES = [(-1.0, 2.0), (0.5, 3.0), (-8.0, 0.5), (30.0, 400.0)]


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_moments_of_relu_have_closed_forms(mean: float, variance: float) -> None:
    """With t = mean/std: E[φ] = mean Φ(t) + std ϕ(t), E[φ²] = (mean² + v) Φ(t) + mean std ϕ(t), E[φ'²] = Φ(t)."""
    relu, std = Activation("relu"), math.sqrt(variance)
    above, density = stats.norm.cdf(mean / std), stats.norm.pdf(mean / std)
    first = mean * above + std * density
    square = (mean**2 + variance) * above + mean * std * density
    found = [float(moment) for moment in first_two_moments(relu, one(variance), mean=mean)]
    assert found == [pytest.approx(first, abs=1e-12), pytest.approx(square, rel=1e-9, abs=1e-12)]
    assert float(second_moments(relu, one(variance), mean=mean)) == pytest.approx(square, rel=1e-9, abs=1e-12)
    assert float(derivative_moments(relu, one(variance), mean=mean)) == pytest.approx(above, rel=1e-9, abs=1e-20)
    for correlation in (0.6, -0.6):
        law = stats.multivariate_normal([mean, mean], variance * torch.tensor([[1, correlation], [correlation, 1]]))
        both = float(derivative_cross_moments(relu, variance, one(correlation), mean=mean))
        assert both == pytest.approx(float(law.cdf([2 * mean, 2 * mean])), abs=1e-6)


@pytest.mark.parametrize("name", ["tanh", "elu", "hardtanh", "gelu"])
@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_moments_agree_with_quadrature(name: str, mean: float, variance: float) -> None:
    activation, std = Activation(name), math.sqrt(variance)

    def integral(function: object) -> float:
        ends = sorted({mean + std * step for step in (-9, -4, -1, 1, 4, 9)} | {-6.0, -1.0, 0.0, 1.0, 6.0})
        law = stats.norm(mean, std)
        parts = [integrate.quad(lambda h: function(h) * law.pdf(h), a, b)[0] for a, b in pairwise(ends)]  # type: ignore[operator]
        return float(sum(parts))

    def phi(h: float) -> float:
        return float(activation.function(one(h)))

    square = integral(lambda h: phi(h) ** 2)
    found = [float(moment) for moment in first_two_moments(activation, one(variance), mean=mean)]
    assert found == [close(integral(phi)), close(square)]
    assert float(second_moments(activation, one(variance), mean=mean)) == close(square)
    assert float(cross_moments(activation, variance, one(1.0), mean=mean)) == close(square)
    mirrored = integral(lambda h: phi(h) * phi(2 * mean - h))
    assert float(cross_moments(activation, variance, one(-1.0), mean=mean)) == pytest.approx(
        mirrored, rel=1e-7, abs=1e-10
    )
    apart = float(cross_moments(activation, variance, one(0.0), mean=mean))
    assert apart == close(integral(phi) ** 2)


@pytest.mark.parametrize("correlation", [0.7, -0.7])
def test_products_agree_with_simulation(correlation: float) -> None:
    generator = torch.Generator().manual_seed(0)
    one_, other = torch.randn(2, 1_000_000, generator=generator, dtype=torch.float64)
    first, second = -1 + 1.5 * one_, -1 + 1.5 * (correlation * one_ + math.sqrt(1 - correlation**2) * other)
    for name in ("relu", "tanh"):
        activation = Activation(name)
        products = activation.function(first) * activation.function(second)
        found = float(cross_moments(activation, 2.25, one(correlation), mean=-1.0))
        assert abs(found - float(products.mean())) < 5 * float(products.std()) / 1000
