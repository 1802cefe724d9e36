"""The tutorials' convolutional net."""

from typing import Any

import pytest
import torch

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.errors import UserError
from initlab.models.cnn import CNN
from tests.helpers import make_job

RELU = Activation("relu")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_pooling_before_a_monotone_activation_is_the_same_function(name: str) -> None:
    model = CNN((1, 28, 28), 10, Activation(name)).double()
    inputs = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    quick = model(inputs)
    model.pool_first = False
    torch.testing.assert_close(quick, model(inputs))


def test_it_has_the_tutorials_layers() -> None:
    model = CNN((1, 28, 28), 10, RELU)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if "weight" in name}
    assert list(shapes.values()) == [(32, 1, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (64, 576), (10, 64)]


def test_it_serves_small_images_with_padding() -> None:
    model = CNN((1, 8, 8), 10, RELU, channels=(4, 4, 4), padding=1)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_digits_bring_their_own_channels_and_the_command_line_wins() -> None:
    assert make_job("data=mnist").config.model["channels"] == [32, 64, 64]
    digits = make_job("data=digits").config.model
    assert (digits["channels"], digits["padding"]) == ([16, 32, 32], 1)
    assert make_job("data=digits", "model.channels=[4]").config.model["channels"] == [4]
    assert "channels" not in make_job("data=digits", "model=mlp").config.model


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((13,), {}, r"model=cnn needs images .* shape \(13,\); use model=mlp"),
        ((1, 8, 8), {}, r"nothing is left of a 8×8 image after convolution 2; set model.padding=1"),
        ((1, 28, 28), {"norm": "layer"}, r"model.norm=layer: expected one of none, batch"),
        ((1, 28, 28), {"channels": []}, r"model.channels=\[\]: expected at least one convolution"),
        ((1, 28, 28), {"channels": [4, 0]}, r"model.channels=\[4, 0\]: expected whole numbers of at least 1"),
        ((1, 28, 28), {"kernel": 0}, r"model.kernel=0: expected a whole number of at least 1"),
        ((1, 28, 28), {"dense": 0}, r"model.dense=0: expected a whole number of at least 1"),
        ((1, 28, 28), {"padding": -1}, r"model.padding=-1: expected a whole number of at least 0"),
    ],
)
def test_refusals(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        CNN(shape, 3, RELU, **settings)
