"""Weights that are mostly zero."""

import math

import torch
from torch import Generator, Tensor

from initlab.base.errors import UserError
from initlab.initializers.checks import check_choice, check_not_negative
from initlab.initializers.registry import register


@register("sparse", source="Martens 2010, ICML, section 5; torch.nn.init.sparse_")
def sparse(
    weight: Tensor, *, sparsity: float = 0.1, std: float = 0.01, per: str = "input", generator: Generator
) -> str | None:
    """Fill `weight` from N(0, std²) with a fraction of each column exactly 0.

    No unit loses all its weights, and no input, unless the fraction is 1: a depthwise convolution or a head of one
    output, in which a column has a single entry, keeps them.

    Args:
        weight: Filled in place, shape (out, in, *kernel). Seen as a matrix (out, in · ∏kernel).
        sparsity: The fraction, in [0, 1]; the number of zeros is rounded up.
        std: Standard deviation of the entries that are not set to 0, at least 0.
        per: `"input"`: a fraction of the weights that leave each input, a column, as torch does it; `"unit"`: of those
            that enter each unit, a row, as Martens does it, who leaves 15 of them.
        generator: Draws the numbers and, unlike torch's, the places of the zeros.

    Returns:
        A remark where fewer are 0 than the fraction says; else None.

    Raises:
        UserError: a fraction outside [0, 1], a negative std, or another `per`.
    """
    if not 0 <= sparsity <= 1:
        raise UserError(f"init.sparsity={sparsity}: expected a share in [0, 1]")
    check_not_negative(std=std)
    check_choice("per", per, "input", "unit")
    weight.normal_(0.0, std, generator=generator)
    drawn = weight.flatten(1)
    matrix = drawn.clone()
    axis = 0 if per == "input" else 1
    length = matrix.shape[axis]
    wanted = math.ceil(sparsity * length)
    zeros = wanted if sparsity == 1 else min(wanted, length - 1)
    order = torch.rand(matrix.shape, generator=generator, dtype=torch.float32, device="cpu").argsort(axis)
    matrix.scatter_(axis, order.narrow(axis, 0, zeros), 0.0)
    empty = (matrix == 0).all(1 - axis, keepdim=True).expand_as(matrix) if sparsity < 1 else None
    if empty is not None and bool(empty.any()):
        matrix.copy_(torch.where(empty, drawn, matrix))
    weight.copy_(matrix.view(weight.shape))
    count = int((matrix == 0).sum())
    fewer = count < wanted * matrix.shape[1 - axis]
    return (
        f"{count / matrix.numel():.0%} zeros, so that no unit and no input is left without a weight" if fewer else None
    )
