"""The deep plain convolutional net."""

from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.plain_cnn import PlainCNN

TANH = Activation("tanh")


@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_it_is_the_chain_it_says(padding: Literal["circular", "zeros"]) -> None:
    model = PlainCNN((3, 7, 10), 4, TANH, depth=4, width=5, padding=padding).double()
    inputs = torch.randn(2, 3, 7, 10, dtype=torch.float64)
    signal = inputs
    for position, layer in enumerate(model.convolutions):
        if padding == "circular":  # wrapped by hand: the last row and column before the first, and the reverse
            signal = torch.cat([signal[:, :, -1:], signal, signal[:, :, :1]], 2)
            signal = torch.cat([signal[..., -1:], signal, signal[..., :1]], 3)
        else:
            signal = F.pad(signal, (1, 1, 1, 1))
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        signal = torch.tanh(F.conv2d(signal, weight, bias, stride=2 if position < 2 else 1))
    assert signal.shape == (2, 5, 2, 3)
    torch.testing.assert_close(model(inputs), model.output(signal.mean((2, 3))))


def test_a_circular_net_of_stride_1_does_not_know_where_things_are() -> None:
    model = PlainCNN((1, 8, 8), 4, TANH, depth=3, width=5, strided=0).double()
    inputs = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(model(inputs.roll((3, 2), (2, 3))), model(inputs))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_never_decrease(channels: int) -> None:
    model = PlainCNN((channels, 8, 8), 4, TANH, depth=50)
    assert len(model.convolutions) == 50
    for layer in model.convolutions:
        weight = layer.get_parameter("weight")
        assert weight.shape[0] >= weight.shape[1]


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((13,), {}, r"model=plain_cnn needs images .* shape \(13,\); use model=mlp"),
        ((1, 8, 8), {"norm": "layer"}, r"model.norm=layer: expected one of none, batch"),
        ((1, 8, 8), {"padding": "mirror"}, r"model.padding=mirror: expected one of circular, zeros"),
        ((3, 8, 8), {"width": 2}, r"model.width=2: expected at least the image's 3 channels"),
        ((1, 8, 8), {"depth": 1}, r"model.strided=2: there are only model.depth=1 convolutions"),
        ((1, 8, 8), {"depth": 0}, r"model.depth=0: expected a whole number of at least 1"),
        ((1, 8, 8), {"strided": -1}, r"model.strided=-1: expected a whole number of at least 0"),
    ],
)
def test_refusals(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PlainCNN(shape, 3, TANH, **settings)
