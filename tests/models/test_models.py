"""Shapes, the pooling trick, and refusals."""

import pytest
import torch
from torch import nn

from initlab.activations import ACTIVATIONS, Activation
from initlab.errors import UserError
from initlab.models.cnn import CNN
from initlab.models.mlp import MLP


def test_mlp_is_the_chain_it_says() -> None:
    model = MLP((2, 3), 4, Activation("tanh"), hidden=(5, 7)).double()
    inputs = torch.randn(9, 2, 3, dtype=torch.float64)
    first, second = model.hidden
    expected = model.output(torch.tanh(second(torch.tanh(first(inputs.flatten(1))))))
    torch.testing.assert_close(model(inputs), expected)


def test_mlp_without_hidden_layers_is_linear() -> None:
    model = MLP((3,), 2, Activation("relu"), hidden=())
    assert [name for name, _ in model.named_parameters()] == ["output.weight", "output.bias"]


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
def test_mlp_options(norm: str, kind: type[nn.Module]) -> None:
    model = MLP((3,), 2, Activation("relu"), hidden=(4,), norm=norm, dropout=0.5, bias=False)
    assert any(isinstance(layer, kind) for layer in model.modules())
    assert any(isinstance(layer, nn.Dropout) for layer in model.modules())
    assert model.output.bias is None


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_pooling_before_a_monotone_activation_is_the_same_function(name: str) -> None:
    model = CNN((1, 28, 28), 10, Activation(name)).double()
    inputs = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    quick = model(inputs)
    model.pool_first = False
    torch.testing.assert_close(quick, model(inputs))


def test_cnn_has_the_tutorials_layers() -> None:
    model = CNN((1, 28, 28), 10, Activation("relu"))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters() if "weight" in name}
    assert list(shapes.values()) == [(32, 1, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (64, 576), (10, 64)]


def test_cnn_serves_small_images_with_padding() -> None:
    model = CNN((1, 8, 8), 10, Activation("relu"), channels=(4, 4, 4), padding=1)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_refusals() -> None:
    relu = Activation("relu")
    with pytest.raises(UserError, match=r"model=cnn needs images .* shape \(13,\); use model=mlp"):
        CNN((13,), 3, relu)
    with pytest.raises(UserError, match=r"nothing is left of a 8×8 image after convolution 2; set model.padding=1"):
        CNN((1, 8, 8), 3, relu)
    with pytest.raises(UserError, match=r"model.norm=bach: expected one of none, batch, layer"):
        MLP((3,), 2, relu, norm="bach")
    with pytest.raises(UserError, match=r"model.dropout=1.5"):
        MLP((3,), 2, relu, dropout=1.5)
    with pytest.raises(UserError, match=r"model.hidden=\[0\]"):
        MLP((3,), 2, relu, hidden=(0,))
