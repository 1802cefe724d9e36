"""Moments of an activation's output for normal inputs: what mean-field theory is made of.

Each integral is split into pieces at the kinks of φ and where φ bends, with Gauss-Legendre nodes on each piece. A
single Gauss-Hermite rule would err in the third digit at a kink.

There is one limit: a sine that turns by more than about 1000 radians within a standard deviation, as one of ω = 30
does from a variance of 1000 on, needs more nodes than there are, and its moments are then right to 4 % only.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from initlab.activations import Activation
from initlab.base.threads import intra_op_threads

Function = Callable[[Tensor], Tensor]

CUTOFF = 12  # in standard deviations; the mass beyond is below 1e-30
MOST_TOGETHER = 32  # integrals, that all get the nodes that the hardest of them needs
NODES = (64, 128, 256, 512, 1024)  # a piece
# Of double integrals, where the mass beyond 9 standard deviations, 1e-18, is left out.
PAIR_CUTOFF = 9.0
PAIR_PIECE = 2.0
PAIR_NODES = (12, 24, 48, 96, 192, 384)
ALIKE = 1e-12  # how near to 1 a correlation counts as 1


def second_moment(activation: Activation, *, variance: float = 1.0) -> float:
    """E[φ(h)²] for h ~ N(0, variance), to about 1e-10 but for the fastest sines.

    Example:
        >>> round(second_moment(Activation("relu")), 10), round(second_moment(Activation("relu"), variance=4.0), 10)
        (0.5, 2.0)

    Args:
        activation: The nonlinearity φ, any registered one.
        variance: Variance of the input h, at least 0.
    """
    return float(second_moments(activation, torch.tensor([variance], dtype=torch.float64)))


def derivative_moment(activation: Activation, *, variance: float = 1.0) -> float:
    """E[φ'(h)²] for h ~ N(0, variance), to about 1e-10 but for the fastest sines.

    Args:
        activation: The nonlinearity φ, any registered one.
        variance: Variance of the input h, at least 0.
    """
    return float(derivative_moments(activation, torch.tensor([variance], dtype=torch.float64)))


def derivative_fourth_moment(activation: Activation, *, variance: float = 1.0) -> float:
    """E[φ'(h)⁴] for h ~ N(0, variance), to about 1e-10 but for the fastest sines.

    Args:
        activation: The nonlinearity φ, any registered one.
        variance: Variance of the input h, at least 0.
    """
    std = torch.tensor([math.sqrt(variance)], dtype=torch.float64)
    return float(_expectation(lambda h: activation.derivative(h) ** 4, activation, std))


def first_two_moments(activation: Activation, variances: Tensor, *, mean: float = 0.0) -> tuple[Tensor, Tensor]:
    """E[φ(h)] and E[φ(h)²] for h ~ N(mean, v), for each v in `variances`, from the same values of φ.

    Example:
        >>> means, _ = first_two_moments(Activation("relu"), torch.tensor([1.0], dtype=torch.float64), mean=-1.0)
        >>> round(float(means), 6)  # the normal density at 1, less its tail beyond
        0.083315

    Args:
        activation: The nonlinearity φ, any registered one.
        variances: Variances of the input h, shape (n,), float64, each at least 0.
        mean: Mean of the input h.

    Returns:
        The first moments, and the second ones as `second_moments` gives them, both of shape (n,), float64.
    """

    def both(h: Tensor) -> Tensor:
        values = activation.function(h)
        return torch.stack([values, values.square()])

    first, second = _expectation(both, activation, variances.sqrt(), mean=mean)
    return first, second


def second_moments(activation: Activation, variances: Tensor, *, mean: float = 0.0) -> Tensor:
    """E[φ(h)²] for h ~ N(mean, v), for each v in `variances`.

    Args:
        activation: The nonlinearity φ, any registered one.
        variances: Variances of the input h, shape (n,), float64, each at least 0.
        mean: Mean of the input h.

    Returns:
        One moment for each variance, shape (n,), float64.
    """
    return _expectation(lambda h: activation.function(h).square(), activation, variances.sqrt(), mean=mean)


def derivative_moments(activation: Activation, variances: Tensor, *, mean: float = 0.0) -> Tensor:
    """E[φ'(h)²] for h ~ N(mean, v), for each v in `variances`.

    Args:
        activation: The nonlinearity φ, any registered one.
        variances: Variances of the input h, shape (n,), float64, each at least 0.
        mean: Mean of the input h.

    Returns:
        One moment for each variance, shape (n,), float64.
    """
    return _expectation(lambda h: activation.derivative(h).square(), activation, variances.sqrt(), mean=mean)


def second_moment_slopes(activation: Activation, variances: Tensor) -> Tensor:
    """d/dv E[φ(h)²] for h ~ N(0, v), which is E[φ(h) φ'(h) h]/v, for each v in `variances`.

    Args:
        activation: The nonlinearity φ, any registered one.
        variances: Variances of the input h, shape (n,), float64, each above 0.

    Returns:
        One slope for each variance, shape (n,), float64.
    """

    def integrand(h: Tensor) -> Tensor:
        return activation.function(h) * activation.derivative(h) * h

    return _expectation(integrand, activation, variances.sqrt()) / variances


def cross_moments(activation: Activation, variance: float, correlations: Tensor, *, mean: float = 0.0) -> Tensor:
    """E[φ(h₁) φ(h₂)] for normal h₁ and h₂ of one mean and variance, for each of several correlations.

    Args:
        activation: The nonlinearity φ, any registered one.
        variance: Variance of both h₁ and h₂, at least 0.
        correlations: Between h₁ and h₂, shape (n,), float64, each in [-1, 1].
        mean: Mean of both h₁ and h₂.

    Returns:
        One moment for each correlation, shape (n,), float64.
    """
    return _pair_expectation(activation, activation.function, variance, correlations, mean)


def derivative_cross_moments(
    activation: Activation, variance: float, correlations: Tensor, *, mean: float = 0.0
) -> Tensor:
    """E[φ'(h₁) φ'(h₂)] for normal h₁ and h₂ of one mean and variance, for each of several correlations.

    Args:
        activation: The nonlinearity φ, any registered one.
        variance: Variance of both h₁ and h₂, at least 0.
        correlations: Between h₁ and h₂, shape (n,), float64, each in [-1, 1].
        mean: Mean of both h₁ and h₂.

    Returns:
        One moment for each correlation, shape (n,), float64.
    """
    return _pair_expectation(activation, activation.derivative, variance, correlations, mean)


def _expectation(
    function: Function, activation: Activation, stds: Tensor, *, mean: float = 0.0, more_kinks: Sequence[float] = ()
) -> Tensor:
    """E[f(mean + std · z)], z ~ N(0, 1), for each std.

    Args:
        function: f, elementwise, as smooth as the activation; it may return several values, in a first dimension.
        activation: Where its kinks are, the integral is split.
        stds: Shape (n,), float64, each at least 0.
        mean: Mean of what f is given.
        more_kinks: Where else f is not smooth.

    Returns:
        One expectation for each std, shape (n,), or (values, n), float64.
    """
    parts = []
    with intra_op_threads(1):  # these are small: threads would only wait for each other
        for part in stds.split(MOST_TOGETHER):
            nodes = _nodes_needed(activation, float(part.max()) ** 2, pairs=False)
            parts.append(_piecewise(function, (*activation.kinks, *more_kinks), part, nodes, mean=mean))
    return torch.cat(parts, -1)


def _piecewise(function: Function, kinks: Sequence[float], stds: Tensor, nodes: int, *, mean: float = 0.0) -> Tensor:
    """E[f(mean + std · z)], z ~ N(0, 1), for each std, with a given number of nodes on each piece.

    Args:
        function: f, elementwise, smooth but for the kinks.
        kinks: Where f or its derivative is not smooth.
        stds: Shape (n,), float64, each at least 0.
        nodes: Gauss-Legendre nodes on each piece.
        mean: Mean of what f is given.

    Returns:
        One expectation for each std, shape (n,), float64.
    """
    whole = torch.arange(-CUTOFF, CUTOFF + 1, dtype=torch.float64).expand(len(stds), -1)
    smallest = stds.clamp_min(1e-150).unsqueeze(1)
    places = kinks if mean == 0 else (0.0, *kinks)  # without a mean, 0 is an edge already
    splits = (torch.tensor(places, dtype=torch.float64) - mean) / smallest
    # Where φ bends, around 0, is narrow beside z if the variance is large.
    bends = torch.tensor([10.0**k for k in range(-1, 6)], dtype=torch.float64) / smallest
    origin = -mean / smallest
    edges = torch.cat([whole, splits, origin + bends, origin - bends], 1).clamp(-CUTOFF, CUTOFF).sort(1).values
    z, weights = _nodes_between(edges, nodes)
    return (weights * function(mean + stds.unsqueeze(1) * z)).sum(-1)


def _pair_expectation(
    activation: Activation, function: Function, variance: float, correlations: Tensor, mean: float
) -> Tensor:
    """E[f(h₁) f(h₂)] for normal h₁ and h₂ of one mean m and variance v, for each correlation c.

    With h₁ = m + √v (√|c| w + √(1 - |c|) z₁) and h₂ = m + √v (±√|c| w + √(1 - |c|) z₂), which are independent given w,
    it is the mean over w of g(w)·g(±w), where g(w) = E_z[f(m + √v (√|c| w + √(1 - |c|) z))]: two nested integrals of
    one variable.

    Args:
        activation: Where its kinks are, the integrals are split.
        function: f, elementwise, as smooth as the activation.
        variance: The variance v of both inputs, at least 0.
        correlations: Values of c, shape (n,), each in [-1, 1].
        mean: The mean m of both inputs.

    Returns:
        One expectation for each correlation, shape (n,), float64.
    """
    std, nodes = math.sqrt(variance), _nodes_needed(activation, variance, pairs=True)
    products = []
    for correlation in correlations.tolist():
        if std == 0 or 1 - abs(correlation) < ALIKE:  # both are as far from the mean
            both = partial(_times_mirrored, function, math.copysign(1.0, correlation), mean)
            mirrored = tuple(2 * mean - kink for kink in activation.kinks) if mean else ()
            stds = torch.tensor([std], dtype=torch.float64)
            products.append(float(_expectation(both, activation, stds, mean=mean, more_kinks=mirrored)))
        else:
            with intra_op_threads(1):
                products.append(_product(activation, function, std, correlation, nodes, mean))
    return torch.tensor(products, dtype=torch.float64)


def _times_mirrored(function: Function, sign: float, mean: float, h: Tensor) -> Tensor:
    return function(h) * function(mean + sign * (h - mean))


def _product(
    activation: Activation, function: Function, std: float, correlation: float, nodes: int, mean: float
) -> float:
    common, own = math.sqrt(abs(correlation)), math.sqrt(1 - abs(correlation))
    reach = torch.arange(-PAIR_CUTOFF, PAIR_CUTOFF + 1, PAIR_PIECE, dtype=torch.float64)
    places = (torch.tensor([0.0, *activation.kinks], dtype=torch.float64) - mean) / std
    bends = torch.tensor([10.0**k / std for k in range(-1, 6) if 10.0**k < std * PAIR_CUTOFF], dtype=torch.float64)
    # Seen from w, a kink is washed out over own/common; from z it stands where the other summand puts it.
    washed = torch.tensor([-6.0, -2.0, 0.0, 2.0, 6.0], dtype=torch.float64) * own
    near = torch.cat([washed, bends, -bends])
    if common > 1e-3:
        inner = (places.unsqueeze(1) + near).flatten() / common
        outer_edges = torch.cat([reach, inner, -inner]).clamp(-PAIR_CUTOFF, PAIR_CUTOFF).sort().values
    else:
        outer_edges = reach
    w, outer = _nodes_between(outer_edges.unsqueeze(0), nodes)
    centres = (places - common * w.squeeze(0).unsqueeze(1)) / own  # (nodes of w, kinks)
    around = torch.cat([torch.zeros(1, dtype=torch.float64), bends / own, -bends / own])
    splits = (centres.unsqueeze(2) + around).flatten(1)
    edges = torch.cat([reach.expand(len(splits), -1), splits], 1).clamp(-PAIR_CUTOFF, PAIR_CUTOFF).sort(1).values
    z, weights = _nodes_between(edges, nodes)
    conditional = (weights * function(mean + std * (common * w.squeeze(0).unsqueeze(1) + own * z))).sum(1)
    # Nodes and edges are symmetric about 0, so that the value at -w stands at the mirrored place.
    other = conditional if correlation >= 0 else conditional.flip(0)
    return float((outer.squeeze(0) * conditional * other).sum())


def _nodes_needed(activation: Activation, variance: float, *, pairs: bool) -> int:
    """How many nodes a piece needs for the second moments of φ and φ' to come out right; a fast sine needs many.

    Args:
        activation: The nonlinearity φ that is integrated.
        variance: The largest variance of its input; counts are kept for steps of a quarter of a power of ten.
        pairs: Whether for double integrals, which have longer pieces.
    """
    quarter = math.ceil(4 * math.log10(variance)) if variance > 0 else -1000
    count = _pair_nodes if pairs else _single_nodes
    return count(activation.name, tuple(activation.parameters.items()), quarter)


@lru_cache(maxsize=1024)
def _single_nodes(name: str, parameters: tuple[tuple[str, Any], ...], quarter: int) -> int:
    """Nodes for variances of up to 10^(quarter/4): so many that twice as many change nothing.

    Args:
        name: Registered name of the activation.
        parameters: Its parameters as pairs, so that results can be cached.
        quarter: Four times the power of ten that the variance does not exceed.
    """
    activation, std = Activation(name, dict(parameters)), torch.tensor([10.0 ** (quarter / 8)], dtype=torch.float64)
    for nodes, more in pairwise(NODES):
        if _agree(*(_squares(activation, partial(_piecewise, stds=std, nodes=each)) for each in (nodes, more))):
            return nodes
    return NODES[-1]


@lru_cache(maxsize=1024)
def _pair_nodes(name: str, parameters: tuple[tuple[str, Any], ...], quarter: int) -> int:
    """Nodes on the longer pieces of a double integral: so many that single integrals come out right with them.

    Args:
        name: Registered name of the activation.
        parameters: Its parameters as pairs, so that results can be cached.
        quarter: Four times the power of ten that the variance does not exceed.
    """
    activation, variance = Activation(name, dict(parameters)), 10.0 ** (quarter / 4)
    std = math.sqrt(variance)
    kinks = torch.tensor([0.0, *activation.kinks], dtype=torch.float64) / max(std, 1e-150)
    bends = torch.tensor([10.0**k / std for k in range(-1, 6) if std and 10.0**k < std * PAIR_CUTOFF])
    reach = torch.arange(-PAIR_CUTOFF, PAIR_CUTOFF + 1, PAIR_PIECE, dtype=torch.float64)
    edges = torch.cat([reach, kinks, bends.double(), -bends.double()]).clamp(-PAIR_CUTOFF, PAIR_CUTOFF).sort().values

    def integral(function: Function, _kinks: Sequence[float], *, nodes: int) -> Tensor:
        z, weights = _nodes_between(edges.unsqueeze(0), nodes)
        return (weights * function(std * z)).sum()

    exact = second_moment(activation, variance=variance), derivative_moment(activation, variance=variance)
    for nodes in PAIR_NODES[:-1]:
        if _agree(_squares(activation, partial(integral, nodes=nodes)), exact):
            return nodes
    return PAIR_NODES[-1]


def _squares(activation: Activation, integral: Callable[..., Tensor]) -> tuple[float, float]:
    """E[φ²] and E[φ'²] by some rule of integration, which is given a function and its kinks."""
    return (
        float(integral(lambda h: activation.function(h).square(), activation.kinks)),
        float(integral(lambda h: activation.derivative(h).square(), activation.kinks)),
    )


def _agree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-14) for a, b in zip(one, other, strict=True))


def _nodes_between(edges: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes on the pieces between ascending edges, and their weights times the normal density.

    Args:
        edges: Ends of the pieces, shape (n, edges), ascending in each row.
        nodes: How many nodes to place on each piece.

    Returns:
        Nodes and weights, both of shape (n, pieces × nodes).
    """
    points, weights = _gauss_legendre(nodes)
    half = (edges[:, 1:] - edges[:, :-1]).unsqueeze(2) / 2
    z = half * points + (edges[:, 1:] + edges[:, :-1]).unsqueeze(2) / 2
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return z.flatten(1), (half * weights * density).flatten(1)


@cache
def _gauss_legendre(nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [-1, 1] by the eigenvalues of the Jacobi matrix (Golub & Welsch 1969)."""
    k = torch.arange(1, nodes, dtype=torch.float64)
    off_diagonal = k / torch.sqrt(4 * k.square() - 1)
    points, vectors = torch.linalg.eigh(torch.diag(off_diagonal, 1) + torch.diag(off_diagonal, -1))
    return points, 2 * vectors[0].square()
