"""What several schemes do to a weight: the centre of its kernel, and a normal law with its ends cut off."""

from typing import Final

import torch
from torch import Generator, Tensor, nn

LEAST_CUT: Final = 1.0  # from which on drawing again what lies beyond is faster than inverting the distribution
PIECE: Final = 2**18  # entries that are looked at together


def centre_tap(weight: Tensor) -> Tensor:
    """A view of the centre of a kernel, shape (out, in): with `padding="same"`, the tap that maps a pixel to itself.

    Of an even number of taps that is the earlier of the two in the middle; `nn.init.dirac_` takes the later one, which
    moves an image by a pixel.

    Args:
        weight: Shape (out, in, *kernel); of a matrix, shape (out, in), the view is the whole.
    """
    centre = weight
    for size in weight.shape[2:]:
        centre = centre.select(2, (size - 1) // 2)
    return centre


def fill_cut_normal(weight: Tensor, std: float, cut: float, *, generator: Generator) -> None:
    """Fill `weight` from N(0, std²) cut at ±cut·std: what lies beyond is drawn again until it does not.

    Args:
        weight: Filled in place, a tensor of any shape.
        std: Standard deviation before the cut, above 0.
        cut: Where to cut, in standard deviations, above 0.
        generator: The only source of randomness, on the CPU.
    """
    if cut < LEAST_CUT:  # most numbers would be drawn again, many times
        nn.init.trunc_normal_(weight, 0.0, std, -cut * std, cut * std, generator=generator)
        return
    drawn = weight if weight.is_contiguous() else torch.empty_like(weight, memory_format=torch.contiguous_format)
    drawn.normal_(0.0, 1.0, generator=generator)
    for piece in drawn.view(-1).split(PIECE):
        beyond = (piece.abs() > cut).nonzero().squeeze(1)
        while len(beyond):
            again = torch.randn(len(beyond), generator=generator, dtype=piece.dtype, device="cpu")
            piece[beyond] = again
            beyond = beyond[again.abs() > cut]
    weight.copy_(drawn.mul_(std))
