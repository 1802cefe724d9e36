"""Every scheme against its published law."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy import stats
from torch import nn

from initlab.activations import Activation
from initlab.initializers import InitSpec, find_scheme, initialize_model, list_initializers
from initlab.initializers.fans import Fan
from initlab.train import CONF

Law = Callable[[Fan], Any]


def cut_normal(std: float) -> Any:
    """The normal law cut at two of its own σ, whose standard deviation after the cut is `std`."""
    uncut = std / stats.truncnorm(-2, 2).std()
    return stats.truncnorm(-2, 2, scale=uncut)


def uniform(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


# Scheme → (parameters, law of one entry). A number means that every entry is that number.
LAWS: dict[str, list[tuple[dict[str, Any], Law | float]]] = {
    "zeros": [({}, 0.0)],
    "ones": [({}, 1.0)],
    "constant": [({"value": 0.3}, 0.3)],
    "normal": [({}, lambda _: stats.norm(0, 0.05)), ({"std": 0.1}, lambda _: stats.norm(0, 0.1))],
    "uniform": [({}, lambda _: uniform(0.05)), ({"bound": 0.2}, lambda _: uniform(0.2))],
    "trunc_normal": [
        ({}, lambda _: stats.truncnorm(-2, 2, scale=0.05)),
        ({"std": 0.02, "cut": 1.0}, lambda _: stats.truncnorm(-1, 1, scale=0.02)),
    ],
    "xavier_normal": [
        ({}, lambda fan: stats.norm(0, math.sqrt(2 / (fan.fan_in + fan.fan_out)))),
        ({"gain": 2.0}, lambda fan: stats.norm(0, 2 * math.sqrt(2 / (fan.fan_in + fan.fan_out)))),
        ({"truncated": True}, lambda fan: cut_normal(math.sqrt(2 / (fan.fan_in + fan.fan_out)))),
    ],
    "xavier_uniform": [({}, lambda fan: uniform(math.sqrt(6 / (fan.fan_in + fan.fan_out))))],
    "he_normal": [
        ({}, lambda fan: stats.norm(0, math.sqrt(2 / fan.fan_in))),
        ({"mode": "fan_out"}, lambda fan: stats.norm(0, math.sqrt(2 / fan.fan_out))),
        ({"truncated": True}, lambda fan: cut_normal(math.sqrt(2 / fan.fan_in))),
        ({"gain": "moment"}, lambda fan: stats.norm(0, 1.5925374197228312 / math.sqrt(fan.fan_in))),
        ({"gain": "kaiming"}, lambda fan: stats.norm(0, 5 / 3 / math.sqrt(fan.fan_in))),
    ],
    "he_uniform": [
        ({}, lambda fan: uniform(math.sqrt(6 / fan.fan_in))),
        ({"mode": "fan_avg"}, lambda fan: uniform(math.sqrt(12 / (fan.fan_in + fan.fan_out)))),
    ],
    "lecun_normal": [
        ({}, lambda fan: stats.norm(0, 1 / math.sqrt(fan.fan_in))),
        ({"truncated": True}, lambda fan: cut_normal(1 / math.sqrt(fan.fan_in))),
    ],
    "lecun_uniform": [({}, lambda fan: uniform(math.sqrt(3 / fan.fan_in)))],
    "torch_default": [({}, lambda fan: uniform(1 / math.sqrt(fan.fan_in)))],
    # The entries of a semi-orthogonal matrix of 512 rows and 256 columns have variance 1/512.
    "orthogonal": [
        ({}, lambda fan: stats.norm(0, 1 / math.sqrt(fan.fan_out))),
        ({"gain": 2.0}, lambda fan: stats.norm(0, 2 / math.sqrt(fan.fan_out))),
    ],
}
CASES = [(name, *case) for name, cases in LAWS.items() for case in cases]


def draw(scheme: str, parameters: dict[str, Any], *, seed: int = 0) -> torch.Tensor:
    """A layer's weight of 512 × 256 under tanh, in float64."""
    layer = nn.Linear(256, 512).double()
    spec = InitSpec(scheme, parameters)
    initialize_model(layer, spec, activation=Activation("tanh"), seed=seed)
    return layer.weight.detach()


def test_every_scheme_has_a_conf_and_a_law() -> None:
    schemes = list_initializers()
    aliases = {alias for scheme in schemes.values() for alias in scheme.aliases}
    assert set(schemes) == set(LAWS)
    assert set(schemes) | aliases == {path.stem for path in (CONF / "init").glob("*.yaml")}


@pytest.mark.parametrize("name", LAWS)
def test_the_conf_names_the_scheme_and_its_parameters(name: str) -> None:
    config = OmegaConf.load(CONF / "init" / f"{name}.yaml")
    scheme = find_scheme(name)
    assert config.name == name
    assert set(config) - {"name", "bias"} == scheme.settable
    assert scheme.source
    assert scheme.summary.endswith(".")


@pytest.mark.parametrize(("name", "parameters", "law"), CASES)
def test_entries_follow_the_published_law(name: str, parameters: dict[str, Any], law: Law | float) -> None:
    entries = draw(name, parameters).flatten().numpy()
    if isinstance(law, float):
        assert (entries == law).all()
        return
    published = law(Fan(256, 512))
    assert stats.kstest(entries, published.cdf).pvalue > 1e-4
    assert stats.kstest(entries * 1.05, published.cdf).pvalue < 1e-4  # 5 % off is caught
    assert entries.std() == pytest.approx(published.std(), rel=0.01)


@pytest.mark.parametrize("shape", [(512, 256), (256, 512)])
def test_orthogonal_preserves_lengths(shape: tuple[int, int]) -> None:
    layer = nn.Linear(shape[1], shape[0]).double()
    initialize_model(layer, InitSpec("orthogonal", {"gain": 3.0}), activation=Activation("relu"), seed=0)
    weight = layer.weight.detach().numpy()
    assert np.linalg.svd(weight, compute_uv=False) == pytest.approx(3.0)


def test_orthogonal_is_haar_distributed() -> None:
    """QR alone is not: without the sign of R's diagonal the trace of a Haar matrix, of variance 1, is far off."""
    traces = []
    for seed in range(400):
        layer = nn.Linear(8, 8).double()
        initialize_model(layer, InitSpec("orthogonal"), activation=Activation("relu"), seed=seed)
        traces.append(float(layer.weight.detach().trace()))
    assert abs(np.mean(traces)) < 4 / math.sqrt(400)
    assert np.var(traces) == pytest.approx(1.0, abs=0.3)


def test_glorot_singular_values() -> None:
    """Quarter-circle law: the mean singular value of a square xavier_uniform layer is 8/(3π)."""
    layer = nn.Linear(1000, 1000)
    for scheme, expected in (
        ("xavier_uniform", 8 / (3 * math.pi)),
        ("torch_default", 8 / (3 * math.pi) / math.sqrt(3)),
    ):
        initialize_model(layer, InitSpec(scheme), activation=Activation("tanh"), seed=0)
        assert float(torch.linalg.svdvals(layer.weight.detach()).mean()) == pytest.approx(expected, abs=2e-3)


def test_torch_default_is_what_torch_does() -> None:
    """The law of `nn.Linear.reset_parameters`: uniform with the same bounds, for weights and biases."""
    layer, ours = nn.Linear(256, 2048), nn.Linear(256, 2048)
    initialize_model(ours, InitSpec("torch_default", bias="torch_default"), activation=Activation("relu"), seed=0)
    for mine, torchs in ((ours.weight, layer.weight), (ours.bias, layer.bias)):
        entries, reference = (parameter.detach().flatten() for parameter in (mine, torchs))
        assert stats.kstest(entries, reference).pvalue > 1e-4
        assert float(entries.abs().max()) == pytest.approx(float(reference.abs().max()), rel=0.01)
