"""Orthogonal weights."""

from torch import Generator, Tensor, nn

from initlab.errors import UserError
from initlab.initializers.registry import register


@register("orthogonal", source="Saxe et al. 2014, arXiv:1312.6120")
def orthogonal(weight: Tensor, *, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight`, seen as a matrix (out, rest), with gain times a Haar-distributed (semi-)orthogonal one.

    Raises:
        UserError: the weight has fewer than 2 dimensions.
    """
    if weight.dim() < 2:
        raise UserError(
            f"init=orthogonal needs weights of at least 2 dimensions, got one of shape {tuple(weight.shape)}; "
            "use another init for this model"
        )
    nn.init.orthogonal_(weight, gain, generator=generator)
