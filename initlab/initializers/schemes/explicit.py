"""Schemes whose scale is given, whatever the layer's fans."""

from torch import Generator, Tensor, nn

from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.registry import register


@register("normal", source="torch.nn.init.normal_, with Keras' default σ = 0.05 (torch: 1, JAX: 0.01)")
def normal(weight: Tensor, *, std: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from N(0, std²)."""
    check_not_negative(std=std)
    nn.init.normal_(weight, 0.0, std, generator=generator)


@register("uniform", source="torch.nn.init.uniform_, with Keras' default bound 0.05")
def uniform(weight: Tensor, *, bound: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from U(-bound, bound)."""
    check_not_negative(bound=bound)
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@register("trunc_normal", source="Keras' TruncatedNormal: cut at two standard deviations")
def trunc_normal(weight: Tensor, *, std: float = 0.05, cut: float = 2.0, generator: Generator) -> None:
    """Fill `weight` from N(0, std²) cut at ±cut·std; std is the one before the cut.

    `cut` counts standard deviations. torch's own bounds are absolute, so that a small σ is easily not cut at all.
    """
    check_positive(std=std, cut=cut)
    nn.init.trunc_normal_(weight, 0.0, std, -cut * std, cut * std, generator=generator)
