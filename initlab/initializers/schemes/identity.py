"""Weights that pass the signal on unchanged."""

from torch import Tensor

from initlab.initializers.kernels import centre_tap
from initlab.initializers.registry import register


@register("identity", aliases=("dirac",), source="torch.nn.init.eye_ and dirac_", random=False)
def identity(weight: Tensor, *, gain: float = 1.0) -> None:
    """Fill `weight` with gain times the identity, in the centre tap of each group of a convolution; the rest is 0.

    A convolution with `padding="same"` then returns its input; torch's `dirac_` differs where kernels are even.

    Args:
        weight: Filled in place, shape (out, in, *kernel). Where out ≠ in, only as many units as the smaller of the
            two pass on.
        gain: The entries on the diagonal; a rule such as "moment" is made a number first (`gain_value`).
    """
    weight.zero_()
    centre_tap(weight).fill_diagonal_(gain)
