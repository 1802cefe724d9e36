"""Probing networks that are not ours, and input that is no good."""

import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import initlab
from initlab.base.errors import UserError
from initlab.modules.batch import Batch
from initlab.propagation.probe import probe_networks
from initlab.propagation.verdict import judge
from initlab.tables.schema import SIGNAL
from tests.propagation.networks import chain, rows, together


def test_the_columns_are_the_schemas() -> None:
    table = initlab.probe_model(chain(6, 5, 3), rows(), seed=3, scheme="he", seeds=2)
    assert {"job", *table.columns} == set(SIGNAL.names)
    assert list(table["seed"]) == [3, 3, 4, 4]
    assert list(table["layer"]) == ["0", "2"] * 2


def test_a_residual_network_of_torchvisions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torchvision.models.resnet18(num_classes=10)
    images = torch.randn(4, 3, 32, 32)
    table = initlab.probe_model(model, (images, torch.arange(4)), seed=0, loss=F.cross_entropy)
    assert len(table) == 21
    assert table["layer"].iloc[0] == "conv1"
    assert table["layer"].iloc[-1] == "fc"
    assert table.attrs["unseen"] == {}
    assert table[["pre_second_moment", "gradient_second_moment"]].gt(0).to_numpy().all()
    assert table["no_prediction"].notna().all()


def test_a_transformer_of_torchvisions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torchvision.models.VisionTransformer(16, 8, 2, 2, 32, 64, num_classes=5)
    table = initlab.probe_model(model, torch.randn(4, 3, 16, 16), seed=0)
    assert "encoder.layers.encoder_layer_0.self_attention.in_proj_weight" in table.attrs["unseen"]
    assert "encoder.layers.encoder_layer_0.mlp.0" in set(table["layer"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": torch.full((4, 6), torch.nan)}, "batch: holds NaN or infinite numbers"),
        ({"batch": torch.ones(4, 7)}, "batch of shape .4, 7.: Sequential cannot take it"),
        ({"batch": torch.ones(0, 6)}, "batch: expected tensors of at least one row"),
        ({"batch": torch.ones(4, 6), "loss": F.cross_entropy}, "batch: with a loss, expected a pair"),
        ({"batch": torch.ones(4, 6), "seeds": 3}, "seeds=3: expected 1, or with a scheme"),
        ({"batch": torch.ones(4, 6), "gain": 2.0}, "gain: a parameter of a scheme, and none is named"),
        ({"batch": torch.ones(4, 6), "scheme": "hee"}, "unknown initializer; did you mean he"),
    ],
)
def test_bad_input_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        initlab.probe_model(chain(6, 5, 3), seed=0, **arguments)
    assert "\n" not in str(caught.value)


def test_no_network() -> None:
    with pytest.raises(UserError, match=r"model: expected a torch.nn.Module, got int"):
        initlab.probe_model(3, rows(), seed=0)  # type: ignore[arg-type]  # no network is what is tried
    with pytest.raises(UserError, match=r"no layer of ReLU|no parameters"):
        initlab.probe_model(nn.ReLU(), rows(), seed=0)


def test_a_nonlinearity_without_a_derivative() -> None:
    class Step(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.sign()

    model = nn.Sequential(nn.Linear(6, 5), Step(), nn.Linear(5, 3))
    table = initlab.probe_model(model, rows(), seed=0)
    assert list(table["gradient_second_moment"] > 0) == [False, True]
    assert str(judge(table)).startswith("not trainable: no gradient gets past")


def test_one_row_has_no_pairs() -> None:
    table = initlab.probe_model(chain(6, 5, 3), rows(1), seed=0)
    assert table["correlation"].isna().all()
    assert table["pre_second_moment"].notna().all()


def test_no_numbers_come_out() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.layer(inputs).argmax(1)
            return outputs

    with pytest.raises(UserError, match="returns no tensor of floating-point numbers"):
        initlab.probe_model(Choosing(), rows(), seed=0)


def test_an_operation_that_torch_func_does_not_know() -> None:
    class Through(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: object, z: torch.Tensor) -> torch.Tensor:
            return z.sign()

        @staticmethod
        def backward(_ctx: object, gradient: torch.Tensor) -> torch.Tensor:
            return gradient

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.output = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.output(Through.apply(self.layer(inputs)))
            return outputs

    table = initlab.probe_model(Model(), rows(), seed=0)
    assert table["gradient_second_moment"].gt(0).all()
    assert list(table["layer"]) == ["layer", "output"]


class Counting(nn.Module):
    """Notes how many rows it is called with; those of a trace are no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.called = chain(6, 5, 3), list[int]()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if isinstance(inputs, torch.Tensor):
            self.called.append(len(inputs))
        outputs: torch.Tensor = self.layers(inputs)
        return outputs


def test_the_rows_go_once_through_each_network() -> None:
    """And once more through the first, to find its layers, and once for the histograms; the Jacobian is of 8 rows."""
    members, labels = 6, torch.arange(32) % 3
    models = [Counting() for _ in range(members)]
    probe_networks(
        together(models),
        Batch(rows(), labels),
        seeds=range(members),
        vectorized=False,
        loss=lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="sum"),
    )
    called = models[0].called
    assert called.count(32) == members + 2
    assert called.count(8) == members
    assert len(called) == 2 * members + 2
