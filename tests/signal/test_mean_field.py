"""The edge of chaos against published points, and against the definition by another quadrature."""

import itertools
import math
from functools import partial

import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from initlab.activations import Activation
from initlab.errors import UserError
from initlab.signal.mean_field import critical_point, positively_homogeneous
from initlab.signal.moments import second_moment


@pytest.mark.parametrize(("bias_variance", "published"), [(0.01, 1.42421), (0.05, 1.76096), (0.1, 1.98607)])
def test_tanh_lies_on_the_published_line(bias_variance: float, published: float) -> None:
    assert critical_point(Activation("tanh"), bias_variance).weight_variance == pytest.approx(published, abs=1e-4)


def test_the_fixed_point_of_tanh() -> None:
    assert critical_point(Activation("tanh"), 0.05).fixed_point == pytest.approx(0.57005, abs=1e-4)


def test_relu_is_critical_at_two_and_zero_alone() -> None:
    point = critical_point(Activation("relu"), 0.0)
    assert point.weight_variance == pytest.approx(2.0, abs=1e-9)
    assert point.fixed_point is None
    with pytest.raises(UserError, match=r"no σ_w makes relu critical at σ_b² = 0.1 .*; only σ_b = 0 does"):
        critical_point(Activation("relu"), 0.1)


@pytest.mark.parametrize(("name", "least"), [("gelu", 0.2), ("mish", 0.1), ("silu", 1.0)])
def test_a_fixed_point_that_repels_does_not_count(name: str, least: float) -> None:
    """Slightly off it, a deep network's variance runs away; at the first one that counts it comes back."""
    activation = Activation(name)
    for variance in (0.0, 0.05):
        with pytest.raises(UserError, match="around a variance that attracts; try a larger σ_b"):
            critical_point(activation, variance)
    point = critical_point(activation, least)
    assert point.fixed_point is not None
    q = 1.05 * point.fixed_point
    for _ in range(300):
        q = point.weight_variance * second_moment(activation, variance=q) + point.bias_variance
    assert abs(q / point.fixed_point - 1) < 0.045


def test_softplus_never_is() -> None:
    with pytest.raises(UserError, match="no σ_w makes softplus critical"):
        critical_point(Activation("softplus"), 0.05)


SMALL = ("tanh", "sigmoid", "elu", "selu", "softsign", "hardtanh")  # critical at small σ_b², too


@pytest.mark.parametrize(
    ("name", "bias_variance"),
    [*((name, 0.05) for name in SMALL), *((name, 1.0) for name in (*SMALL, "gelu", "silu", "mish"))],
)
def test_critical_points_solve_both_equations(name: str, bias_variance: float) -> None:
    """q* = σ_w²·E[φ²] + σ_b² and σ_w²·E[φ'²] = 1, by adaptive quadrature and differences."""
    activation, h = Activation(name), 1e-5
    point = critical_point(activation, bias_variance)
    assert point.fixed_point is not None
    std = math.sqrt(point.fixed_point)

    def integrand(z: float, *, slope: bool) -> float:
        ends = activation.function(torch.tensor([std * z, std * z - h, std * z + h], dtype=torch.float64)).tolist()
        value = (ends[2] - ends[1]) / (2 * h) if slope else ends[0]
        return value**2 * float(stats.norm.pdf(z))

    breaks = sorted({-9.0, 0.0, 9.0, *(kink / std for kink in activation.kinks)})
    square, slope = (
        sum(quad(integrand_of, a, b, limit=300)[0] for a, b in itertools.pairwise(breaks))
        for integrand_of in (partial(integrand, slope=False), partial(integrand, slope=True))
    )
    assert point.weight_variance * slope == pytest.approx(1, abs=1e-4)
    assert point.weight_variance * square + bias_variance == pytest.approx(point.fixed_point, rel=1e-4)


def test_positively_homogeneous() -> None:
    assert all(positively_homogeneous(Activation(name)) for name in ("relu", "leaky_relu", "prelu", "identity"))
    assert not any(positively_homogeneous(Activation(name)) for name in ("tanh", "elu", "gelu", "hardtanh", "sine"))
