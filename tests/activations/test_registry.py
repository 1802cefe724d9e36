"""Activations and gains against adaptive quadrature."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch import Tensor, nn

import initlab
from initlab.activations import ACTIVATIONS, ALIASES, Activation, activation_of
from initlab.base.errors import UserError
from initlab.config.files import CONF
from initlab.initializers.gains import gain_value
from initlab.theory.moments import derivative_moment, second_moment
from tests.helpers import make_job
from tests.theory.test_moments import FORMULAS

# E[φ(z)²], z ~ N(0, 1), recomputed independently.
PUBLISHED = {
    "tanh": 0.394294, "sigmoid": 0.293379, "relu": 0.5, "elu": 0.644945, "selu": 1.0, "gelu": 0.425221,
    "silu": 0.355776, "mish": 0.452342, "softplus": 0.921246, "softsign": 0.183014, "hardtanh": 0.51606,
    "squared_relu": 1.5,  # half of E[z⁴]
}  # fmt: skip


def test_every_activation_and_every_other_name_has_a_conf() -> None:
    assert {*ACTIVATIONS, *ALIASES} == {path.stem for path in (CONF / "activation").glob("*.yaml")}


@pytest.mark.parametrize("name", ["swish", "relu2", "gelu_tanh", "hardswish", "quick_gelu"])
def test_a_conf_is_the_activation_of_its_name(name: str) -> None:
    assert make_job(f"activation={name}").activation == Activation(name)


def test_other_names() -> None:
    assert Activation("swish") == Activation("silu")
    assert Activation("relu2").name == "squared_relu"
    assert Activation("gelu_tanh") == Activation("gelu", {"approximate": "tanh"})
    assert Activation("gelu_tanh", {"approximate": "none"}).parameters == {"approximate": "none"}


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
    "silu": 0.379482, "mish": 0.479084, "softplus": 0.293379, "softsign": 0.227671, "squared_relu": 2.0,
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


def _within(low: float, high: float) -> list[float]:
    """E[zᵏ; low < z < high] for k = 0 to 4, by parts: d(zᵏ⁻¹·density) = ((k - 1)·zᵏ⁻² - zᵏ)·density dz."""
    moments = [stats.norm.cdf(high) - stats.norm.cdf(low), stats.norm.pdf(low) - stats.norm.pdf(high)]
    for k in (2, 3, 4):
        edge = low ** (k - 1) * stats.norm.pdf(low) - high ** (k - 1) * stats.norm.pdf(high)
        moments.append((k - 1) * moments[k - 2] + edge)
    return moments


def test_moments_of_piecewise_polynomials_in_closed_form() -> None:
    """φ², and its slope squared, is a polynomial between kinks."""
    beyond3, beyond6 = stats.norm.sf(3), stats.norm.sf(6)
    rising, middle = _within(0, 6), _within(-3, 3)
    upper = 3 * stats.norm.pdf(3) + beyond3  # E[z²; z > 3]
    expected = {
        "relu6": (rising[2] + 36 * beyond6, rising[0]),
        "hardsigmoid": (middle[2] / 36 + middle[0] / 4 + beyond3, middle[0] / 36),
        "hardswish": (middle[4] / 36 + middle[2] / 4 + upper, middle[2] / 9 + middle[0] / 4 + beyond3),
    }
    for name, (square, slope) in expected.items():
        assert second_moment(Activation(name)) == pytest.approx(square, rel=1e-9)
        assert derivative_moment(Activation(name)) == pytest.approx(slope, rel=1e-7)  # torch's 1/6 is single


@pytest.mark.parametrize(
    "name", ["relu6", "hardswish", "hardsigmoid", "quick_gelu", "squared_relu", "swish", "gelu_tanh"]
)
def test_moments_by_sampling(name: str) -> None:
    """Of a million draws; 5 % off would be caught."""
    z = np.random.default_rng(0).standard_normal(1_000_000)
    squares = FORMULAS[Activation(name).name if name == "swish" else name].value(z) ** 2
    error = squares.std() / 1000
    assert abs(squares.mean() - second_moment(Activation(name))) < 4 * error
    assert abs(squares.mean() - 1.05 * second_moment(Activation(name))) > 4 * error


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


def test_a_gain_of_a_learned_or_own_slope_is_that_of_its_default() -> None:
    assert gain_value("kaiming", Activation("leaky_relu")) == nn.init.calculate_gain("leaky_relu", 0.01)


class Step(nn.Module):
    """0 below, `height` above."""

    def __init__(self, at: float = 0.5, height: float = 1.0) -> None:
        super().__init__()
        self.at, self.height = at, height

    def forward(self, z: Tensor) -> Tensor:
        """Apply it to each entry, with a slope of 0 everywhere."""
        return self.height * (z > self.at).to(z.dtype) + 0 * z


def test_an_activation_of_ones_own_has_moments_and_gains() -> None:
    initlab.register_activation("step", Step, kinks=("at",), monotone=True)
    step = Activation("step", {"at": 1.0, "height": 2.0})
    assert step.kinks == (1.0,)
    assert step.monotone
    assert second_moment(step) == pytest.approx(4 * stats.norm.sf(1.0), rel=1e-9)
    assert gain_value("moment", step) == pytest.approx(0.5 * stats.norm.sf(1.0) ** -0.5, rel=1e-9)
    with pytest.raises(UserError, match=r"init.gain=derivative: E\[φ'\(z\)²\] of step is 0; use a number"):
        gain_value("derivative", step)
    model = nn.Sequential(nn.Linear(40, 40), Step(1.0, 2.0), nn.Linear(40, 40), Step(1.0, 2.0))
    report = initlab.initialize(model, "he", gain="moment", seed=0)
    assert report["0.weight"].gain == pytest.approx(0.5 * stats.norm.sf(1.0) ** -0.5)
    assert initlab.initialize(model, "he", gain="moment", activation="step", seed=0)["0.weight"].gain == pytest.approx(
        stats.norm.sf(0.5) ** -0.5
    )


def test_an_activation_of_ones_own_may_be_made_by_a_function() -> None:
    initlab.register_activation("rounded_tanh", lambda: nn.Tanhshrink(), saturates=True)
    assert activation_of(nn.Tanhshrink()) == Activation("rounded_tanh")
    assert not Activation("rounded_tanh").kind.monotone


@pytest.mark.parametrize(
    ("name", "build", "options", "said"),
    [
        ("relu", Step, {}, "an activation named relu is registered already"),
        ("swish", Step, {}, "an activation named swish is registered already"),
        ("mine", lambda: 3, {}, "mine: expected a torch.nn.Module of .*, got 3"),
        ("mine", lambda: nn.Softmax(-1), {}, "mine is no function of each number by itself"),
        ("mine", nn.RReLU, {}, "mine is no function of each number by itself, the same in both modes"),
        ("mine", nn.Identity, {}, r"mine is a \+ b·z: it bends nothing"),
        ("mine", Step, {"kinks": ("edge",)}, "mine: its kink edge is neither a number nor an attribute that is one"),
    ],
)
def test_what_cannot_be_registered(
    name: str, build: Callable[..., nn.Module], options: dict[str, Any], said: str
) -> None:
    before = dict(ACTIVATIONS)
    with pytest.raises(ValueError, match=said):
        initlab.register_activation(name, build, **options)
    assert dict(ACTIVATIONS) == before


def test_registering_draws_nothing() -> None:
    before = torch.get_rng_state()
    initlab.register_activation("mine", lambda: nn.Sequential(nn.Linear(20, 20), Step())[1])
    assert torch.equal(torch.get_rng_state(), before)


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
    assert activation_of(nn.PReLU()) == Activation("prelu")
    several = nn.PReLU(3, init=0.5)
    assert activation_of(several) == Activation("prelu", {"init": 0.5})
    with torch.no_grad():
        several.weight[1] = 0.1
    assert activation_of(several) is None
