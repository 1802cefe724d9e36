"""Mean-field theory against published points, maps from another quadrature, and networks of finite width."""

import itertools
import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.theory.mean_field import (
    correlation_map,
    critical_point,
    fixed_variance,
    mean_field_theory,
    positively_homogeneous,
    variance_map,
)
from initlab.theory.moments import second_moment
from tests.theory.test_moments import FORMULAS, mean, pair_mean


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


# Critical at small σ_b², too.
SMALL = ("tanh", "sigmoid", "elu", "selu", "softsign", "hardtanh", "relu6", "hardsigmoid")


@pytest.mark.parametrize(
    ("name", "bias_variance"),
    [*((name, 0.05) for name in SMALL), *((name, 1.0) for name in (*SMALL, "gelu", "silu", "mish", "hardswish"))],
)
def test_critical_points_solve_both_equations(name: str, bias_variance: float) -> None:
    """q* = σ_w²·E[φ²] + σ_b² and σ_w²·E[φ'²] = 1, by adaptive quadrature and differences."""
    activation, h = Activation(name), 1e-5
    point = critical_point(activation, bias_variance)
    assert point.fixed_point is not None
    std = math.sqrt(point.fixed_point)

    def integrand(z: float, *, slope: bool) -> float:
        ends = activation.function(torch.tensor([std * z, std * z - h, std * z + h], dtype=torch.float64)).tolist()
        value = float((ends[2] - ends[1]) / (2 * h) if slope else ends[0])
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


# The maps again, from the formulas and the quadrature of the moments' tests.


def mapped_variance(name: str, q: float, weight: float, bias: float) -> float:
    formula = FORMULAS[name]
    return weight * mean(lambda h: formula.value(h) ** 2, q, formula.kinks) + bias


def mapped_correlation(name: str, c: float, weight: float, bias: float, q: float) -> float:
    formula = FORMULAS[name]
    both = weight * pair_mean(formula.value, q, c, formula.kinks) + bias
    return both / mapped_variance(name, q, weight, bias)


def chi_of(name: str, q: float, weight: float, c: float = 1.0) -> float:
    formula = FORMULAS[name]
    return weight * pair_mean(formula.slope, q, c, formula.kinks)


def settled_variance(name: str, weight: float, bias: float) -> float:
    """Where plain iteration leads from 1; infinite beyond 1e7."""
    q = 1.0
    for _ in range(5000):
        before, q = q, mapped_variance(name, q, weight, bias)
        if q > 1e7:
            return math.inf
        if abs(q - before) <= 1e-14 * q:
            return q
    raise AssertionError(f"{name} at {weight}, {bias} has not settled: {q}")


def fitted_depth(values: Sequence[float], *, least: float, most: float) -> float:
    """ξ of an exponential approach, by a line through the logarithms of the steps between `least` and `most`."""
    steps = np.abs(np.diff(values))
    layers = np.flatnonzero((steps > least) & (steps < most))
    assert len(layers) >= 4
    slope, _ = np.polyfit(layers, np.log(steps[layers]), 1)
    return float(-1 / slope)


POINTS = ((1.2, 0.05), (0.7, 0.3), (1.9, 0.5))


@pytest.mark.parametrize("name", FORMULAS)
def test_maps_of_inputs_that_have_not_settled(name: str) -> None:
    activation = Activation(name)
    for weight, bias in POINTS:
        for q in (0.3, 4.0):
            found = variance_map(activation, torch.tensor([q, 2 * q], dtype=torch.float64), weight, bias)
            expected = [mapped_variance(name, each, weight, bias) for each in (q, 2 * q)]
            assert found.tolist() == pytest.approx(expected, rel=1e-8)
            given = (-0.7, 0.0, 0.6, 0.99, 1.0)
            correlations = correlation_map(activation, torch.tensor(given, dtype=torch.float64), weight, bias, q=q)
            kept = [mapped_correlation(name, c, weight, bias, q) for c in given]
            assert correlations.tolist() == pytest.approx(kept, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("weight", "bias"), POINTS)
@pytest.mark.parametrize("name", FORMULAS)
def test_fixed_points_are_where_the_maps_lead(name: str, weight: float, bias: float) -> None:
    theory = mean_field_theory(Activation(name), weight, bias)
    q = settled_variance(name, weight, bias)
    assert theory.fixed_point == pytest.approx(q, rel=1e-6)
    assert (theory.weight_variance, theory.bias_variance) == (weight, bias)
    if q == math.inf:
        assert math.isnan(theory.variance_depth)
        return
    assert theory.chi == pytest.approx(chi_of(name, q, weight), rel=1e-6)
    assert theory.phase == ("ordered" if theory.chi < 1 else "chaotic")
    step = 1e-4 * q
    slope = (mapped_variance(name, q + step, weight, bias) - mapped_variance(name, q - step, weight, bias)) / (2 * step)
    assert theory.variance_depth == pytest.approx(-1 / math.log(slope), rel=1e-5)
    assert theory.correlation is not None
    assert mapped_correlation(name, theory.correlation, weight, bias, q) == pytest.approx(theory.correlation, abs=1e-8)
    fading = chi_of(name, q, weight, theory.correlation)
    assert fading < 1  # it attracts
    assert theory.correlation_depth == pytest.approx(-1 / math.log(fading), rel=1e-5)
    assert (theory.correlation < 1) == (theory.phase == "chaotic")


@pytest.mark.parametrize(
    ("name", "weight", "bias"),
    [
        ("tanh", 1.5, 0.05),
        ("tanh", 3.0, 0.05),
        ("tanh", 3.0, 0.0),
        ("sigmoid", 30.0, 0.1),
        ("selu", 1.0, 0.0),
        ("elu", 1.3, 0.1),
        ("gelu", 1.7, 0.05),
        ("hardtanh", 2.0, 0.05),
        ("softplus", 1.2, 0.1),
        ("softsign", 3.0, 0.02),
    ],
)
def test_depths_are_those_of_the_iterated_maps(name: str, weight: float, bias: float) -> None:
    """Both from afar: the variance from 2 q*, the correlation from .3 or, where it has to fall, .9."""
    theory = mean_field_theory(Activation(name), weight, bias)
    q = settled_variance(name, weight, bias)
    variances = [2 * q]
    for _ in range(300):
        variances.append(mapped_variance(name, variances[-1], weight, bias))
    assert variances[-1] == pytest.approx(q, rel=1e-6)
    assert fitted_depth(variances, least=1e-11 * q, most=1e-6 * q) == pytest.approx(theory.variance_depth, rel=1e-3)
    assert theory.correlation is not None
    correlations = [0.9 if theory.correlation < 0.5 else 0.3]
    while len(correlations) < 1000 and (len(correlations) < 3 or abs(correlations[-1] - correlations[-2]) > 1e-8):
        correlations.append(mapped_correlation(name, correlations[-1], weight, bias, q))
    assert correlations[-1] == pytest.approx(theory.correlation, abs=1e-6)
    found = fitted_depth(correlations, least=1e-8, most=1e-5)
    assert found == pytest.approx(theory.correlation_depth, rel=2e-3)


def test_phases_of_tanh() -> None:
    """Schoenholz et al. 2017, figure 1: ordered below σ_w² = 1.76096 at σ_b² = .05, chaotic above."""
    tanh = Activation("tanh")
    assert mean_field_theory(tanh, 1.760, 0.05).phase == "ordered"
    assert mean_field_theory(tanh, 1.762, 0.05).phase == "chaotic"
    edge = mean_field_theory(tanh, critical_point(tanh, 0.05).weight_variance, 0.05)
    assert edge.phase == "critical"
    assert edge.fixed_point == pytest.approx(0.57005, abs=1e-4)
    assert edge.correlation == 1
    assert edge.correlation_depth > 1e6
    assert edge.variance_depth < 10


@pytest.mark.parametrize(
    "name",
    [
        "tanh",
        "sigmoid",
        "elu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "softsign",
        "hardtanh",
        "relu6",
        "hardsigmoid",
        "hardswish",
        "quick_gelu",
    ],
)
def test_critical_points_are_critical(name: str) -> None:
    point = critical_point(Activation(name), 1.0)
    theory = mean_field_theory(Activation(name), point.weight_variance, 1.0)
    assert theory.phase == "critical"
    assert theory.correlation == 1
    assert chi_of(name, settled_variance(name, point.weight_variance, 1.0), point.weight_variance) == pytest.approx(1)


def test_he_keeps_the_variance_of_relu_and_loses_the_geometry() -> None:
    relu, correlations = Activation("relu"), [torch.zeros(1, dtype=torch.float64)]
    for _ in range(50):
        correlations.append(correlation_map(relu, correlations[-1], 2.0, 0.0, q=1.0))
    assert correlations[1].item() == pytest.approx(1 / math.pi, abs=1e-9)
    assert correlations[10].item() == pytest.approx(0.87154, abs=1e-5)
    assert correlations[50].item() == pytest.approx(0.98786, abs=1e-5)
    theory = mean_field_theory(relu, 2.0, 0.0)
    assert (theory.fixed_point, theory.correlation, theory.phase) == (None, 1.0, "critical")
    assert theory.chi == pytest.approx(1, abs=1e-9)
    assert theory.variance_depth == theory.correlation_depth == math.inf  # neither fades exponentially


def test_tanh_at_weight_variance_1_decays_as_one_over_twice_the_depth() -> None:
    """From q = 1; another start changes the third digit."""
    q = torch.ones(1, dtype=torch.float64)
    for _ in range(100):
        q = variance_map(Activation("tanh"), q, 1.0, 0.0)
    assert 2 * 100 * q.item() == pytest.approx(1.0138, abs=5e-5)
    theory = mean_field_theory(Activation("tanh"), 1.0, 0.0)
    assert (theory.fixed_point, theory.phase, theory.variance_depth) == (0.0, "critical", math.inf)


def test_selu_needs_the_variance_of_lecun() -> None:
    selu = Activation("selu")
    theory = mean_field_theory(selu, 1.0, 0.0)
    assert theory.fixed_point == pytest.approx(1, abs=1e-8)
    assert theory.chi == pytest.approx(1.071575, abs=1e-5)
    slope = math.exp(-1 / theory.variance_depth)
    assert slope == pytest.approx(0.7827, abs=1e-3)  # below 1: (0, 1) attracts
    for start in (0.3, 3.0):
        q = torch.full((1,), start, dtype=torch.float64)
        for _ in range(60):
            q = variance_map(selu, q, 1.0, 0.0)
        assert q.item() == pytest.approx(1, abs=1e-5)
    fallen = torch.ones(1, dtype=torch.float64)
    for _ in range(8):
        fallen = variance_map(selu, fallen, 9 / 16, 0.0)
    assert fallen.item() == pytest.approx(0.0852, abs=5e-5)
    assert mean_field_theory(selu, 9 / 16, 0.0).fixed_point == pytest.approx(settled_variance("selu", 9 / 16, 0.0))


@pytest.mark.parametrize("width", [64, 1000])
def test_the_default_of_torch_in_deep_relu_networks(width: int) -> None:
    """U(±1/√n): σ_w² = 1/3 and σ_b² = 1/(3n), so that the rms goes to √(.4/n)."""
    theory = mean_field_theory(Activation("relu"), 1 / 3, 1 / (3 * width))
    assert theory.fixed_point == pytest.approx(0.4 / width, rel=1e-9)
    assert theory.correlation == 1
    assert (theory.correlation_depth, theory.variance_depth) == pytest.approx((1 / math.log(6),) * 2)


def test_where_the_signal_dies() -> None:
    for name in ("tanh", "relu", "gelu", "softsign", "identity"):
        theory = mean_field_theory(Activation(name), 0.8, 0.0)
        slope = {"relu": 0.4, "gelu": 0.2}.get(name, 0.8)  # of the variance map at 0
        assert (theory.fixed_point, theory.phase) == (0.0, "ordered")
        assert theory.chi == pytest.approx(slope, rel=1e-5)
        assert theory.variance_depth == pytest.approx(-1 / math.log(slope), rel=1e-4)
        assert theory.correlation_depth == math.inf  # the covariance fades as fast as the variance
        assert theory.correlation == (1.0 if name == "relu" else None)


@pytest.mark.parametrize(("name", "chi"), [("relu", 1.5), ("leaky_relu", 1.50015), ("gelu", 1.5), ("softplus", 1.5)])
def test_where_the_variance_runs_away(name: str, chi: float) -> None:
    """Far out all four are a rectifier; the covariance is iterated along with the variance."""
    theory = mean_field_theory(Activation(name), 3.0, 0.1)
    q, c = 1.0, 0.2
    for _ in range(40):
        q, c = mapped_variance(name, q, 3.0, 0.1), mapped_correlation(name, c, 3.0, 0.1, q)
    assert q > 1e6
    assert c > 0.97
    assert (theory.fixed_point, theory.phase) == (math.inf, "chaotic")
    assert theory.chi == pytest.approx(chi, rel=1e-3)
    assert theory.correlation == pytest.approx(1, abs=1e-6)
    assert math.isnan(theory.variance_depth)


def test_where_the_variance_runs_away_as_a_square() -> None:
    """Squared ReLU: a layer makes 3/2·σ_w²·q² of q, and correlations approach a point between 0 and 1."""
    theory = mean_field_theory(Activation("squared_relu"), 0.8, 0.05)
    assert theory.fixed_point == math.inf
    assert fixed_variance(Activation("squared_relu"), 0.5, 0.05) == pytest.approx((1 - math.sqrt(1 - 0.15)) / 1.5)
    correlations = [0.9]
    for _ in range(100):  # at any q, as φ(√q z) is q·φ(z)
        correlations.append(mapped_correlation("squared_relu", correlations[-1], 0.8, 0.0, 1.0))
    assert theory.correlation == pytest.approx(correlations[-1], abs=1e-8)
    assert fitted_depth(correlations, least=1e-10, most=1e-3) == pytest.approx(theory.correlation_depth, rel=1e-3)


def test_a_linear_network_keeps_its_correlations() -> None:
    identity = Activation("identity")
    for weight, fixed in ((1.0, None), (1.5, math.inf), (0.5, 0.0)):
        theory = mean_field_theory(identity, weight, 0.0)
        assert (theory.fixed_point, theory.correlation) == (fixed, None)
        assert theory.chi == pytest.approx(weight)
        assert theory.correlation_depth == math.inf


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "identity"])
def test_weights_without_variance(name: str) -> None:
    theory = mean_field_theory(Activation(name), 0.0, 0.3)
    assert theory.fixed_point == pytest.approx(0.3)
    assert (theory.chi, theory.correlation, theory.phase) == (0.0, 1.0, "ordered")
    assert theory.variance_depth == theory.correlation_depth == 0.0
    dead = mean_field_theory(Activation(name), 0.0, 0.0)
    assert (dead.fixed_point, dead.chi, dead.correlation) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (-0.1, 0.0, "σ_w²=-0.1: expected a finite number of at least 0"),
        (1.0, -1e-9, "σ_b²=-1e-09: expected"),
        (math.inf, 0.0, "σ_w²=inf"),
        (1.0, math.nan, "σ_b²=nan"),
    ],
)
def test_variances_that_are_none(weight: float, bias: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mean_field_theory(Activation("tanh"), weight, bias)


# Corners.


@pytest.mark.parametrize("bias", [1e-4, 1e-3])
def test_a_small_bias_makes_a_critical_relu_grow(bias: float) -> None:
    """q ← q + σ_b²: no fixed point, however small the bias."""
    assert mean_field_theory(Activation("relu"), 2.0, bias).fixed_point == math.inf


@pytest.mark.parametrize(("name", "weight", "bias"), [("silu", 2.0401, 0.4127), ("gelu", 2.0209, 0.1419)])
def test_a_fixed_point_close_to_one_that_repels(name: str, weight: float, bias: float) -> None:
    """The variance map all but touches the diagonal; plain iteration stops at the first of the two points."""
    q = settled_variance(name, weight, bias)
    assert 1 < q < 4
    assert mean_field_theory(Activation(name), weight, bias).fixed_point == pytest.approx(q, rel=1e-6)


def test_a_tiny_bias_counts_as_much_as_the_weights_make_of_it() -> None:
    """tanh is linear there: q* = σ_b²/(1 - σ_w²)."""
    assert mean_field_theory(Activation("tanh"), 0.5, 1e-10).fixed_point == pytest.approx(2e-10, rel=1e-6)


@pytest.mark.parametrize("name", ["elu", "selu", "softplus"])
def test_a_variance_that_runs_away_ends_at_a_rectifier(name: str) -> None:
    """c* = 1, and as a power of the depth: the fixed point of q = 1e6 is not the limit."""
    theory = mean_field_theory(Activation(name), 3.0, 0.1)
    assert theory.fixed_point == math.inf
    assert theory.correlation == pytest.approx(1, abs=1e-6)
    assert theory.correlation_depth == math.inf


def test_biases_align_the_inputs_of_a_linear_network_at_weight_variance_1() -> None:
    """Variance and covariance gain σ_b² a layer, so that c → 1."""
    assert mean_field_theory(Activation("identity"), 1.0, 0.1).correlation == 1.0


def test_softsign_is_critical_where_its_slope_at_0_says() -> None:
    """Its slope falls off as 1 - 2|h|, so that 1e-12 is no negligible variance."""
    assert critical_point(Activation("softsign"), 0.0).weight_variance == pytest.approx(1, abs=1e-6)
    assert mean_field_theory(Activation("softsign"), 1.0, 0.0).phase == "critical"


def test_a_sine_that_turns_fast() -> None:
    """q* = σ_w²/2 + σ_b² as soon as ω²q is large."""
    sine = Activation("sine", {"omega": 30.0})
    assert fixed_variance(sine, 2.0, 0.01) == pytest.approx(1.01, rel=1e-6)
    assert fixed_variance(sine, 40.0, 0.01) == pytest.approx(20.01, rel=1e-6)
