"""What a prediction starts from, the law of a layer's weights, and what it says of a network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from torch import Tensor

from initlab.propagation.layers import Site

UNFOLLOWED: Final = "not among the operations that can be followed"


@dataclass(frozen=True)
class WeightLaw:
    """What theory needs to know of the weights and biases of one layer, as they were drawn.

    Attributes:
        mean_square: Of the weights' entries.
        bias_mean_square: Of the biases; 0 where there are none.
        independent: Whether the entries look drawn independently of each other, around 0; orthogonal ones do.
    """

    mean_square: float
    bias_mean_square: float
    independent: bool


@dataclass(frozen=True)
class Prediction:
    """What theory says of each site of a network, as far as it goes.

    Attributes:
        second_moments: q.
        correlations: r/q.
        gradients: g, for a gradient at the output as it was measured.
        no_signal: Why there is no prediction of the signal at a site.
        no_gradient: Why there is none of the gradient.
        unpredicted: Why there is none at all; None if there is one.
        gain: The mean square of a gradient at the input over that at the output; None if there is no prediction.
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
    """Describe one layer's weights, shape (members, out, …), and biases over all members.

    Entries that have a mean, as constants and identities have, are not independent around 0.
    """
    values = weights.detach().double().flatten()
    mean_square = float(values.square().mean())
    mean, error = float(values.mean()), math.sqrt(mean_square / values.numel())
    of_biases = 0.0 if biases is None else float(biases.detach().double().square().mean())
    return WeightLaw(mean_square, of_biases, abs(mean) <= 5 * error or mean_square == 0)
