"""Schemes that draw nothing: all entries of a weight are the same."""

from torch import Tensor, nn

from initlab.initializers.registry import register


@register("zeros", source="torch.nn.init.zeros_", elementwise=True)
def zeros(weight: Tensor) -> None:
    """Fill `weight` with 0.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
    """
    nn.init.zeros_(weight)


@register("ones", source="torch.nn.init.ones_", elementwise=True, random=False)
def ones(weight: Tensor) -> None:
    """Fill `weight` with 1.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
    """
    nn.init.ones_(weight)


@register("constant", source="torch.nn.init.constant_", elementwise=True, random=False)
def constant(weight: Tensor, *, value: float = 0.01) -> None:
    """Fill `weight` with one value.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        value: Any finite number, the same for every entry.
    """
    nn.init.constant_(weight, value)
