"""Convolutions that keep the norm."""

import pytest
import torch
from torch import nn

from initlab.base.errors import UserError
from initlab.initializers import list_initializers
from tests.initializers.networks import refine


def test_delta_orthogonal_convolutions_keep_the_norm_through_ten_thousand_layers() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular", bias=False).double()
    signal = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = float(signal.norm())
    deep = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular", bias=False).double()
    with torch.no_grad():
        refine(layer, "delta_orthogonal", None)
        signal = layer(signal)
        for seed in range(9_999):
            if seed % 10 == 0:
                fill_directly(deep, seed)
            signal = deep(signal)
    assert abs(float(signal.norm()) / start - 1) < 1e-5


def fill_directly(layer: nn.Conv2d, seed: int) -> None:
    list_initializers()["delta_orthogonal"].function(
        layer.weight.detach(), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_the_centre_of_a_kernel_maps_each_pixel_to_itself(size: int) -> None:
    image = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    layer = nn.Conv2d(8, 8, size, padding="same", bias=False)
    with torch.no_grad():
        refine(layer, "identity", None)
        torch.testing.assert_close(layer(image), image)
        refine(layer, "delta_orthogonal", None)
        torch.testing.assert_close(layer(image).norm(dim=1), image.norm(dim=1))


def test_delta_orthogonal_refuses_to_lose_channels() -> None:
    with pytest.raises(UserError, match="a convolution from 8 to 3 channels cannot keep the norm"):
        refine(nn.Conv2d(8, 3, 3), "delta_orthogonal", None)
