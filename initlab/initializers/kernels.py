"""The centre of a convolution kernel, as a matrix."""

from torch import Tensor


def centre_tap(weight: Tensor) -> Tensor:
    """A view of the centre of a kernel, shape (out, in): with padding, the one tap that maps a pixel to itself.

    Args:
        weight: Shape (out, in, *kernel); of a matrix, shape (out, in), the view is the whole.
    """
    centre = weight
    for size in weight.shape[2:]:
        centre = centre.select(2, size // 2)
    return centre
