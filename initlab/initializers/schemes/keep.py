"""Weights as they are."""

from torch import nn

from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register("keep", level="model", source="whatever the network's own constructor does", resets_norms=False)
def keep(model: nn.Module, *, context: Context) -> None:
    """Leave every weight, bias and norm as the network's constructor made it.

    It is what other schemes are compared with, where a network draws its weights by a rule of its own; and what is done
    to all the rest where rules fill some layers.

    Args:
        model: The network, which stays as it is.
        context: Not looked at.
    """
