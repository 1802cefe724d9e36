"""Orthogonal weights."""

from torch import Generator, Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.kernels import centre_tap
from initlab.initializers.registry import register


@register("orthogonal", source="Saxe et al. 2014, arXiv:1312.6120")
def orthogonal(weight: Tensor, *, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight`, seen as a matrix (out, rest), with gain times a Haar-distributed (semi-)orthogonal one.

    Args:
        weight: Filled in place, shape (out, in, *kernel). The rest is in · ∏kernel.
        gain: What every singular value of the matrix is; a rule such as "moment" is made a number first (`gain_value`).
        generator: The only source of randomness, on the CPU.
    """
    weight.copy_(_semi_orthogonal(weight.flatten(1), gain, generator).view(weight.shape))


@register("delta_orthogonal", source="Xiao et al. 2018, arXiv:1806.05393, algorithm 1")
def delta_orthogonal(weight: Tensor, *, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight` with 0 but for the centre tap, which is gain times a matrix with orthonormal columns.

    Such a convolution keeps the norm of its input. A dense layer gets an orthogonal matrix.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        gain: What every singular value of the matrix is; a rule such as "moment" is made a number first (`gain_value`).
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: a convolution with fewer outputs than inputs, where no such matrix exists.
    """
    out, entering, *kernel = weight.shape
    if kernel and entering > out:
        raise UserError(
            f"init=delta_orthogonal: a convolution from {entering} to {out} channels cannot keep the norm; it needs at "
            "least as many outputs as inputs"
        )
    weight.zero_()
    centre = centre_tap(weight)
    centre.copy_(_semi_orthogonal(centre, gain, generator))


def _semi_orthogonal(like: Tensor, gain: float, generator: Generator) -> Tensor:
    """A (semi-)orthogonal matrix times gain, contiguous whatever the layout of `like` is.

    Args:
        like: A matrix whose shape and type the result has.
        gain: What every singular value is.
        generator: The only source of randomness.
    """
    matrix = like.new_empty(like.shape)
    return nn.init.orthogonal_(matrix, gain, generator=generator)
