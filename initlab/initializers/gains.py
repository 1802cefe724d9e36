"""Gains: the factor on a weight's scale that makes up for what the activation does to the scale of a signal."""

import math

from torch import nn

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.errors import UserError
from initlab.config.defaults import check_gain
from initlab.theory.moments import derivative_moment, second_moment


def gain_value(gain: float | str, activation: Activation) -> float:
    """Turn a configured gain into a number.

    Example:
        >>> tanh = Activation("tanh")
        >>> [round(gain_value(rule, tanh), 4) for rule in (1.5, "kaiming", "moment", "derivative")]
        [1.5, 1.6667, 1.5925, 1.4674]

    Args:
        gain: A positive number, which is taken as it is; or a rule. `"kaiming"` is torch's `calculate_gain`. `"moment"`
            is 1/sqrt(E[φ(z)²]), z ~ N(0, 1), and keeps the signal's second moment under any activation. `"derivative"`
            is 1/sqrt(E[φ'(z)²]) and keeps the gradient's.
        activation: The nonlinearity φ that follows the layer; a number needs none, and takes no notice of it.

    Raises:
        UserError: torch knows no gain for the activation, its moment is 0 or not finite, or `gain` is none of the
            above.
    """
    if gain == "moment":
        return _making_up_for(second_moment(activation), "E[φ(z)²]", activation, gain)
    if gain == "derivative":
        return _making_up_for(derivative_moment(activation), "E[φ'(z)²]", activation, gain)
    if gain == "kaiming":
        kind = activation.kind
        if kind.torch_gain is None:
            known = ", ".join(name for name, other in ACTIVATIONS.items() if other.torch_gain)
            raise UserError(
                f"init.gain=kaiming: torch knows no gain for {activation.name} (only for {known}); "
                "use init.gain=moment or a number"
            )
        parameter = getattr(activation.module(), kind.gain_parameter) if kind.gain_parameter else None
        return nn.init.calculate_gain(kind.torch_gain, parameter)
    check_gain(gain)
    return float(gain)


def _making_up_for(moment: float, formula: str, activation: Activation, gain: str) -> float:
    """1/sqrt(moment), where there is such a number."""
    if not 0 < moment < math.inf:
        raise UserError(f"init.gain={gain}: {formula} of {activation.name} is {moment:g}; use a number")
    return 1 / math.sqrt(moment)
