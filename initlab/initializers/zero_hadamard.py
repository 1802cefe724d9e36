"""Weights of zeros and ones alone, without randomness."""

import math

import torch
from torch import Tensor, nn

from initlab.initializers.kernels import centre_tap
from initlab.initializers.registry import register


@register("zero_hadamard", source="Zhao et al. 2022, arXiv:2110.12661, algorithm 1")
def zero_hadamard(weight: Tensor) -> None:
    """Fill `weight` with a partial identity, or c·I*·H·I* where it widens; convolutions at the centre tap (ZerO).

    H is the Hadamard matrix of side 2^m, m = ⌈log₂ out⌉, I* the partial identities that fit it to (out, in), and
    c = 2^(−(m−1)/2).
    """
    weight.zero_()
    centre = centre_tap(weight)
    out, entering = centre.shape
    if out <= entering:
        nn.init.eye_(centre)
        return
    power = math.ceil(math.log2(out))
    centre.copy_(2 ** (-(power - 1) / 2) * hadamard(power)[:out, :entering])


def hadamard(power: int) -> Tensor:
    """Sylvester's Hadamard matrix of side 2^power: ±1, with orthogonal rows."""
    matrix = torch.ones(1, 1)
    step = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    for _ in range(power):
        matrix = torch.kron(step, matrix)
    return matrix
