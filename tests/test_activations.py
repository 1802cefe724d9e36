"""Activations and gains against adaptive quadrature."""

import itertools
import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch import nn

from initlab.activations import ACTIVATIONS, Activation, activation_of
from initlab.base.errors import UserError
from initlab.config.files import CONF
from initlab.initializers.gains import gain_value
from initlab.theory.moments import derivative_moment, second_moment

# E[φ(z)²], z ~ N(0, 1), recomputed independently.
PUBLISHED = {
    "tanh": 0.394294, "sigmoid": 0.293379, "relu": 0.5, "elu": 0.644945, "selu": 1.0, "gelu": 0.425221,
    "silu": 0.355776, "mish": 0.452342, "softplus": 0.921246, "softsign": 0.183014, "hardtanh": 0.51606,
}  # fmt: skip


def test_every_activation_has_a_conf() -> None:
    assert set(ACTIVATIONS) == {path.stem for path in (CONF / "activation").glob("*.yaml")}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_moment(name: str) -> None:
    activation = Activation(name)

    def integrand(z: float) -> float:
        return float(activation.function(torch.tensor([z], dtype=torch.float64))) ** 2 * stats.norm.pdf(z)

    pieces = [-10.0, *activation.kinks, 10.0]
    expected = sum(quad(integrand, a, b, epsabs=1e-11, limit=200)[0] for a, b in itertools.pairwise(pieces))
    assert second_moment(activation) == pytest.approx(expected, abs=1e-8)
    assert second_moment(activation) == pytest.approx(PUBLISHED.get(name, expected), abs=1e-5)


# E[φ'(z)²] likewise.
PUBLISHED_SLOPES = {
    "tanh": 0.464403, "sigmoid": 0.044836, "relu": 0.5, "elu": 0.668102, "selu": 1.071575, "gelu": 0.455851,
    "silu": 0.379482, "mish": 0.479084, "softplus": 0.293379, "softsign": 0.227671,
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_derivative_moment(name: str, variance: float) -> None:
    """By central differences of φ and adaptive quadrature."""
    activation, std, h = Activation(name), math.sqrt(variance), 1e-5

    def integrand(z: float) -> float:
        ends = torch.tensor([std * z - h, std * z + h], dtype=torch.float64)
        below, above = activation.function(ends).tolist()
        return float((above - below) / (2 * h)) ** 2 * float(stats.norm.pdf(z))

    pieces = sorted({-9.0, 0.0, 9.0, *(kink / std for kink in activation.kinks)})
    expected = sum(quad(integrand, a, b, epsabs=1e-9, limit=400)[0] for a, b in itertools.pairwise(pieces))
    assert derivative_moment(activation, variance=variance) == pytest.approx(expected, rel=2e-4)
    if variance == 1:
        assert derivative_moment(activation) == pytest.approx(PUBLISHED_SLOPES.get(name, expected), rel=2e-4, abs=1e-5)
        if name in PUBLISHED_SLOPES:
            assert derivative_moment(activation) == pytest.approx(PUBLISHED_SLOPES[name], abs=1e-5)


@pytest.mark.parametrize("variance", [1e-6, 100.0, 1e6])
def test_moments_at_extreme_variances(variance: float) -> None:
    """E[tanh'²] in its own variable: the slope is a narrow peak beside a wide normal law."""
    std = math.sqrt(variance)
    cut = min(9 * std, 40.0)
    expected, _ = quad(lambda h: math.cosh(h) ** -4 * stats.norm.pdf(h, scale=std), -cut, cut, limit=500)
    assert derivative_moment(Activation("tanh"), variance=variance) == pytest.approx(expected, rel=1e-6)


def test_moments_at_another_variance() -> None:
    """A sine's moments are known in closed form."""
    sine = Activation("sine", {"omega": 3.0})
    fading = math.exp(-2 * 9 * 0.3)
    assert second_moment(sine, variance=0.3) == pytest.approx((1 - fading) / 2, abs=1e-10)
    assert derivative_moment(sine, variance=0.3) == pytest.approx(9 * (1 + fading) / 2, abs=1e-9)


def test_parameters_count() -> None:
    half = Activation("hardtanh", {"min_val": -0.5, "max_val": 0.5})
    # E[z²; |z| < ½] + ¼ P(|z| > ½), by parts
    inside = 1 - 2 * stats.norm.sf(0.5) - 2 * 0.5 * stats.norm.pdf(0.5)
    assert second_moment(half) == pytest.approx(inside + 0.25 * 2 * stats.norm.sf(0.5), abs=1e-10)
    assert second_moment(Activation("leaky_relu", {"negative_slope": 0.2})) == pytest.approx(0.52, abs=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_monotone_says_whether_pooling_commutes(name: str) -> None:
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    falls = bool((Activation(name).function(z).diff() < 0).any())
    assert ACTIVATIONS[name].monotone == (not falls) or name == "prelu"  # prelu's slope is learned and may turn


def test_a_falling_slope_is_not_monotone() -> None:
    assert Activation("leaky_relu", {"negative_slope": 0.1}).monotone
    assert not Activation("leaky_relu", {"negative_slope": -0.5}).monotone


def test_gains() -> None:
    tanh = Activation("tanh")
    assert gain_value(1.5, tanh) == 1.5
    assert gain_value("kaiming", tanh) == nn.init.calculate_gain("tanh") == 5 / 3
    assert gain_value("moment", tanh) == pytest.approx(1.5925, abs=1e-4)
    assert gain_value("kaiming", Activation("leaky_relu", {"negative_slope": 0.2})) == pytest.approx(
        math.sqrt(2 / 1.04)
    )
    assert gain_value("moment", Activation("selu")) == pytest.approx(1.0, abs=1e-6)
    assert gain_value("derivative", tanh) == pytest.approx(1 / math.sqrt(0.464403), abs=1e-5)


def test_an_unknown_gain_says_what_to_use() -> None:
    with pytest.raises(UserError, match=r"torch knows no gain for gelu .*use init.gain=moment"):
        gain_value("kaiming", Activation("gelu"))


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"activation=rellu: .*did you mean relu"):
        Activation("rellu")


def test_the_slope_of_a_prelu_is_the_one_that_it_has() -> None:
    found = activation_of(nn.PReLU(init=0.75))
    assert found == Activation("prelu", {"init": 0.75})
    assert second_moment(found) == pytest.approx((1 + 0.75**2) / 2, abs=1e-9)
    several = nn.PReLU(3, init=0.5)
    assert activation_of(several) == Activation("prelu", {"init": 0.5})
    with torch.no_grad():
        several.weight[1] = 0.1
    assert activation_of(several) is None
