"""Weights of zeros and ones, or of entries of a Hadamard matrix, without randomness."""

import math

import torch
from torch import Tensor

from initlab.initializers.kernels import centre_tap
from initlab.initializers.registry import register


@register("zero_hadamard", source="Zhao et al. 2022, arXiv:2110.12661, algorithm 1", random=False)
def zero_hadamard(weight: Tensor) -> None:
    """Fill `weight` with a partial identity, or c·I*·H·I* where it widens; convolutions at the centre tap (ZerO).

    H is the Hadamard matrix of side 2^m, m = ⌈log₂ out⌉, I* the partial identities that fit it to (out, in), and
    c = 2^(−(m−1)/2).

    Args:
        weight: Filled in place, shape (out, in, *kernel). It widens where out > in.
    """
    weight.zero_()
    centre = centre_tap(weight)
    out, entering = centre.shape
    if out <= entering:
        centre.fill_diagonal_(1.0)
        return
    power = math.ceil(math.log2(out))
    centre.copy_(2 ** (-(power - 1) / 2) * hadamard(out, entering))


def hadamard(rows: int, columns: int) -> Tensor:
    """The first rows and columns of Sylvester's Hadamard matrix, shape (rows, columns).

    The entry in row i and column j is (−1) to the number of bits that i and j, counted from 0, share.

    Example:
        >>> hadamard(2, 4).tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0]]

    Args:
        rows: How many rows to give; the matrix itself has a power of two.
        columns: How many columns to give, likewise.
    """
    i, j = (torch.arange(count, device="cpu") for count in (rows, columns))
    matrix = torch.ones(rows, columns, dtype=torch.float32, device="cpu")
    for bit in range(max(rows, columns).bit_length()):
        matrix *= 1 - 2 * torch.outer(i >> bit & 1, j >> bit & 1)
    return matrix
