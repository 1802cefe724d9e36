"""Gains: the factor that makes up for what an activation does to the scale of a signal."""

import math

from torch import nn

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.errors import UserError
from initlab.theory.moments import derivative_moment, second_moment

NAMED_GAINS = ("kaiming", "moment", "derivative")


def gain_value(gain: float | str, activation: Activation) -> float:
    """Turn a configured gain into a number.

    Args:
        gain: A number; `"kaiming"` for torch's `calculate_gain`; or `"moment"` for 1/sqrt(E[φ(z)²]), z ~ N(0, 1),
            which keeps the signal's second moment under any activation; `"derivative"` for 1/sqrt(E[φ'(z)²]),
            which keeps the gradient's.
        activation: The φ that follows the layer.

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


def check_gain(gain: float | str) -> None:
    """Refuse what is neither a number nor the name of a rule.

    Raises:
        UserError: naming what is allowed.
    """
    number = isinstance(gain, int | float) and not isinstance(gain, bool) and 0 < gain < math.inf
    if gain not in NAMED_GAINS and not number:
        raise UserError(f"init.gain={gain}: expected a positive number or one of {', '.join(NAMED_GAINS)}")
