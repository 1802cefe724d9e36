"""What a probe says in words is true of the numbers."""

import re
from typing import Any

import torch
from torch import nn

import initlab
from initlab.propagation.verdict import Verdict, judge
from tests.helpers import linear
from tests.propagation.networks import chain, rows


def verdict(scheme: str, depth: int = 30, activation: type[nn.Module] = nn.Tanh, **settings: Any) -> Verdict:
    model = chain(100, *[100] * depth, 10, activation=activation)
    return judge(initlab.probe_model(model, rows(32, 100), seed=0, scheme=scheme, seeds=3, **settings))


def test_zeros_never_move() -> None:
    """Law 6."""
    for activation in (nn.ReLU, nn.Tanh, nn.GELU):
        found = verdict("zeros", 2, activation)
        assert found == Verdict("not trainable", "no weight gets any gradient, so that none of them ever moves")


def test_constants_stay_alike() -> None:
    """Law 7."""
    assert "all units of a layer are equal" in str(verdict("constant", 3, value=0.01))


def test_sigmoid_loses_the_gradient() -> None:
    found = verdict("xavier", activation=nn.Sigmoid)
    assert found.outlook == "not trainable"
    assert "different inputs look the same" in found.reason
    shrinking = re.search(r"the gradient shrinks ([\d.]+) × a layer", found.reason)
    assert shrinking
    # χ₁ = E[σ'(√q z)²] at its fixed point.
    assert 15 < float(shrinking[1]) < 25


def test_a_reach_is_named_where_the_network_is_deeper() -> None:
    found = verdict("normal", std=0.077)  # n·var = 0.59, so that a layer keeps 0.59 of the gradient
    assert found.outlook in ("hard to train", "not trainable")
    reach = re.search(r"expected trainable depth ≈ (\d+)", found.reason)
    assert reach
    assert 9 <= int(reach[1]) <= 14  # 6/-ln 0.59 = 11


def test_what_explodes_is_no_number() -> None:
    found = verdict("normal", 30, nn.ReLU, std=100.0)
    assert found.outlook == "not trainable"
    assert re.search(r"the signal is no finite number from \d+ on", found.reason)


def test_critical_networks_are_trainable() -> None:
    assert verdict("he", 20, nn.ReLU).outlook == "trainable"
    assert verdict("mean_field", 20).outlook == "trainable"


def test_a_dead_layer_stops_the_gradient() -> None:
    model = chain(20, 20, 20, 20, 5, activation=nn.ReLU)
    with torch.no_grad():
        linear(model, 2).bias.fill_(-1000.0)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found == Verdict("not trainable", "no gradient gets past 4 on its way back to the input")


def test_a_linear_classifier() -> None:
    """Depth 0: one layer, of which there is nothing to say but that it can be trained."""
    assert judge(initlab.probe_model(chain(6, 3), rows(), seed=0)).outlook == "trainable"


def test_an_output_layer_of_zeros_opens_in_the_first_step() -> None:
    model = chain(20, 20, 20, 5)
    nn.init.zeros_(linear(model, 4).weight)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found == Verdict("trainable", "4 starts at zero and moves first; the gradient gets past it once it has")


def test_branches_that_end_in_zeros() -> None:
    """ReZero and its like: what lies on a branch gets no gradient yet, what lies beside it does."""

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.output = nn.Linear(20, 20), nn.Linear(20, 5)
            self.branches = nn.ModuleList(
                nn.Sequential(nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20)) for _ in range(3)
            )

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            signal = self.stem(inputs)
            for branch in self.branches:
                signal = signal + branch(signal)
            outputs: torch.Tensor = self.output(signal)
            return outputs

    model = Branching()
    for branch in model.branches:
        nn.init.zeros_(linear(branch, 3).weight)
        nn.init.zeros_(linear(branch, 3).bias)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found.outlook == "trainable"
    assert "inf" not in found.reason


def test_layers_of_different_widths_compare() -> None:
    """A tapered He net keeps the norm of the gradient, and so its mean square per entry does not."""
    model = chain(784, 512, 256, 128, 64, 32, 10, activation=nn.ReLU)
    found = judge(initlab.probe_model(model, rows(32, 784), seed=0, scheme="he", seeds=5))
    assert found.outlook == "trainable"
    factor = re.search(r"the gradient (?:grows|shrinks) ([\d.]+) ×", found.reason)
    assert factor is None or float(factor[1]) < 1.3


def test_one_network_among_several() -> None:
    """One that is dead, or explodes, is told; it does not decide the sizes of the others."""
    table = initlab.probe_model(chain(20, *[20] * 4, 5), rows(32, 20), seed=0, scheme="xavier", seeds=4)
    dead = table.copy()
    dead.loc[(dead["member"] == 2) & (dead["position"] < 3), "gradient_second_moment"] = 0.0
    found = judge(dead)
    assert found.outlook == "hard to train"
    assert "no gradient reaches the first layer in 1 of 4 networks" in found.reason
    broken = table.copy()
    broken.loc[(broken["member"] == 1) & (broken["position"] > 2), "pre_second_moment"] = float("nan")
    assert judge(broken) == Verdict("not trainable", "the signal is no finite number from 4 on in 1 of 4 networks")
