"""Parameters that start from what their module says, whatever the scheme."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import ScalarBias, ScalarMultiplier
from initlab.models.residual_mlp import ResidualMLP
from initlab.models.resnet import ResNet
from tests.helpers import linear


class Gate(nn.Module):
    """A user's own."""

    def __init__(self, starts: Any) -> None:
        super().__init__()
        self.gate, self.free = nn.Parameter(torch.full((4,), 7.0)), nn.Parameter(torch.full((4,), 7.0))
        self.starts = starts

    def initlab_starts(self) -> Any:
        return self.starts

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.gate + self.free


def gated(starts: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), Gate(starts))


def start(model: nn.Module, name: str) -> float:
    """The one value of all numbers of the gate's parameter."""
    (value,) = set(model.get_parameter(f"1.{name}").tolist())
    return float(value)


def test_a_module_says_where_its_parameters_start() -> None:
    model = gated({"gate": 0.5})
    report = initlab.initialize(model, "he", seed=0)
    assert (start(model, "gate"), start(model, "free")) == (0.5, 7)
    assert report["1.gate"].rule == "start: 0.5"
    assert report["1.free"].rule == "left as it was"


def test_rules_exclusion_and_a_dry_run_come_first() -> None:
    ruled, excluded, tried, kept = (gated({"gate": 0.5, "free": 0}) for _ in range(4))
    initlab.initialize(ruled, {"*.gate": "ones", "*": "he"}, seed=0)
    initlab.initialize(excluded, "he", seed=0, exclude="*.gate")
    initlab.initialize(tried, "he", seed=0, dry_run=True)
    initlab.initialize(kept, "keep", seed=0)
    assert [start(model, "gate") for model in (ruled, excluded, tried, kept)] == [1, 7, 7, 7]
    assert [start(model, "free") for model in (ruled, excluded, tried, kept)] == [0, 0, 7, 7]


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ({"gat": 0.0}, r"Gate.initlab_starts\(\): gat is no parameter of it; it has gate, free"),
        ({"gate": "zero"}, r"Gate.initlab_starts\(\): gate starts from 'zero'; expected a number"),
        ([0.0], r"Gate.initlab_starts\(\): expected a mapping from parameter names to numbers"),
    ],
)
def test_what_it_says_wrongly_is_refused_and_nothing_changes(starts: Any, message: str) -> None:
    model = gated(starts)
    before = linear(model, 0).weight.clone()
    with pytest.raises(UserError, match=message):
        initlab.initialize(model, "zeros", seed=0)
    assert torch.equal(linear(model, 0).weight, before)


@pytest.mark.parametrize("scheme", ["he", "fixup"])
@pytest.mark.parametrize("name", ["residual_mlp", "resnet"])
def test_fixups_scalars_start_anew(name: str, scheme: str) -> None:
    """What training made of them is no start: a network that is initialized again is the network of the scheme."""
    relu = Activation("relu")
    model: ResidualMLP | ResNet = (
        ResidualMLP((4,), 3, relu, depth=2, width=8, scalars=True)
        if name == "residual_mlp"
        else ResNet((1, 8, 8), 3, relu, blocks=[1, 1], width=4, norm="none", scalars=True)
    )
    scalars = [module for module in model.modules() if isinstance(module, ScalarBias | ScalarMultiplier)]
    with torch.no_grad():
        for module in scalars:
            next(module.parameters()).fill_(5.0)
    initlab.initialize(model, scheme, seed=0)
    assert {next(module.parameters()).item() for module in scalars if isinstance(module, ScalarBias)} == {0.0}
    assert model.residual_multipliers() == [module for module in scalars if isinstance(module, ScalarMultiplier)]
    assert [module.get_parameter("factor").item() for module in model.residual_multipliers()] == [1.0, 1.0]
