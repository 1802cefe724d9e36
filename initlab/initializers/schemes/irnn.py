"""Recurrent weights that keep a state as it is."""

import warnings

import torch
from torch import Generator, Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import InitializationWarning
from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.registry import register


@register("irnn", needs=("recurrent",), source="Le, Jaitly & Hinton 2015, arXiv:1504.00941, sec. 2")
def irnn(
    weight: Tensor,
    *,
    recurrent: bool,
    activation: Activation | None = None,
    scale: float = 1.0,
    std: float = 0.001,
    generator: Generator,
) -> None:
    """Fill recurrent weights with scale times the identity, and all others from N(0, std²).

    With biases of 0 and ReLU a state that is not negative stays as it is where there is no input, at scale 1. It was
    made for plain cells; in gated ones each gate's recurrent weight becomes the identity.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        recurrent: Whether it acts on the state of a recurrent layer.
        activation: The nonlinearity of the cells; None where it is not known.
        scale: The entries on the diagonal, above 0; below 1 the state fades, as the paper has it for speech.
        std: Standard deviation of all other weights, at least 0; the paper's by default.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the scale is not positive, or the standard deviation negative.

    Warns:
        InitializationWarning: the nonlinearity does not leave positive numbers as they are.
    """
    check_positive(scale=scale)
    check_not_negative(std=std)
    if not recurrent:
        nn.init.normal_(weight, 0.0, std, generator=generator)
        return
    nn.init.eye_(weight).mul_(scale)
    if activation is not None and not _keeps_positive(activation):
        warnings.warn(
            f"init=irnn is made for activation=relu: with {activation.name} the identity does not keep a state",
            InitializationWarning,
            stacklevel=2,
        )


def _keeps_positive(activation: Activation) -> bool:
    """Whether a nonlinearity leaves positive numbers as they are."""
    some = torch.tensor([0.25, 1.0, 2.0], dtype=torch.float32, device="cpu")
    return torch.equal(activation.function(some), some)
