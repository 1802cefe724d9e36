"""Weights of sines, without randomness."""

import math
from typing import Final

import torch
from torch import Tensor

from initlab.initializers.registry import register

LEAST: Final = 1e-12  # variance of sines under which rounding alone is left of them


@register("sinusoidal", source="Fernández-Hernández et al. 2025, arXiv:2505.12909", random=False)
def sinusoidal(weight: Tensor) -> str | None:
    """Fill row i of `weight` with i periods of a sine, shifted by i/out of one, of variance 2/(in + out).

    Entry (i, j), counted from i = 1 and j = 0, is in proportion to sin(2π·i·(j/in + 1/out)). The formula and the scale,
    by the unbiased variance of all entries, are those of the authors' public code, which for a convolution takes `in`
    times the size of the kernel for `in`, and the channels alone for `out`. Nothing is drawn: all seeds start from the
    same weights, and differ by the order of the data, and by the split where it is drawn, alone. So do groups of a
    convolution and gates of a recurrent layer.

    Args:
        weight: Filled in place, shape (out, in, *kernel).

    Returns:
        A remark where all sines are 0, as they are of a map from 1 to 2; else None.
    """
    out, entering = len(weight), weight[0].numel()
    waves = torch.arange(1, out + 1, dtype=torch.float64, device="cpu")
    places = torch.arange(entering, dtype=torch.float64, device="cpu") / entering + 1 / out
    sines = torch.sin(2 * math.pi * torch.outer(waves, places))
    variance = float(sines.var()) if sines.numel() > 1 else 0.0
    if variance < LEAST:
        weight.zero_()
        return "zero: so few entries lie on zeros of the sine"
    weight.copy_((sines * math.sqrt(2 / (variance * (entering + out)))).view(weight.shape))
    return None
