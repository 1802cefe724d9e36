"""Schemes whose scale is given, whatever the layer's fans."""

from torch import Generator, Tensor, nn

from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.kernels import fill_cut_normal
from initlab.initializers.registry import register


@register(
    "normal", source="torch.nn.init.normal_, with Keras' default σ = 0.05 (torch: 1, JAX: 0.01)", elementwise=True
)
def normal(weight: Tensor, *, std: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from N(0, std²).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        std: Standard deviation, at least 0, whatever the fans of the layer.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the standard deviation is negative.
    """
    check_not_negative(std=std)
    nn.init.normal_(weight, 0.0, std, generator=generator)


@register("uniform", source="torch.nn.init.uniform_, with Keras' default bound 0.05", elementwise=True)
def uniform(weight: Tensor, *, bound: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from U(-bound, bound).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        bound: Largest absolute value, at least 0, whatever the fans of the layer.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the bound is a negative number.
    """
    check_not_negative(bound=bound)
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@register("trunc_normal", source="Keras' TruncatedNormal: cut at two standard deviations", elementwise=True)
def trunc_normal(weight: Tensor, *, std: float = 0.05, cut: float = 2.0, generator: Generator) -> None:
    """Fill `weight` from N(0, std²) cut at ±cut·std; std is the one before the cut.

    torch's own bounds are absolute numbers, so that a small standard deviation is easily not cut at all.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        std: Standard deviation before the cut, above 0; afterwards it is smaller, 0.88·std for a cut at 2.
        cut: Where to cut, in standard deviations, above 0.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: std or cut is not positive.
    """
    check_positive(std=std, cut=cut)
    fill_cut_normal(weight, std, cut, generator=generator)
