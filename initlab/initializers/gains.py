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
        UserError: torch knows no gain for the activation, or `gain` is none of the above.
    """
    if gain == "moment":
        return 1 / math.sqrt(second_moment(activation))
    if gain == "derivative":
        return 1 / math.sqrt(derivative_moment(activation))
    if gain == "kaiming":
        kind = activation.kind
        if kind.torch_gain is None:
            known = ", ".join(name for name, other in ACTIVATIONS.items() if other.torch_gain)
            raise UserError(
                f"init.gain=kaiming: torch knows no gain for {activation.name} (only for {known}); "
                "use init.gain=moment or a number"
            )
        parameter = activation.parameters.get(kind.gain_parameter) if kind.gain_parameter else None
        return nn.init.calculate_gain(kind.torch_gain, parameter)
    check_gain(gain)
    return float(gain)
