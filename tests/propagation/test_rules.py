"""Each rule against a simulation of its operation, in float64: many units stand for infinitely many."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.propagation.prediction import WeightLaw
from initlab.propagation.rules import (
    BatchNorm,
    Gradient,
    LayerNorm,
    Linear,
    NoClosedFormError,
    Nonlinearity,
    Rule,
    Signal,
    Sum,
    Unchanged,
    rule_of_layer,
)

UNITS = 200_000
TOLERANCE = 0.02  # of each moment: 5 % off is caught
LAW = WeightLaw(0.03, 0.4, True)
ROWS = 4
Q, R = 1.7, 0.6
G, H = 0.8, -0.15


Draw = Callable[..., Tensor]


@pytest.fixture
def draw() -> Draw:
    """Normal numbers, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)


def correlated(draw: Draw, rows: int, units: int, q: float, r: float) -> Tensor:
    """Rows of units, shape (rows, units), with E[u²] = q in each row and E[u₁u₂] = r between two, which may be < 0."""
    covariance = torch.full((rows, rows), r, dtype=torch.float64).fill_diagonal_(q)
    values: Tensor = torch.linalg.cholesky(covariance) @ draw(rows, units)
    return values


def moments(values: Tensor) -> tuple[float, float]:
    """Mean square, and mean product of different rows, of values of shape (rows, …)."""
    flat = values.detach().flatten(1)
    products = flat @ flat.mT / flat.shape[1]
    count = len(flat)
    return float(products.trace() / count), float((products.sum() - products.trace()) / (count * (count - 1)))


def assert_close(found: tuple[float, float], expected: tuple[float, float]) -> None:
    """Second moments and cross moments, none of which is about 0."""
    assert found == pytest.approx(expected, rel=TOLERANCE)
    assert min(map(abs, expected)) > 1e-3 * max(map(abs, expected))


def assert_forward(rule: Rule, before: Tensor, after: Tensor, *, normal: bool) -> None:
    q, r = moments(before)
    predicted = rule.forward(Signal(torch.tensor([q], dtype=torch.float64), r, normal=True))
    assert_close(moments(after), (predicted.mean_square, predicted.r))
    assert predicted.normal == normal


def assert_backward(rule: Rule, inputs: Tensor, after: Tensor, cotangent: Tensor) -> None:
    (gradient,) = torch.autograd.grad(after, inputs, cotangent)
    q, r = moments(inputs)
    signal = Signal(torch.tensor([q], dtype=torch.float64), r, normal=True)
    predicted = rule.backward(Gradient(*moments(cotangent)), signal)
    assert_close(moments(gradient), (predicted.g, predicted.h))


@pytest.mark.parametrize("r", [R, -0.3, Q])
def test_what_is_unchanged(r: float, draw: Draw) -> None:
    inputs = correlated(draw, ROWS, UNITS, Q, r - 1e-9).requires_grad_()
    signal = Signal(torch.tensor([1.0, 2.0], dtype=torch.float64), r, normal=False)
    assert Unchanged().forward(signal) == signal
    assert_backward(Unchanged(), inputs, inputs.flatten(1), correlated(draw, ROWS, UNITS, G, H))


def test_a_linear_layer(draw: Draw) -> None:
    """Few inputs and many units forth, few units and many inputs back."""
    width = 50
    inputs = correlated(draw, ROWS, width, Q, R)
    weight, bias = draw(UNITS, width) * LAW.mean_square**0.5, draw(UNITS) * LAW.bias_mean_square**0.5
    assert_forward(Linear("layer", LAW, width, UNITS), inputs, F.linear(inputs, weight, bias), normal=True)
    many = correlated(draw, ROWS, UNITS, Q, R).requires_grad_()
    cotangent = correlated(draw, ROWS, width, G, H)
    assert_backward(Linear("layer", LAW, UNITS, width), many, F.linear(many, weight.mT.contiguous()), cotangent)


def test_groups_of_inputs_keep_a_size_each(draw: Draw) -> None:
    small, large = correlated(draw, ROWS, 50, 0.5, 0.1), correlated(draw, ROWS, 50, 4.0, 0.1)
    sizes = torch.tensor([moments(part)[0] for part in (small, large)], dtype=torch.float64)
    predicted = Linear("layer", LAW, 50, 10).forward(Signal(sizes, 0.1, normal=True))
    weight, bias = draw(UNITS, 50) * LAW.mean_square**0.5, draw(UNITS) * LAW.bias_mean_square**0.5
    for part, q in zip((small, large), predicted.q, strict=True):
        assert moments(F.linear(part, weight, bias))[0] == pytest.approx(float(q), rel=TOLERANCE)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_with_a_circular_border(stride: int, groups: int, draw: Draw) -> None:
    few, many, side = 16, 4000, 8

    def layer(entering: int, leaving: int) -> nn.Conv2d:
        made = nn.Conv2d(
            entering, leaving, 3, padding=1, padding_mode="circular", stride=stride, groups=groups, dtype=torch.float64
        )
        with torch.no_grad():
            made.weight.copy_(draw(*made.weight.shape) * LAW.mean_square**0.5)
            assert made.bias is not None
            made.bias.copy_(draw(leaving) * LAW.bias_mean_square**0.5)
        return made

    forth, back = layer(few, many), layer(many, few)
    inputs = correlated(draw, ROWS, few * side * side, Q, R).view(ROWS, few, side, side)
    assert_forward(rule_of_layer("layer", forth, LAW), inputs, forth(inputs), normal=True)
    wide = correlated(draw, ROWS, many * side * side, Q, R).view(ROWS, many, side, side).requires_grad_()
    after = back(wide)
    cotangent = correlated(draw, ROWS, after[0].numel(), G, H).view(after.shape)
    assert_backward(rule_of_layer("layer", back, LAW), wide, after, cotangent)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "gelu", "sigmoid", "softplus", "selu", "silu"])
@pytest.mark.parametrize("r", [R, -0.5])
def test_a_nonlinearity(name: str, r: float, draw: Draw) -> None:
    """The moments of φ, whose mean may be other than 0; on the way back those of φ'."""
    activation = Activation(name)
    rule = Nonlinearity("layer", activation, crossing=True)
    inputs = correlated(draw, ROWS, 4 * UNITS, Q, r).requires_grad_()
    after = activation.module()(inputs)
    assert_forward(rule, inputs, after, normal=False)
    cotangent = correlated(draw, ROWS, 4 * UNITS, G, H)
    assert_backward(rule, inputs, after, cotangent)
    signal = Signal(torch.tensor([Q], dtype=torch.float64), r, normal=True)
    crossed, alone = (
        Nonlinearity("layer", activation, crossing=crossing).backward(Gradient(G, H), signal)
        for crossing in (True, False)
    )
    assert (alone.g, alone.h) == (crossed.g, 0.0)  # nobody asks for it


def test_a_sum_of_what_is_independent(draw: Draw) -> None:
    """Of which one is no longer normal."""
    one, other = correlated(draw, ROWS, UNITS, Q, R), F.relu(correlated(draw, ROWS, UNITS, 0.9, -0.2))
    signals = [
        Signal(
            torch.tensor([moments(branch)[0]], dtype=torch.float64),
            moments(branch)[1],
            layers is not None,
            layers=layers,
            history=history,
        )
        for branch, layers, history in (
            (one, frozenset({"b"}), frozenset({"a", "b"})),
            (other, None, frozenset({"a"})),
        )
    ]
    predicted = Sum().forward(*signals)
    assert_close(moments(one + other), (predicted.mean_square, predicted.r))
    assert not predicted.normal
    assert predicted.layers is None
    assert predicted.history == {"a", "b"}
    fresh = replace(signals[0], layers=frozenset({"c"}), history=frozenset({"c"}))
    both = Sum().forward(signals[0], fresh)
    assert both.normal
    assert both.layers == frozenset({"b", "c"})
    assert both.history == {"a", "b", "c"}
    one.requires_grad_()
    assert_backward(Sum(), one, one + other, correlated(draw, ROWS, UNITS, G, H))


@pytest.mark.parametrize("eps", [1e-12, 0.3, 30.0])
@pytest.mark.parametrize("rows", [32, 64])
def test_batch_norm(rows: int, eps: float, draw: Draw) -> None:
    inputs = correlated(draw, rows, UNITS // 4, Q, R).requires_grad_()
    after = F.batch_norm(inputs, None, None, training=True, eps=eps)
    rule = BatchNorm("norm", rows, eps)
    assert_forward(rule, inputs, after, normal=True)
    assert_backward(rule, inputs, after, correlated(draw, rows, UNITS // 4, G, 0.2))


def test_batch_norm_keeps_the_sizes_of_rows_apart(draw: Draw) -> None:
    """Of which one half is four times as large as the other: only their mean becomes 1."""
    rows = 300  # so many that the spread of one unit is that of all
    inputs = correlated(draw, rows, 4000, Q, R) * torch.cat([torch.ones(rows // 2, 1), torch.full((rows // 2, 1), 2)])
    after = F.batch_norm(inputs, None, None, training=True, eps=1e-12)
    sizes, (_, r) = torch.tensor([Q, 4 * Q], dtype=torch.float64), moments(inputs)
    predicted = BatchNorm("norm", rows).forward(Signal(sizes, r, normal=True))
    found = [float(half.square().mean()) for half in after.split(rows // 2)]
    assert predicted.q.tolist() == pytest.approx(found, rel=TOLERANCE)
    assert predicted.mean_square == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(("norm", "centres"), [(F.layer_norm, True), (F.rms_norm, False)], ids=["layer", "rms"])
@pytest.mark.parametrize("eps", [0.0, 0.3, 30.0])
def test_layer_norm(norm: Callable[..., Tensor], centres: bool, eps: float, draw: Draw) -> None:
    inputs = correlated(draw, ROWS, UNITS, Q, R).requires_grad_()
    after = norm(inputs, (UNITS,), eps=eps)
    assert_forward(LayerNorm("norm", centres, eps), inputs, after, normal=True)
    assert_backward(LayerNorm("norm", centres, eps), inputs, after, correlated(draw, ROWS, UNITS, G, H))


def test_layer_norm_divides_each_row_by_its_own_size(draw: Draw) -> None:
    inputs = (correlated(draw, ROWS, UNITS, Q, R) * torch.tensor([[0.1], [0.1], [2.0], [2.0]])).requires_grad_()
    after = F.layer_norm(inputs, (UNITS,), eps=0.01)
    cotangent = correlated(draw, ROWS, UNITS, G, H)
    (gradient,) = torch.autograd.grad(after, inputs, cotangent)
    sizes, rule = torch.tensor([0.01 * Q, 4 * Q], dtype=torch.float64), LayerNorm("norm", True, 0.01)
    signal = Signal(sizes, moments(inputs)[1], normal=True)
    found = [float(half.square().mean()) for half in after.detach().split(2)]
    assert rule.forward(signal).q.tolist() == pytest.approx(found, rel=TOLERANCE)
    assert rule.backward(Gradient(G, H), signal).g == pytest.approx(moments(gradient)[0], rel=TOLERANCE)


def test_norms_of_nothing() -> None:
    nothing = Signal(torch.zeros(2, dtype=torch.float64), 0.0, normal=True)
    assert math.isnan(nothing.correlation)
    for equal in (nothing, Signal(torch.full((2,), 3.0, dtype=torch.float64), 3.0, normal=True, mean=1.0)):
        centred = BatchNorm("norm", 8).forward(equal)
        assert (centred.q.tolist(), centred.r, centred.mean) == ([0.0, 0.0], 0.0, 0.0)
    assert LayerNorm("norm", True).backward(Gradient(G, H), nothing) == Gradient(0.0, 0.0)


NORMAL, OTHER = (Signal(torch.ones(1, dtype=torch.float64), 0.5, normal=normal) for normal in (True, False))
MADE = replace(NORMAL, layers=frozenset({"fc"}), history=frozenset({"fc"}))
START = Gradient(G, H)
REFUSALS: dict[str, tuple[Callable[[], object], str]] = {
    "φ of φ": (lambda: Nonlinearity("act", Activation("relu"), True).forward(OTHER), "act acts on what is not normal"),
    "batch norm of φ": (lambda: BatchNorm("norm", 8).forward(OTHER), "norm acts on what is not normal"),
    "layer norm of φ": (lambda: LayerNorm("norm", True).forward(OTHER), "norm acts on what is not normal"),
    "few rows": (lambda: BatchNorm("norm", 3).backward(START, NORMAL), "norm normalizes fewer than 4 rows, or equal"),
    "equal rows": (
        lambda: BatchNorm("norm", 8).backward(START, Signal(NORMAL.q, 1.0, normal=True)),
        "norm normalizes fewer than 4 rows, or equal ones",
    ),
    "uneven rows": (
        lambda: BatchNorm("norm", 8).backward(START, Signal(torch.tensor([0.01, 4.0]), 0.5, normal=True)),
        "norm normalizes rows of very different sizes together",
    ),
    "border": (lambda: Linear("conv", LAW, 9, None).backward(START, NORMAL), "at the border of conv enter fewer"),
    "sum of φs": (lambda: Sum().forward(OTHER, OTHER), "a sum of what is not independent"),
    "sum with oneself": (lambda: Sum().forward(MADE, MADE), "a sum of what is not independent"),
    "sum of three": (lambda: Sum().forward(MADE, OTHER, OTHER), "a sum of what is not independent"),
    "shared": (lambda: rule_of_layer("fc", nn.Linear(3, 3), None), "fc shares its weights with another layer"),
    "dependent": (
        lambda: rule_of_layer("fc", nn.Linear(3, 3), WeightLaw(1.0, 0.0, False)),
        "the weights of fc are not drawn independently of each other",
    ),
    "padded": (lambda: rule_of_layer("conv", nn.Conv2d(1, 2, 3, padding=1), LAW), "conv pads with zeros"),
    "same": (lambda: rule_of_layer("conv", nn.Conv2d(1, 2, 3, padding="same"), LAW), "conv pads with zeros"),
    "transposed": (lambda: rule_of_layer("conv", nn.ConvTranspose2d(1, 2, 3), LAW), "conv pads with zeros"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_has_no_closed_form_is_said(name: str) -> None:
    work, reason = REFUSALS[name]
    with pytest.raises(NoClosedFormError, match=reason):
        work()


def test_which_layers_have_which_fans() -> None:
    """Without a border all pixels are alike under one tap alone; the signal is known all the same."""
    assert rule_of_layer("fc", nn.Linear(5, 7), LAW) == Linear("fc", LAW, 5, 7)
    valid = rule_of_layer("conv", nn.Conv2d(2, 6, 3), LAW)
    assert valid == rule_of_layer("conv", nn.Conv2d(2, 6, 3, padding="valid"), LAW) == Linear("conv", LAW, 18, None)
    assert rule_of_layer("conv", nn.Conv2d(4, 6, 1, groups=2), LAW) == Linear("conv", LAW, 2, 3)
    circular = nn.Conv1d(2, 6, 5, padding=2, padding_mode="circular", stride=2)
    assert rule_of_layer("conv", circular, LAW) == Linear("conv", LAW, 10, 15)
    for border in ({}, {"padding": 1}, {"padding": 3}, {"padding": 2, "dilation": 2}):  # too narrow, or too wide
        layer = nn.Conv1d(2, 6, 5, padding_mode="circular", **border)  # type: ignore[arg-type]  # numbers by name
        assert rule_of_layer("conv", layer, LAW) == Linear("conv", LAW, 10, None), border
    same = nn.Conv1d(2, 6, 5, padding="same", padding_mode="circular", dilation=2)
    assert rule_of_layer("conv", same, LAW) == Linear("conv", LAW, 10, 30)
