"""The laws of schemes: what is true of the matrices that each of them fills, as their papers say it."""

import math
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from scripts.zoo.maps import Reading

Law = Callable[[Tensor, Reading], str]  # what is wrong with matrices, shape (blocks, outputs, inputs), or nothing
SIGMAS: Final = 6.0  # a fault beside sampling error: one draw in a billion


def normal_law(std: Callable[[Reading], float]) -> Law:
    """The law of entries that are normal around 0.

    Args:
        std: Their standard deviation, from the fans.
    """

    def law(matrices: Tensor, reading: Reading) -> str:
        matrices = matrices.double()
        if matrices[0].numel() >= 16 and bool((matrices[1:] == matrices[:-1]).flatten(1).all(1).any()):
            return "two blocks hold the same numbers"
        count, expected = matrices.numel(), std(reading)
        if count < 16:
            return ""
        found, mean = float(matrices.square().mean().sqrt()), float(matrices.mean())
        if abs(found / expected - 1) > SIGMAS / math.sqrt(2 * count) + 5e-3:
            return f"std {found:.4g}, not {expected:.4g}"
        if abs(mean) > SIGMAS * expected / math.sqrt(count) + 1e-4 * expected:
            return f"mean {mean:.3g}, not 0"
        return ""

    return law


def orthogonal_law(*, scaled: bool = False) -> Law:
    """The law of matrices with orthonormal rows or columns.

    Args:
        scaled: Whether each may be multiplied by a number.
    """

    def law(matrices: Tensor, _: Reading) -> str:
        coarse = max(2e-3, 8 * torch.finfo(matrices.dtype).eps)
        matrices = matrices.double()
        small = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.transpose(1, 2)
        gram = small @ small.transpose(1, 2)
        if scaled:
            gram = gram / gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)[:, None, None]
        wrong = float((gram - torch.eye(len(gram[0]), dtype=gram.dtype)).abs().max())
        return "" if wrong < coarse else f"not orthogonal: off by {wrong:.2g}"

    return law


def delta_law(matrices: Tensor, reading: Reading) -> str:
    """The law of convolutions that are zero but for an orthogonal centre."""
    if not reading.kernel:
        return orthogonal_law()(matrices, reading)
    taps = matrices.unflatten(2, (-1, *reading.kernel))
    centre = taps[(..., *((size - 1) // 2 for size in reading.kernel))]
    if int((taps != 0).sum()) > int((centre != 0).sum()):
        return "not zero beside the centre"
    return orthogonal_law()(centre, reading)


def sparse_law(matrices: Tensor, reading: Reading) -> str:
    """The law of N(0, 0.01²) with a tenth of what leaves each input zero, and no unit cut off."""
    zero = matrices == 0
    outputs = matrices.shape[1]
    share, most = float(zero.double().mean()), math.ceil(0.1 * outputs) / outputs
    # Normal numbers come in pairs, and both of a pair are exactly zero now and then.
    if outputs > 1 and share > most + max(4.5 / zero.numel(), 1e-5):
        return f"{share:.0%} are zero, of at most {most:.0%}"
    if matrices.shape[2] >= 8 and bool(zero.all(2).any()):
        return "a unit has no weights"
    taps = zero.unflatten(2, (-1, math.prod(reading.kernel)))
    if outputs > 1 and bool(taps.all(3).all(1).any()):
        return "an input leads nowhere"
    return normal_law(lambda _: 0.01)(matrices[~zero][None], reading)


def no_law(matrices: Tensor, _: Reading) -> str:
    """What every scheme keeps: finite numbers, and not all of them zero."""
    if not bool(matrices.isfinite().all()):
        return "not finite"
    return "" if bool(matrices.any()) or not matrices.numel() else "all zero"


LAWS: Final[Mapping[str, Law]] = {
    "he": normal_law(lambda fan: math.sqrt(2 / fan.fan_in)),
    "he/dry run": no_law,
    "xavier": normal_law(lambda fan: math.sqrt(2 / (fan.fan_in + fan.fan_out))),
    "orthogonal": orthogonal_law(),
    "delta_orthogonal": delta_law,
    "mean_field": no_law,
    "mean_field/relu": normal_law(lambda fan: math.sqrt(2 / fan.fan_in)),
    "lsuv": orthogonal_law(scaled=True),
    "data_dependent": no_law,
    "sparse": sparse_law,
    "metainit": no_law,
}
