"""Convolution kernels as matrices at their centre."""

from torch import Tensor


def centre_tap(weight: Tensor) -> Tensor:
    """A view of the centre of a kernel, shape (out, in), of a weight of shape (out, in, *kernel); a matrix is its own.

    With padding it is the one tap that maps a pixel to itself.
    """
    centre = weight
    for size in weight.shape[2:]:
        centre = centre.select(2, size // 2)
    return centre
