"""Fans against the connections that a layer really has."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from initlab.errors import UserError
from initlab.initializers.fans import Fan, fan_of_layer

LAYERS = [
    (nn.Linear(7, 5), (7,)),
    (nn.Conv1d(4, 6, 3), (4, 30)),
    (nn.Conv2d(8, 8, 3, groups=8), (8, 14, 14)),
    (nn.Conv2d(8, 12, (3, 5), groups=4), (8, 16, 16)),
    (nn.ConvTranspose2d(8, 16, 3), (8, 14, 14)),
    (nn.ConvTranspose1d(6, 4, 5, groups=2), (6, 30)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_fans_count_the_connections(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Inputs that move the most connected output, and outputs that the most connected input moves."""
    layer = layer.double()
    inputs = torch.randn(1, *shape, dtype=torch.float64)
    links = jacobian(layer, inputs).reshape(layer(inputs).numel(), -1) != 0
    assert fan_of_layer(layer) == Fan(int(links.sum(1).max()), int(links.sum(0).max()))


def test_torchs_own_fans_differ_where_the_shape_misleads() -> None:
    assert fan_of_layer(nn.ConvTranspose2d(8, 16, 3)) == Fan(72, 144)
    assert nn.init._calculate_fan_in_and_fan_out(nn.ConvTranspose2d(8, 16, 3).weight) == (144, 72)


def test_other_layers_are_refused() -> None:
    with pytest.raises(UserError, match="LayerNorm has no fans"):
        fan_of_layer(nn.LayerNorm(3))
