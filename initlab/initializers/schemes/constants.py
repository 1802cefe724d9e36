"""Schemes that draw nothing: every entry of a weight is the same."""

from torch import Tensor, nn

from initlab.initializers.registry import register


@register("zeros", source="torch.nn.init.zeros_")
def zeros(weight: Tensor) -> None:
    """Fill `weight` with 0."""
    nn.init.zeros_(weight)


@register("ones", source="torch.nn.init.ones_")
def ones(weight: Tensor) -> None:
    """Fill `weight` with 1."""
    nn.init.ones_(weight)


@register("constant", source="torch.nn.init.constant_")
def constant(weight: Tensor, *, value: float = 0.01) -> None:
    """Fill `weight` with one value."""
    nn.init.constant_(weight, value)
