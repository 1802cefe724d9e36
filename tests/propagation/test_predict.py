"""Predictions for whole networks, against the networks themselves and against published constants."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import initlab
from initlab.propagation.predict import predict
from initlab.propagation.prediction import WeightLaw, weight_law
from tests.propagation.networks import Branching, Functional, chain, rows

MEASURED = {
    "pre_second_moment": "predicted_second_moment",
    "correlation": "predicted_correlation",
    "gradient_second_moment": "predicted_gradient_second_moment",
}


def averages(model: nn.Module, scheme: str, *, seeds: int = 12, width: int = 120, **settings: Any) -> pd.DataFrame:
    """Means over members, their standard errors, and the predictions, one row a layer."""
    table = initlab.probe_model(model, rows(160, width), seed=0, scheme=scheme, seeds=seeds, **settings)
    groups = table.groupby("position")
    found = groups[list(MEASURED)].mean()
    errors = groups[list(MEASURED)].sem().add_suffix("_error")
    return found.join(errors).join(groups[[*MEASURED.values()]].first()).join(groups["no_prediction"].first())


class Residual(nn.Module):
    """Branches of two layers around additions, in pre-activation order."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.stem, self.output = nn.Linear(120, 120), nn.Linear(120, 40)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(120) if norm else nn.Identity(),
                nn.ReLU(),
                nn.Linear(120, 120),
                nn.ReLU(),
                nn.Linear(120, 120),
            )
            for _ in range(5)
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        signal = self.stem(inputs)
        for branch in self.branches:
            signal = signal + branch(signal)
        outputs: torch.Tensor = self.output(torch.relu(signal))
        return outputs


@pytest.mark.parametrize(
    ("model", "scheme", "settings"),
    [
        (chain(120, *[120] * 8, 40), "xavier", {}),
        (chain(120, *[120] * 8, 40), "orthogonal", {"gain": 1.2, "bias": "torch_default"}),
        (chain(120, 200, 80, 160, 40, activation=nn.GELU), "he", {}),
        (chain(120, *[120] * 8, 40, activation=nn.SELU), "lecun", {}),
        (chain(120, *[120] * 6, 40, norm=nn.LayerNorm), "he", {}),
        (chain(120, *[120] * 6, 40, activation=nn.ReLU, norm=nn.BatchNorm1d), "he", {}),
        (chain(120, *[120] * 6, 40, activation=lambda: nn.PReLU(init=0.75)), "he", {"gain": 1.2}),
        (Residual(), "he", {}),
        (Residual(norm=True), "he", {}),
    ],
    ids=["tanh", "orthogonal", "gelu", "selu", "layer norm", "batch norm", "prelu", "residual", "residual layer norm"],
)
def test_networks_do_what_is_predicted(model: nn.Module, scheme: str, settings: dict[str, Any]) -> None:
    """Within five standard errors and what a width of 120 leaves of the limit: a few layers over the width."""
    found = averages(model, scheme, **settings)
    assert found["no_prediction"].isna().all()
    for measured, predicted in MEASURED.items():
        scale = 1.0 if measured == "correlation" else found[predicted].abs()
        miss = (found[measured] - found[predicted]).abs() / scale
        allowed = 5 * found[f"{measured}_error"] / scale + 3 * found.index / 120
        assert (miss <= allowed).all(), (measured, miss / allowed)
        assert allowed.mean() < 0.5


def test_batch_norm_makes_gradients_grow_as_published() -> None:
    """Yang et al. 2019: by π/(π - 1) a layer in a linear-batch-norm-ReLU chain, whatever the weights' scale."""
    model = chain(400, *[400] * 12, 40, activation=nn.ReLU, norm=nn.BatchNorm1d)
    laws = {name: WeightLaw(1 / 400, 0.0, True) for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    norms = [name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm1d)]
    found = predict(model, laws, rows(4000, 400), gradient=(1.0, 0.0), plain_norms=norms)
    layers = [(site, g) for site, g in found.gradients.items() if site.side == "input" and site.module.isdigit()]
    by_depth = [g for site, g in sorted(layers, key=lambda pair: int(pair[0].module))
                if isinstance(model.get_submodule(site.module), nn.ReLU)]  # fmt: skip
    ratios = np.array(by_depth[:-1]) / np.array(by_depth[1:])
    assert len(ratios) == 11
    np.testing.assert_allclose(ratios, math.pi / (math.pi - 1), rtol=2e-3)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.BatchNorm1d])
def test_what_norms_add_to_a_variance(norm: type[nn.Module]) -> None:
    """Weights so small that ε is larger than the variance: the norm does not bring it to 1, and the signal fades."""
    table = initlab.probe_model(
        chain(120, *[120] * 3, 40, norm=norm), rows(64, 120), seed=0, scheme="normal", std=1e-4, seeds=8
    )
    found = table.groupby("position").mean(numeric_only=True)
    assert found["pre_second_moment"].iloc[0] < 0.2
    for measured, predicted in MEASURED.items():
        if measured != "correlation":
            assert (found[measured] / found[predicted]).to_numpy() == pytest.approx(1, abs=0.15), measured


def test_batch_norm_of_rows_of_different_sizes() -> None:
    """Half of them are small and half large: the signal is predicted, and of the gradient nothing is claimed."""
    inputs = rows(64, 120) * torch.cat([torch.full((32, 1), 0.1), torch.full((32, 1), 2.0)])
    model = chain(120, *[120] * 4, 40, norm=nn.BatchNorm1d)
    table = initlab.probe_model(model, inputs, seed=0, scheme="he", seeds=8)
    found = table.groupby("position").mean(numeric_only=True)
    ratio = found["pre_second_moment"] / found["predicted_second_moment"]
    assert ratio.to_numpy() == pytest.approx(1, abs=0.12)  # tanh's own would be a third off if all rows were alike
    assert table["no_prediction"].isna().all()
    assert found["predicted_gradient_second_moment"].iloc[:-1].isna().all()
    assert table["no_gradient_prediction"].iloc[0] == "10 normalizes rows of very different sizes together"


def test_the_layers_of_he_relu_forget_how_inputs_differ() -> None:
    """Law 3: two orthogonal inputs have correlation .87154 after 10 layers."""
    model = chain(100, *[100] * 11, activation=nn.ReLU)
    laws = {name: WeightLaw(2 / 100, 0.0, True) for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    orthogonal = torch.eye(100)[:2] * 10
    found = predict(model, laws, orthogonal, gradient=(1.0, 0.0), plain_norms=())
    last = [c for site, c in found.correlations.items() if site.module == "20"][-1]
    assert last == pytest.approx(0.87154, abs=1e-5)


def test_what_theory_does_not_cover_is_said() -> None:
    padded = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    table = initlab.probe_model(padded, torch.randn(8, 1, 6, 6), seed=0)
    assert set(table["no_prediction"]) == {"0 pads with zeros: its border is unlike the rest"}
    assert table["predicted_second_moment"].isna().all()
    table = initlab.probe_model(Branching(), rows(), seed=0)
    assert table["no_prediction"].str.startswith("the network's operations cannot be followed").all()
    identities = chain(6, 40, 40, 3)
    initlab.initialize(identities, "identity", seed=0)
    table = initlab.probe_model(identities, rows(), seed=0)
    assert "not drawn independently" in table["no_prediction"].iloc[1]
    table = initlab.probe_model(chain(6, 40, 40, 3), rows(), seed=0, scheme="lsuv")
    assert set(table["no_prediction"]) == {"lsuv fits the weights to data"}
    table = initlab.probe_model(chain(6, 40, 3, activation=nn.Hardshrink), rows(), seed=0)
    assert list(table["no_prediction"].isna()) == [True, False]
    assert table["no_prediction"].iloc[1] == "no closed form for Hardshrink"


@pytest.mark.parametrize("scheme", ["identity", "zero_hadamard", "ones", "constant"])
def test_nothing_is_said_of_weights_that_are_not_drawn(scheme: str) -> None:
    """Entries of ±1 have no mean, and no chance in them either."""
    table = initlab.probe_model(chain(16, 32, 64, 3), rows(32, 16), seed=0, scheme=scheme)
    assert set(table["no_prediction"]) == {f"{scheme} draws no random weights"}
    based = initlab.probe_model(chain(16, 32, 64, 3), rows(32, 16), seed=0, scheme="keep")
    assert based["no_prediction"].isna().all()


def test_zeros_are_a_variance_of_zero() -> None:
    table = initlab.probe_model(chain(16, 32, 3), rows(32, 16), seed=0, scheme="zeros", bias=0.5)
    assert list(table["predicted_second_moment"]) == pytest.approx(list(table["pre_second_moment"]))


def test_a_functional_nonlinearity_is_followed() -> None:
    table = initlab.probe_model(Functional(), rows(), seed=0)
    assert table["no_prediction"].isna().all()


def test_weight_laws() -> None:
    generator = torch.Generator().manual_seed(0)
    law = weight_law(torch.randn(3, 50, 40, generator=generator) / 10, torch.full((3, 50), 0.5))
    assert law.independent
    assert law.mean_square == pytest.approx(0.01, rel=0.05)
    assert law.bias_mean_square == 0.25
    assert not weight_law(torch.full((3, 50, 40), 0.01), None).independent
    assert not weight_law(torch.eye(50).expand(3, 50, 50), None).independent
    assert weight_law(torch.zeros(3, 5, 4), None).independent


def test_a_network_that_ends_in_a_nonlinearity() -> None:
    """The gradient is followed from the output itself, not from the last layer."""
    model = nn.Sequential(*chain(120, 120, 120, 120), nn.Tanh())
    found = averages(model, "he")
    miss = (found["gradient_second_moment"] / found["predicted_gradient_second_moment"] - 1).abs()
    assert (miss < 0.1).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: nn.init.constant_(model[1].weight, 3.0), "1 scales or shifts what it normalizes"),
        (lambda model: nn.init.constant_(model[1].bias, 0.5), "1 scales or shifts what it normalizes"),
        (lambda model: setattr(model[6], "weight", model[3].weight), "shares its weights with another layer"),
    ],
)
def test_what_is_not_as_drawn(change: object, reason: str) -> None:
    assert callable(change)
    model = chain(40, 40, 40, 40, norm=nn.LayerNorm)
    change(model)
    table = initlab.probe_model(model, rows(16, 40), seed=0)
    assert table["no_prediction"].dropna().str.contains(reason).all()
    assert table["no_prediction"].notna().any()


class Summing(nn.Module):
    """Sums of two signals in as many ways as there are names in `SUMS`."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(40, 40) for _ in range(3))
        self.output = nn.Linear(40, 5)
        self.norm, self.dropout = nn.LayerNorm(40), nn.Dropout()
        self.how = how

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        signal = self.first(inputs)
        outputs: torch.Tensor = self.output(torch.tanh(SUMS[self.how][0](self, signal)))
        return outputs


SUMS: dict[str, tuple[Callable[[Summing, torch.Tensor], torch.Tensor], bool]] = {
    "a branch": (lambda net, h: h + net.second(torch.relu(h)), True),
    "a branch the other way round": (lambda net, h: net.second(torch.relu(h)) + h, True),
    "two branches": (lambda net, h: h + net.second(torch.relu(h)) + net.third(torch.relu(h)), True),
    "branch upon branch": (lambda net, h: h + net.third(torch.relu(h + net.second(torch.relu(h)))), True),
    "two layers": (lambda net, h: net.second(torch.relu(h)) + net.third(torch.relu(h)), True),
    "its own activation": (lambda _, h: h + torch.relu(h), False),
    "scaled": (lambda net, h: torch.add(h, net.second(torch.relu(h)), alpha=0.1), False),
    "its own dropout": (lambda net, h: h + net.dropout(h), False),
    "its own norm": (lambda net, h: h + net.norm(h), False),
    "a sum that holds it": (lambda net, h: h + (h + net.second(torch.relu(h))), False),
    "one layer twice": (lambda net, h: net.second(torch.relu(h)) + net.second(h), False),
    "one layer upon itself": (lambda net, h: h + net.second(torch.relu(net.second(h))), False),
    "a layer that comes again below": (lambda net, h: net.second(h) + net.third(torch.relu(net.second(h))), True),
}


@pytest.mark.parametrize("how", SUMS)
def test_sums_of_what_is_independent_alone(how: str) -> None:
    """What is predicted of a sum is what many networks show; of what is not independent nothing is said."""
    table = initlab.probe_model(Summing(how), rows(64, 40), seed=0, scheme="he", seeds=40)
    summed = table[table["layer"] == table["layer"].iloc[-2]]  # the last layer before tanh
    if SUMS[how][1]:
        assert table["no_prediction"].isna().all()
        output = table[table["layer"] == "output"]
        ratio = output["pre_second_moment"].mean() / output["predicted_second_moment"].iloc[0]
        assert ratio == pytest.approx(1, abs=0.1)
        first = table[table["layer"] == "first"]
        ratio = first["gradient_second_moment"].mean() / first["predicted_gradient_second_moment"].iloc[0]
        assert ratio == pytest.approx(1, abs=0.2)
    else:
        assert table["no_prediction"].iloc[-1] == "a sum of what is not independent"
        assert table["no_gradient_prediction"].iloc[0] == "a sum of what is not independent"
        assert summed["predicted_gradient_second_moment"].isna().all()


def test_a_gradient_that_theory_loses_stays_lost() -> None:
    """Two layers below what has no closed form, nothing is known; a gradient of 0 would be a claim."""
    model = nn.Sequential(*chain(40, 40, 40, 40), nn.LogSigmoid(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 5))
    table = initlab.probe_model(model, rows(16, 40), seed=0)
    assert list(table["layer"]) == ["0", "2", "4", "6", "8"]
    assert list(table["no_prediction"].isna()) == [True, True, True, False, False]
    assert table["predicted_gradient_second_moment"].iloc[:-1].isna().all()
    assert set(table["no_gradient_prediction"].iloc[:3]) == {"no closed form for LogSigmoid"}
