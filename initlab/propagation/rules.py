"""What each operation of a network does to a signal on its way forth and to a gradient on its way back, in theory.

A pre-activation is taken as normal, with the same law in every unit, as it is in the limit of wide layers of
independent weights. A signal is described by q, its second moment over units, r, the mean product of different inputs,
and its mean, which biases that have one bring; a gradient by g and h, the same of it. An operation is a rule: `forward`
and `backward` side by side.

Sources: Schoenholz et al. 2017, arXiv:1611.01232; Yang & Schoenholz 2017, arXiv:1712.08969 (residual); Yang et al.
2019, arXiv:1902.08129 (batch norm); Xiao et al. 2018, arXiv:1806.05393 (convolutions).
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from initlab.activations import Activation
from initlab.propagation.prediction import WeightLaw
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_moments,
    first_two_moments,
)

UNEVEN: Final = (
    1 / 3
)  # standard deviation of rows' sizes, over their mean; up to it batch norm's gradient is right to 5 %


class NoClosedFormError(Exception):
    """Theory has nothing to say of this; the message says why."""


@dataclass(frozen=True)
class Signal:
    """The signal at one place.

    Attributes:
        q: Second moment over units, of groups of inputs of similar size, shape (groups,), float64.
        r: Mean product of the signals of different inputs.
        normal: Whether its law is normal, as that of what leaves a linear layer is.
        mean: Its mean over units and inputs.
        layers: Names of the layers whose outputs it is made up of, as a residual sum is of several; None where it is
            made up of anything else, or of a layer that runs twice.
        history: Names of all layers that it comes from.
    """

    q: Tensor
    r: float
    normal: bool
    mean: float = 0.0
    layers: frozenset[str] | None = None
    history: frozenset[str] = frozenset()

    @property
    def mean_square(self) -> float:
        """Mean of q over all inputs."""
        return float(self.q.mean())

    @property
    def correlation(self) -> float:
        """r/q, in [-1, 1]; NaN for a signal of zero."""
        mean = self.mean_square
        return min(max(self.r / mean, -1.0), 1.0) if mean > 0 else math.nan

    @property
    def centred(self) -> "Signal":
        """The same less its mean: q are variances then, and r is the covariance of different inputs."""
        square = self.mean**2
        return replace(self, q=(self.q - square).clamp_min(0), r=self.r - square, mean=0.0)

    def independent_of(self, other: "Signal") -> bool:
        """Whether each of its numbers is a sum over random weights that the other one has never met."""
        return self.layers is not None and self.layers.isdisjoint(other.history)


@dataclass(frozen=True)
class Gradient:
    """The gradient at one place.

    Attributes:
        g: Second moment over units and inputs.
        h: Mean product of the gradients of different inputs.
    """

    g: float
    h: float


class Rule(Protocol):
    """One operation."""

    def forward(self, *signals: Signal) -> Signal:
        """What leaves it, given what enters.

        Raises:
            NoClosedFormError: theory has nothing to say of such a signal.
        """

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:
        """The gradient at its input, given the one at its output, and the signal that entered.

        Raises:
            NoClosedFormError: theory has nothing to say of the gradient.
        """


@dataclass(frozen=True)
class Unchanged:
    """An operation that leaves every number as it is: identity, flatten, dropout while it is off."""

    def forward(self, *signals: Signal) -> Signal:
        """The same signal."""
        return signals[0]

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:  # noqa: ARG002
        """The same gradient."""
        return gradient


@dataclass(frozen=True)
class Sum:
    """A sum of two branches; both get the whole gradient.

    One of the branches must be made up of layers of its own: then its weights, around 0, are independent of all that is
    in the other one, and the products of both vanish beside their means, on the way forth and on the way back.
    """

    def forward(self, *signals: Signal) -> Signal:
        """The sums of q and r, and twice the product of the means.

        Raises:
            NoClosedFormError: neither branch owes its randomness to layers of its own.
        """
        if len(signals) != 2 or not (signals[0].independent_of(signals[1]) or signals[1].independent_of(signals[0])):
            raise NoClosedFormError("a sum of what is not independent")
        one, other = signals
        product = 2 * one.mean * other.mean  # beside their means they are independent
        q, r = one.q + other.q + product, one.r + other.r + product
        layers = None if one.layers is None or other.layers is None else one.layers | other.layers
        mean, normal_both = one.mean + other.mean, one.normal and other.normal
        return Signal(q, r, normal_both, mean, layers, one.history | other.history)

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:  # noqa: ARG002
        """The same gradient."""
        return gradient


@dataclass(frozen=True)
class Nonlinearity:
    """An activation φ: E[φ(u)²] and E[φ(u₁)φ(u₂)] forth; E[φ'(u)²] and E[φ'(u₁)φ'(u₂)] as factors on the way back.

    Attributes:
        name: Name of the operation, for the reason why theory may not cover it.
        activation: The function φ.
        crossing: Whether products of the gradients of different inputs are needed, as batch norm alone needs them.
    """

    name: str
    activation: Activation
    crossing: bool

    def forward(self, *signals: Signal) -> Signal:
        """The moments of φ."""
        signal, mean = normal(signals[0], self.name).centred, signals[0].mean
        crossed = cross_moments(self.activation, signal.mean_square, _correlations(signal), mean=mean)
        means, squares = first_two_moments(self.activation, signal.q, mean=mean)
        return Signal(squares, float(crossed), normal=False, mean=float(means.mean()), history=signal.history)

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:
        """The gradient times the moments of φ'."""
        around, mean = signal.centred, signal.mean
        slopes = float(derivative_moments(self.activation, around.q, mean=mean).mean())
        crossed = 0.0
        if self.crossing:
            correlations = _correlations(around)
            crossed = float(derivative_cross_moments(self.activation, around.mean_square, correlations, mean=mean))
        return Gradient(gradient.g * slopes, gradient.h * crossed)


@dataclass(frozen=True)
class Linear:
    """A linear layer or a convolution: σ_w² q + σ_b² and σ_w² r + σ_b², σ_w² being fan_in times the mean square weight.

    σ_b² is the biases' mean square; their mean becomes that of the signal, as the weights have none. On the way back
    both moments grow by fan_out times the weights' mean square.

    Attributes:
        name: Name of the layer, for the reason why theory may not cover it.
        law: How its weights and biases were drawn.
        fan_in: Number of products that an output is the sum of.
        fan_out: Number of products that an input enters; None where it is not the same for all, as at a border.
        again: Whether it runs more than once, so that its weights are not independent of what it has made before.
    """

    name: str
    law: WeightLaw
    fan_in: int
    fan_out: float | None
    again: bool = False

    def forward(self, *signals: Signal) -> Signal:
        """An affine map of q and r."""
        (signal,) = signals
        weight_variance = self.fan_in * self.law.mean_square
        bias = self.law.bias_mean_square
        return Signal(
            weight_variance * signal.q + bias,
            weight_variance * signal.r + bias,
            normal=True,
            mean=self.law.bias_mean,
            layers=None if self.again else frozenset({self.name}),
            history=signal.history | {self.name},
        )

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:  # noqa: ARG002
        """The gradient times fan_out times the mean square weight.

        Raises:
            NoClosedFormError: inputs at a border enter fewer products than others.
        """
        if self.fan_out is None:
            raise NoClosedFormError(f"pixels at the border of {self.name} enter fewer products than others")
        factor = self.fan_out * self.law.mean_square
        return Gradient(gradient.g * factor, gradient.h * factor)


@dataclass(frozen=True)
class BatchNorm:
    """Batch norm after a linear layer: it takes off the batch's mean, and divides by the spread around it.

    The spread is q - r̄, with r̄ the mean over all pairs of the batch, each row with itself included. Only the mean over
    rows becomes 1: a row that was larger than others stays so.

    Attributes:
        name: Name of the layer, for the reason why theory may not cover it.
        rows: How many rows the batch has; the gradient needs at least 4.
        eps: What the norm adds to the variance before it divides.
    """

    name: str
    rows: int
    eps: float = 0.0

    def forward(self, *signals: Signal) -> Signal:
        """A signal of variance spread/(spread + ε) over the batch, whose rows add up to 0.

        The squared distance of a row xᵢ from the batch's mean x̄ is qᵢ - 2 E[xᵢx̄] + r̄. The product of two rows is taken
        to be in proportion to their lengths, √qᵢ √qⱼ.
        """
        signal = normal(signals[0], self.name)
        size, count = self._spread(signal), self.rows
        if not size:
            return replace(signal, q=torch.zeros_like(signal.q), r=0.0, mean=0.0)
        lengths = signal.q.sqrt()
        others = lengths * (count * lengths.mean() - lengths)  # the sum over all other rows
        with_mean = (signal.q + (count - 1) * signal.r * others / others.mean()) / count
        q = (signal.q - 2 * with_mean + signal.mean_square - size) / (size + self.eps)
        r = -size / (size + self.eps) / max(count - 1, 1)
        return replace(signal, q=q.clamp_min(0), r=r, mean=0.0)

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:
        """(g - h)/(q - r̄ + ε), and an h of -g/(batch - 1).

        The norm takes off the mean over the batch, and what goes along with the signal as far as ε lets it; the mean of
        1/variance is larger than one over the mean, for normal numbers by (batch - 1)/(batch - 3).

        Raises:
            NoClosedFormError: there are fewer than 4 rows, or all are equal; or some are much larger than others, which
                then take the spread, and with it the gradient, for themselves.
        """
        size, count = self._spread(signal), self.rows
        if not size or count < 4:
            raise NoClosedFormError(f"{self.name} normalizes fewer than 4 rows, or equal ones")
        if float(signal.q.std(correction=0)) > UNEVEN * signal.mean_square:
            raise NoClosedFormError(f"{self.name} normalizes rows of very different sizes together")
        kept = self.eps / (size + self.eps)  # of what goes along with the signal
        shares = 1 - (2 - kept**2) / count
        fluctuating = 1 + 2 / (count - 3) * (1 - kept) ** 2
        g = (gradient.g - gradient.h) * shares * fluctuating / (size + self.eps)
        return Gradient(g, -g / (count - 1))

    def _spread(self, signal: Signal) -> float:
        """The variance over a batch: q less the mean product over all pairs of rows, each with itself included."""
        q = signal.mean_square
        return q - (q + (self.rows - 1) * signal.r) / self.rows


@dataclass(frozen=True)
class LayerNorm:
    """Layer or RMS norm after a linear layer: each row is divided by √(q + ε), forth and back.

    Attributes:
        name: Name of the layer, for the reason why theory may not cover it.
        centres: Whether it takes off the mean, as layer norm does and RMS norm does not.
        eps: What the norm adds to a row's second moment before it divides.
    """

    name: str
    centres: bool
    eps: float = 0.0

    def forward(self, *signals: Signal) -> Signal:
        """A signal of second moment q/(q + ε), 1 but for the smallest, with the same correlation."""
        signal = self._normalized(normal(signals[0], self.name))
        size = signal.mean_square
        if not size:
            return replace(signal, r=0.0, mean=0.0)
        q = signal.q * self._factors(signal)
        return replace(signal, q=q, r=float(q.mean()) * signal.correlation, mean=signal.mean / (size + self.eps) ** 0.5)

    def backward(self, gradient: Gradient, signal: Signal) -> Gradient:
        """The gradient divided by what each row was divided by."""
        factor = float(self._factors(self._normalized(signal)).mean())
        return Gradient(gradient.g * factor, gradient.h * factor)

    def _factors(self, signal: Signal) -> Tensor:
        """1/(q + ε); 0 for a row of zeros that nothing is added to."""
        sizes = signal.q + self.eps
        return torch.where(sizes > 0, 1 / sizes, 0.0)

    def _normalized(self, signal: Signal) -> Signal:
        """The part of the signal that is divided by its size."""
        return signal.centred if self.centres else signal


def normal(signal: Signal, name: str) -> Signal:
    """Return a signal if it is normal, as the operation `name` needs it.

    Raises:
        NoClosedFormError: the signal is not normal; the message has the name.
    """
    if not signal.normal:
        raise NoClosedFormError(f"{name} acts on what is not normal")
    return signal


def rule_of_layer(name: str, layer: nn.Linear | _ConvNd, law: WeightLaw | None, *, again: bool = False) -> Linear:
    """The rule of a layer with weights.

    Args:
        name: Name of the layer in the network.
        layer: The layer, for its sizes; the weights that it holds are not used.
        law: How its weights and biases were drawn; None where they are another layer's.
        again: Whether it runs more than once.

    Raises:
        NoClosedFormError: its weights are not independent, or its border is unlike the rest.
    """
    if law is None:
        raise NoClosedFormError(f"{name} shares its weights with another layer")
    if not law.independent:
        raise NoClosedFormError(f"the weights of {name} are not drawn independently of each other")
    if isinstance(layer, nn.Linear):
        return Linear(name, law, layer.in_features, layer.out_features, again)
    unpadded = not any(layer.padding) if isinstance(layer.padding, tuple) else layer.padding == "valid"
    if isinstance(layer, _ConvTransposeNd) or not (layer.padding_mode == "circular" or unpadded):
        raise NoClosedFormError(f"{name} pads with zeros: its border is unlike the rest")
    taps = math.prod(layer.kernel_size)
    fan_out = taps / math.prod(layer.stride) * layer.out_channels / layer.groups
    return Linear(name, law, taps * layer.in_channels // layer.groups, fan_out if _wraps(layer) else None, again)


def _wraps(layer: _ConvNd) -> bool:
    """Whether all inputs of a convolution enter as many products: its border is as wide as its kernel reaches."""
    if isinstance(layer.padding, str):
        return layer.padding == "same" or max(layer.kernel_size) == 1
    sides = zip(layer.padding, layer.dilation, layer.kernel_size, strict=True)
    return all(2 * padding == dilation * (size - 1) for padding, dilation, size in sides)


def _correlations(signal: Signal) -> Tensor:
    """The correlation of different inputs, shape (1,); 1 for a signal of zero."""
    known = signal.correlation if signal.mean_square > 0 else 1.0
    return torch.tensor([known], dtype=torch.float64)
