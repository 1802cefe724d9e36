"""What a prediction starts from, the laws of the weights, and what it says of a network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from initlab.propagation.layers import Site

UNFOLLOWED: Final = "not among the operations that can be followed"


@dataclass(frozen=True)
class WeightLaw:
    """What theory needs to know of the weights and biases of one layer, as they were drawn.

    Attributes:
        mean_square: Mean square of the weight's entries: σ_w² is fan_in times this.
        bias_mean_square: Mean square of the biases, σ_b²; 0 where there are none.
        independent: Whether the entries look drawn independently of each other, around 0; orthogonal ones do.
        bias_mean: Mean of the biases; 0 where they look drawn around 0.
    """

    mean_square: float
    bias_mean_square: float
    independent: bool
    bias_mean: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """What theory says of each site of a network, as far as it goes.

    Attributes:
        second_moments: q, the mean square of the signal, by site.
        correlations: r/q, the mean product of the signals of different inputs over their mean square, by site.
        gradients: g, the mean square of the gradient, by site, for the gradient at the output that was measured.
        no_signal: Why there is no prediction of the signal, by site.
        no_gradient: Why there is no prediction of the gradient, by site.
        unpredicted: Why nothing at all is predicted; None where something is.
        gain: The mean square of the gradient at the input over that at the output; None if it is not predicted.
    """

    second_moments: Mapping[Site, float] = field(default_factory=dict)
    correlations: Mapping[Site, float] = field(default_factory=dict)
    gradients: Mapping[Site, float] = field(default_factory=dict)
    no_signal: Mapping[Site, str] = field(default_factory=dict)
    no_gradient: Mapping[Site, str] = field(default_factory=dict)
    unpredicted: str | None = None
    gain: float | None = None

    def reason(self, site: Site) -> str | None:
        """Why there is no prediction of the signal at a site; None where there is one."""
        if site in self.second_moments:
            return None
        return self.unpredicted or self.no_signal.get(site, UNFOLLOWED)

    def gradient_reason(self, site: Site) -> str | None:
        """Why there is no prediction of the gradient at a site; None where there is one."""
        if site in self.gradients:
            return None
        return self.unpredicted or self.no_gradient.get(site) or self.no_signal.get(site, UNFOLLOWED)


def weight_law(weights: Tensor, biases: Tensor | None) -> WeightLaw:
    """Describe the weights and biases of one layer, over all members.

    Entries that have a mean, as constants and identities have, are not independent around 0.

    Args:
        weights: Shape (members, out, …).
        biases: Shape (members, out); None: the layer has none.
    """
    values = weights.detach().real
    mean_square = float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2 / values.numel()
    mean, error = float(values.mean(dtype=torch.float64)), math.sqrt(mean_square / values.numel())
    independent = abs(mean) <= 5 * error or mean_square == 0
    if biases is None:
        return WeightLaw(mean_square, 0.0, independent)
    drawn = biases.detach().double().flatten()
    middle, spread = float(drawn.mean()), float(drawn.std(correction=0)) / math.sqrt(drawn.numel())
    return WeightLaw(
        mean_square, float(drawn.square().mean()), independent, middle if abs(middle) > 5 * spread else 0.0
    )
