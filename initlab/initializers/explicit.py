"""Schemes whose scale is given, whatever the layer's fans."""

from torch import Generator, Tensor, nn

from initlab.errors import UserError
from initlab.initializers.registry import register


@register("normal", source="torch.nn.init.normal_, with Keras' default σ = 0.05 (torch: 1, JAX: 0.01)")
def normal(weight: Tensor, *, std: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from N(0, std²)."""
    if std < 0:
        raise UserError(f"init.std={std}: expected a number that is not negative")
    nn.init.normal_(weight, 0.0, std, generator=generator)


@register("uniform", source="torch.nn.init.uniform_, with Keras' default bound 0.05")
def uniform(weight: Tensor, *, bound: float = 0.05, generator: Generator) -> None:
    """Fill `weight` from U(-bound, bound)."""
    if bound < 0:
        raise UserError(f"init.bound={bound}: expected a number that is not negative")
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@register("trunc_normal", source="Keras' TruncatedNormal: cut at two standard deviations")
def trunc_normal(weight: Tensor, *, std: float = 0.05, cut: float = 2.0, generator: Generator) -> None:
    """Fill `weight` from N(0, std²) cut at ±cut·std; std is the one before the cut.

    `cut` counts standard deviations. torch's own bounds are absolute, so that a small σ is easily not cut at all.
    """
    if std <= 0 or cut <= 0:
        raise UserError(f"init.std={std}, init.cut={cut}: expected positive numbers")
    nn.init.trunc_normal_(weight, 0.0, std, -cut * std, cut * std, generator=generator)
