"""The multilayer perceptron."""

from typing import Any

import pytest
import torch
from torch import nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.mlp import MLP
from tests.helpers import make_job

RELU = Activation("relu")


def sizes(model: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]


def test_it_is_the_chain_it_says() -> None:
    model = MLP((2, 3), 4, Activation("tanh"), hidden=(5, 7)).double()
    inputs = torch.randn(9, 2, 3, dtype=torch.float64)
    first, second = model.hidden
    expected = model.output(torch.tanh(second(torch.tanh(first(inputs.flatten(1))))))
    torch.testing.assert_close(model(inputs), expected)


def test_depth_and_width_or_each_layers_units() -> None:
    assert sizes(MLP((3,), 2, RELU)) == [(3, 64), (64, 64), (64, 2)]
    assert sizes(MLP((3,), 2, RELU, depth=3, width=5)) == [(3, 5), (5, 5), (5, 5), (5, 2)]
    assert sizes(MLP((3,), 2, RELU, depth=3, width=5, hidden=(7, 4))) == [(3, 7), (7, 4), (4, 2)]


def test_the_configuration_sets_them() -> None:
    for overrides, expected in {
        (): [(13, 64), (64, 64), (64, 3)],
        ("model.depth=1", "model.width=6"): [(13, 6), (6, 3)],
        ("model.hidden=[5,4]",): [(13, 5), (5, 4), (4, 3)],
        ("experiment=classic_wine", "data=wine"): [(13, 10), (10, 3)],
    }.items():
        assert sizes(make_job(*overrides).network.build()) == expected


@pytest.mark.parametrize("none", [{"hidden": ()}, {"depth": 0}])
def test_without_hidden_layers_it_is_linear(none: dict[str, Any]) -> None:
    model = MLP((3,), 2, RELU, **none)
    assert [name for name, _ in model.named_parameters()] == ["output.weight", "output.bias"]


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
def test_options(norm: str, kind: type[nn.Module]) -> None:
    model = MLP((3,), 2, RELU, hidden=(4,), norm=norm, dropout=0.5, bias=False)
    assert any(isinstance(layer, kind) for layer in model.modules())
    assert any(isinstance(layer, nn.Dropout) for layer in model.modules())
    assert model.output.bias is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "bach"}, r"model.norm=bach: expected one of none, batch, layer"),
        ({"dropout": 1.5}, r"model.dropout=1.5: expected a probability in \[0, 1\)"),
        ({"hidden": (3, 0)}, r"model.hidden=\[3, 0\]: expected whole numbers of at least 1"),
        ({"width": 0}, r"model.width=0: expected a whole number of at least 1"),
        ({"depth": -1}, r"model.depth=-1: expected a whole number of at least 0"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MLP((3,), 2, RELU, **settings)
