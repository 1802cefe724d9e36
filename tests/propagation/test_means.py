"""Predictions where biases have a mean, against networks and against a calculation by hand."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

import initlab
from initlab.propagation.layers import Site
from initlab.propagation.predict import predict
from initlab.propagation.prediction import WeightLaw, weight_law
from tests.propagation.networks import chain, rows


def test_a_constant_bias_is_a_mean_and_no_variance() -> None:
    """By hand, for a row of mean square q: N(b, 2q) enters ReLU, and twice its second moment plus b² leaves layer 2."""
    inputs = rows(64, 120)
    inputs = inputs / inputs.square().mean(1, keepdim=True).sqrt()
    model = chain(120, 120, 120, 40, activation=nn.ReLU)
    laws = {str(place): WeightLaw(2 / 120, 1.0, True, bias_mean=-1.0) for place in (0, 2, 4)}
    predicted = predict(model, laws, inputs, gradient=(1.0, 0.0), plain_norms=()).second_moments
    threshold = 1 / math.sqrt(2)
    square = (1 + 2) * stats.norm.sf(threshold) - math.sqrt(2) * stats.norm.pdf(threshold)
    assert predicted[Site("1", 1, "input")] == pytest.approx(3.0, rel=1e-5)
    assert predicted[Site("3", 1, "input")] == pytest.approx(2 * square + 1, rel=1e-5)
    assert 2 * square + 1 < 0.4 * (2 * 1.5 + 1)  # what it is if the bias is taken for variance


class Skips(nn.Module):
    """Sums of a signal that has a mean, and branches that have one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.output = nn.Linear(120, 120), nn.Linear(120, 40)
        self.branches = nn.ModuleList(nn.Linear(120, 120) for _ in range(3))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        signal = torch.relu(self.stem(inputs))
        for branch in self.branches:
            signal = signal + branch(signal)
        outputs: torch.Tensor = self.output(signal)
        return outputs


@pytest.mark.parametrize("bias", [-0.2, 0.5])
@pytest.mark.parametrize(
    "model",
    [
        chain(120, *[120] * 4, 40, activation=nn.ReLU),
        chain(120, *[120] * 4, 40),
        chain(120, *[120] * 4, 40, activation=nn.ReLU, norm=nn.LayerNorm),
        chain(120, *[120] * 4, 40, activation=nn.ReLU, norm=nn.RMSNorm),
        chain(120, *[120] * 4, 40, activation=nn.ReLU, norm=nn.BatchNorm1d),
        Skips(),
    ],
    ids=["relu", "tanh", "layer norm", "rms norm", "batch norm", "skips"],
)
def test_networks_with_biases_do_what_is_predicted(model: nn.Module, bias: float) -> None:
    table = initlab.probe_model(model, rows(160, 120), seed=0, scheme="he", seeds=12, bias=bias)
    assert table["no_prediction"].isna().all()
    found = table.groupby("position").mean(numeric_only=True)
    for name, predicted, allowed in (
        ("pre_second_moment", "predicted_second_moment", 0.05),
        ("gradient_second_moment", "predicted_gradient_second_moment", 0.05),
    ):
        depth = found.index if name == "pre_second_moment" else 6 - found.index  # a few layers over the width of 120
        assert ((found[name] / found[predicted] - 1).abs() < allowed * depth).all(), name
    assert ((found["correlation"] - found["predicted_correlation"]).abs() < 0.06).all()


def test_biases_drawn_around_zero_are_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 50, 40, generator=generator)
    assert weight_law(weights, torch.randn(3, 50, generator=generator)).bias_mean == 0
    assert weight_law(weights, torch.zeros(3, 50)).bias_mean == 0
    assert weight_law(weights, torch.full((3, 50), 0.5)).bias_mean == 0.5
    drawn = weight_law(weights, 0.5 + 0.1 * torch.randn(3, 50, generator=generator))
    assert drawn.bias_mean == pytest.approx(0.5, abs=0.05)
