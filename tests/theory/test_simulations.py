"""Networks of finite width do what the theory says of infinitely wide ones."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from initlab.activations import ACTIVATIONS, Activation
from initlab.theory.mean_field import (
    correlation_map,
    critical_point,
    jacobian_moments,
    variance_map,
)
from initlab.theory.moments import derivative_moment

# Networks of finite width.

WIDTH, NETWORKS, DEPTH, PAIRS, START = 200, 100, 10, 4, 0.7
# Squares of squares leave the range of numbers within ten layers.
SIMULATED = [name for name in ACTIVATIONS if name not in ("sine", "prelu", "squared_relu")]
# At 2.5 hardswish would start beside a fixed point that repels, where finite width decides what becomes of it.
LARGE = {"hardswish": 3.0}
CASES = [(name, point) for name in SIMULATED for point in ((0.8, 0.05), (1.5, 0.05), (LARGE.get(name, 2.5), 0.2))]
# Beyond its standard error a network's moment differs from the theory's by about this over the width a layer.
FINITE_WIDTH = 2 / WIDTH


class Simulated(NamedTuple):
    """One value for each network, layer and case."""

    variance: Tensor  # of pre-activations, given the layer before; likewise
    correlation: Tensor  # of pairs of inputs
    gradient: Tensor  # mean square, relative to the last layer's


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    """Random networks on pairs of inputs of variance 1 and correlation .7, each with all activations and variances."""
    generator = torch.Generator().manual_seed(0)
    networks = [_random_network(generator) for _ in range(NETWORKS)]
    return Simulated(*(torch.stack(parts).double() for parts in zip(*networks, strict=True)))


def _random_network(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Variances and correlations of layers 1, 2, ..., and gradients of layers 0, 1, ..., shape (layers, cases)."""
    rows = 2 * PAIRS
    weight, bias = (torch.tensor([point[k] for _, point in CASES]).unsqueeze(1) for k in (0, 1))
    scale, shift = (v.sqrt().repeat_interleave(rows, 0) for v in (weight, bias))
    modules = [Activation(name).module() for name in SIMULATED]
    axes = torch.linalg.qr(torch.randn(WIDTH, rows, generator=generator))[0].mT * math.sqrt(WIDTH)
    first, other = axes[:PAIRS], axes[PAIRS:]
    second = START * first + math.sqrt(1 - START**2) * other
    states = [torch.cat([first, second]).repeat(len(CASES), 1).requires_grad_()]
    variances, correlations = [], []
    for _ in range(DEPTH - 1):
        parts = states[-1].chunk(len(modules))
        active = torch.cat([module(part) for module, part in zip(modules, parts, strict=True)])
        one, two = active.detach().unflatten(0, (len(CASES), 2, PAIRS)).unbind(1)
        squares = [weight * part.square().mean(2) + bias for part in (one, two)]
        product = weight * (one * two).mean(2) + bias
        variances.append((squares[0] + squares[1]).mean(1) / 2)
        correlations.append((product / (squares[0] * squares[1]).sqrt()).mean(1))
        matrix = torch.randn(WIDTH, WIDTH, generator=generator) / math.sqrt(WIDTH)
        states.append(scale * (active @ matrix) + shift * torch.randn(WIDTH, generator=generator))
    cotangent = torch.randn(rows, WIDTH, generator=generator).repeat(len(CASES), 1)
    gradients = torch.stack(torch.autograd.grad(states[-1], states, cotangent))
    squared = gradients.unflatten(1, (len(CASES), rows)).square().mean((2, 3))
    return torch.stack(variances), torch.stack(correlations), (squared / squared[-1])[:-1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_random_networks_follow_the_maps(case: tuple[str, tuple[float, float]], simulated: Simulated) -> None:
    """Second moments, correlations and gradients of ten layers, each layer at the variance that the map gives it."""
    name, (weight, bias) = case
    activation, place = Activation(name), CASES.index(case)
    q, c, chi = [torch.ones(1, dtype=torch.float64)], [torch.full((1,), START, dtype=torch.float64)], []
    for _ in range(DEPTH - 1):
        chi.append(weight * derivative_moment(activation, variance=q[-1].item()))
        c.append(correlation_map(activation, c[-1], weight, bias, q=q[-1].item()))
        q.append(variance_map(activation, q[-1], weight, bias))
    passed = torch.arange(DEPTH - 1, 0, -1)
    backward = torch.tensor(chi, dtype=torch.float64).flip(0).cumprod(0).flip(0)
    astray = [torch.ones(1, dtype=torch.float64)]
    for _ in range(DEPTH - 1):
        astray.append(1.05 * (variance_map(activation, astray[-1], weight, bias) - bias) + bias)
    for sample, theory, wrong, slack in (
        (simulated.variance, torch.cat(q[1:]), torch.cat(astray[1:]), FINITE_WIDTH),
        (simulated.correlation, torch.cat(c[1:]), 1.05 * torch.cat(c[1:]), FINITE_WIDTH),
        (simulated.gradient, backward, backward * 1.05**passed, FINITE_WIDTH * passed),
    ):
        values = sample[:, :, place]
        error = values.std(0) / math.sqrt(NETWORKS)
        allowed = 5 * error + slack * theory
        assert ((values.mean(0) - theory).abs() <= allowed).all()
        assert ((values.mean(0) - wrong).abs() > allowed).any()  # 5 % off is caught


@pytest.mark.parametrize(("orthogonal", "networks"), [(False, 150), (True, 60)])
def test_singular_values_of_a_product_of_layers(orthogonal: bool, networks: int) -> None:
    """The Jacobian J of five critical layers of tanh, D·W each: Σs² = ‖J‖² and Σs⁴ = ‖JᵀJ‖²."""
    activation, width, depth = Activation("tanh"), 300, 5
    point = critical_point(activation, 0.05)
    assert point.fixed_point is not None
    generator = torch.Generator().manual_seed(0)
    moments = []
    for _ in range(networks):
        h = torch.randn(width, generator=generator)
        h *= math.sqrt(point.fixed_point / h.square().mean().item())
        jacobian = torch.eye(width)
        for _ in range(depth):
            matrix = torch.randn(width, width, generator=generator)
            weight = torch.linalg.qr(matrix)[0] if orthogonal else matrix / math.sqrt(width)
            weight *= math.sqrt(point.weight_variance)
            h = weight @ torch.tanh(h) + math.sqrt(point.bias_variance) * torch.randn(width, generator=generator)
            jacobian = (1 - torch.tanh(h) ** 2).unsqueeze(1) * (weight @ jacobian)
        second = jacobian.square().sum().item() / width
        fourth = (jacobian.mT @ jacobian).square().sum().item() / width
        moments.append([second, fourth / second**2 - 1])
    found, errors = np.mean(moments, 0), np.std(moments, 0, ddof=1) / math.sqrt(networks)
    average, variance = jacobian_moments(
        activation, point.weight_variance, point.fixed_point, depth, orthogonal=orthogonal
    )
    assert average == pytest.approx(1, abs=1e-9)
    expected = np.array([average, variance / average**2])
    allowed = 5 * errors + 4 / width * expected  # the second is about 3/width too large with Gaussian weights
    assert (np.abs(found - expected) <= allowed).all()
    assert (np.abs(found - expected * [1.05**depth, 1.05]) > allowed).all()  # 5 % off is caught
