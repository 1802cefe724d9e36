"""Every scheme against its published law, by another computation; an error of 5 % in any weight is seen."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from scipy import stats
from scipy.linalg import hadamard
from torch import nn

from initlab.activations import Activation
from initlab.base.randomness import stream
from initlab.config.files import CONF
from initlab.initializers import InitSpec, Surroundings, find_scheme, initialize_model, list_initializers
from initlab.initializers.fans import Fan
from initlab.initializers.find_activation import find_activation
from tests.initializers import laws_more, laws_mup, laws_recurrent, laws_transformer
from tests.initializers.networks import Residual, batch_for, chain, fill, weights_of

Array = np.ndarray[Any, Any]
Holds = Callable[[nn.Module], bool]


def wide() -> nn.Module:
    """One layer of 512 × 256 in float64."""
    return nn.Linear(256, 512).double()


def counted() -> nn.Module:
    """A layer whose weights are 0, 1, 2, …"""
    layer = nn.Linear(16, 8).double()
    with torch.no_grad():
        layer.weight.copy_(torch.arange(128.0).view(8, 16))
    return layer


def arrays(model: nn.Module) -> list[Array]:
    return [weight.detach().numpy() for weight in weights_of(model)]


def follows(weight: Array, law: Any) -> bool:
    """Whether the entries of a weight follow a distribution, in shape and in scale."""
    entries = weight.flatten()
    return abs(entries.std() / law.std() - 1) < 0.02 and bool(stats.kstest(entries, law.cdf).pvalue > 1e-4)


def entries(law: Callable[[Fan], Any]) -> Holds:
    """Every weight's entries are independent draws from a law that depends on its fans."""
    return lambda model: all(follows(weight, law(Fan(weight.shape[1], weight.shape[0]))) for weight in arrays(model))


def equals(expected: Callable[[int, int], Array]) -> Holds:
    """Every weight is one known matrix."""
    return lambda model: all(np.allclose(weight, expected(*weight.shape), atol=1e-6) for weight in arrays(model))


def cut_normal(std: float) -> Any:
    """The normal law cut at two of its own σ, whose standard deviation after the cut is `std`."""
    uncut = std / stats.truncnorm(-2, 2).std()
    return stats.truncnorm(-2, 2, scale=uncut)


def uniform(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


def singular_values(value: float) -> Holds:
    """Every singular value of every weight is this one."""
    return lambda model: all(
        np.allclose(np.linalg.svd(weight, compute_uv=False), value, atol=1e-6) for weight in arrays(model)
    )


def sparse_law(model: nn.Module, *, sparsity: float = 0.1, std: float = 0.01, axis: int = 0) -> bool:
    """As many zeros in each column (or row) as asked for, and the rest normal."""
    (weight,) = arrays(model)
    zeros = (weight == 0).sum(axis)
    exact = bool((zeros == math.ceil(sparsity * weight.shape[axis])).all())
    return exact and follows(weight[weight != 0], stats.norm(0, std))


def hadamard_law(out: int, entering: int) -> Array:
    side = 2 ** math.ceil(math.log2(out))
    if out <= entering:
        return np.eye(out, entering)
    return np.eye(out, side) @ hadamard(side) @ np.eye(side, entering) * math.sqrt(2 / side)


def critical_tanh(model: nn.Module) -> bool:
    """σ_b² = .05 wants σ_w² = 1.76096 (computed elsewhere)."""
    assert isinstance(model, nn.Linear)
    biases = model.bias.detach().numpy()
    return entries(lambda fan: stats.norm(0, math.sqrt(1.76096 / fan.fan_in)))(model) and bool(
        stats.kstest(biases, stats.norm(0, math.sqrt(0.05)).cdf).pvalue > 1e-4
    )


def siren_law(model: nn.Module) -> bool:
    first, *others = arrays(model)
    rest = all(follows(weight, uniform(math.sqrt(6 / weight.shape[1]) / 30)) for weight in others)
    return rest and follows(first, uniform(1 / first.shape[1]))


def forward(model: nn.Module) -> list[Array]:
    """Each layer's output of a ReLU chain on the batch that `fill` uses, in numpy."""
    signal, outputs = batch_for(model).inputs.numpy(), []
    for layer in (layer for layer in model.modules() if isinstance(layer, nn.Linear)):
        outputs.append(signal @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
        signal = np.maximum(outputs[-1], 0)
    return outputs


def unit_variance(model: nn.Module) -> bool:
    """LSUV: each layer's output has standard deviation 1."""
    return all(abs(output.std() - 1) < 1e-6 for output in forward(model))


def unit_channels(model: nn.Module) -> bool:
    """Krähenbühl et al., algorithm 1."""
    return all(np.allclose(out.mean(0), 0, atol=1e-6) and np.allclose(out.std(0), 1) for out in forward(model))


def balanced(model: nn.Module) -> bool:
    """Krähenbühl et al., algorithm 2: all layers' columns change at one relative rate, by backpropagation in numpy."""
    outputs = forward(model)
    slope = torch.randn(outputs[-1].shape, generator=stream(0, "data_dependent")).numpy().astype(np.float64)
    signals = [batch_for(model).inputs.numpy(), *(np.maximum(output, 0) for output in outputs[:-1])]
    rates = []
    for weight, signal, below in zip(
        reversed(arrays(model)), reversed(signals), [*reversed(outputs[:-1]), None], strict=True
    ):
        gradient = slope.T @ signal
        rates.append((np.linalg.norm(gradient, axis=0) / np.linalg.norm(weight, axis=0)).mean())
        if below is not None:
            slope = (slope @ weight) * (below > 0)
    centred = all(np.allclose(output.mean(0), 0, atol=1e-6) for output in outputs)
    return centred and bool(np.allclose(rates, rates[0], rtol=1e-5))


def autoinit_law(model: nn.Module) -> bool:
    """Behind a ReLU of N(0, 1) the second moment is ½; the input's is that of the batch."""
    first, *others = arrays(model)
    entering = float(np.square(batch_for(model).inputs.numpy()).mean())
    rest = all(follows(weight, stats.norm(0, math.sqrt(2 / weight.shape[1]))) for weight in others)
    return rest and follows(first, stats.norm(0, math.sqrt(1 / (first.shape[1] * entering))))


def moved_by(model: nn.Module, *, lengths: bool, step: float) -> bool:
    """One signed step from he_normal: in each weight's norm (MetaInit), or in its scale (GradInit)."""
    base = chain()
    fill(base, "he_normal")
    for weight, start in zip(arrays(model), arrays(base), strict=True):
        before, after = np.linalg.norm(start), np.linalg.norm(weight)
        moved = abs(after - before) if lengths else abs(after / before - 1)
        if abs(moved - step) > 1e-5 or not np.allclose(weight / after, start / before):
            return False
    return True


def fixup_law(model: nn.Module) -> bool:
    """Three branches of two layers: the first × 3^(−1/2), the second and the classifier 0, so that the loss is ln C."""
    assert isinstance(model, Residual)
    stem, *inner, output = arrays(model)
    he = follows(stem, stats.norm(0, math.sqrt(2 / 64)))
    first = all(follows(weight, stats.norm(0, math.sqrt(2 / 256 / 3))) for weight in inner[::2])
    batch = batch_for(model)
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(model(batch.inputs), batch.targets))
    return (
        he
        and first
        and not any(weight.any() for weight in [*inner[1::2], output])
        and loss == pytest.approx(math.log(64), abs=1e-12)
    )


def checkpoint(folder: Path) -> Path:
    """A state dict of `wide`, all 0.5."""
    layer = wide()
    nn.init.constant_(layer.get_parameter("weight"), 0.5)
    torch.save(layer.state_dict(), folder / "wide.pt")
    return folder / "wide.pt"


def checkpoint_for(name: str, folder: Path) -> Path:
    return laws_more.larger(folder) if name == "weight_selection" else checkpoint(folder)


def activation_of(model: nn.Module) -> str:
    """That of the network's modules; tanh for a single layer."""
    return found.name if (found := find_activation(model)) is not None else "tanh"


# Scheme → (parameters, network, law). A law is checked under tanh for single layers, mostly under ReLU for networks.
LAWS: dict[str, list[tuple[dict[str, Any], Callable[[], nn.Module], Holds]]] = {
    "zeros": [({}, wide, equals(lambda out, entering: np.zeros((out, entering))))],
    "ones": [({}, wide, equals(lambda out, entering: np.ones((out, entering))))],
    "constant": [({"value": 0.3}, wide, equals(lambda out, entering: np.full((out, entering), 0.3)))],
    "normal": [
        ({}, wide, entries(lambda _: stats.norm(0, 0.05))),
        ({"std": 0.1}, wide, entries(lambda _: stats.norm(0, 0.1))),
    ],
    "uniform": [
        ({}, wide, entries(lambda _: uniform(0.05))),
        ({"bound": 0.2}, wide, entries(lambda _: uniform(0.2))),
    ],
    "trunc_normal": [
        ({}, wide, entries(lambda _: stats.truncnorm(-2, 2, scale=0.05))),
        ({"std": 0.02, "cut": 1.0}, wide, entries(lambda _: stats.truncnorm(-1, 1, scale=0.02))),
    ],
    "variance_scaling": [
        ({}, wide, entries(lambda fan: cut_normal(math.sqrt(1 / fan.fan_in)))),
        (
            {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"},
            wide,
            entries(lambda fan: uniform(math.sqrt(6 / fan.fan_out))),
        ),
        (
            {"mode": "fan_avg", "distribution": "normal"},
            wide,
            entries(lambda fan: stats.norm(0, math.sqrt(2 / (fan.fan_in + fan.fan_out)))),
        ),
    ],
    "xavier_normal": [
        ({}, wide, entries(lambda fan: stats.norm(0, math.sqrt(2 / (fan.fan_in + fan.fan_out))))),
        ({"gain": 2.0}, wide, entries(lambda fan: stats.norm(0, 2 * math.sqrt(2 / (fan.fan_in + fan.fan_out))))),
        ({"truncated": True}, wide, entries(lambda fan: cut_normal(math.sqrt(2 / (fan.fan_in + fan.fan_out))))),
    ],
    "xavier_uniform": [({}, wide, entries(lambda fan: uniform(math.sqrt(6 / (fan.fan_in + fan.fan_out)))))],
    "he_normal": [
        ({}, wide, entries(lambda fan: stats.norm(0, math.sqrt(2 / fan.fan_in)))),
        ({"mode": "fan_out"}, wide, entries(lambda fan: stats.norm(0, math.sqrt(2 / fan.fan_out)))),
        ({"truncated": True}, wide, entries(lambda fan: cut_normal(math.sqrt(2 / fan.fan_in)))),
        ({"gain": "moment"}, wide, entries(lambda fan: stats.norm(0, 1.5925374197228312 / math.sqrt(fan.fan_in)))),
        ({"gain": "kaiming"}, wide, entries(lambda fan: stats.norm(0, 5 / 3 / math.sqrt(fan.fan_in)))),
        ({"gain": "derivative"}, wide, entries(lambda fan: stats.norm(0, 1 / math.sqrt(0.464403 * fan.fan_in)))),
    ],
    "he_uniform": [
        ({}, wide, entries(lambda fan: uniform(math.sqrt(6 / fan.fan_in)))),
        ({"mode": "fan_avg"}, wide, entries(lambda fan: uniform(math.sqrt(12 / (fan.fan_in + fan.fan_out))))),
    ],
    "lecun_normal": [
        ({}, wide, entries(lambda fan: stats.norm(0, 1 / math.sqrt(fan.fan_in)))),
        ({"truncated": True}, wide, entries(lambda fan: cut_normal(1 / math.sqrt(fan.fan_in)))),
    ],
    "lecun_uniform": [({}, wide, entries(lambda fan: uniform(math.sqrt(3 / fan.fan_in))))],
    "torch_default": [({}, wide, entries(lambda fan: uniform(1 / math.sqrt(fan.fan_in))))],
    # The entries of a semi-orthogonal matrix of 512 rows and 256 columns have variance 1/512.
    "orthogonal": [
        ({}, wide, entries(lambda fan: stats.norm(0, 1 / math.sqrt(fan.fan_out)))),
        ({"gain": 2.0}, wide, singular_values(2.0)),
    ],
    "delta_orthogonal": [({}, wide, singular_values(1.0))],
    "identity": [({}, wide, equals(np.eye)), ({"gain": 2.0}, wide, equals(lambda *shape: 2 * np.eye(*shape)))],
    "sparse": [
        ({}, wide, sparse_law),
        (
            {"sparsity": 0.75, "std": 1.0, "per": "unit"},
            wide,
            lambda model: sparse_law(model, sparsity=0.75, std=1.0, axis=1),
        ),
    ],
    "zero_hadamard": [({}, wide, equals(hadamard_law)), ({}, chain, equals(hadamard_law))],
    "mean_field": [
        ({}, wide, critical_tanh),
        ({"sigma_b": 0.0}, wide, entries(lambda fan: stats.norm(0, 1 / math.sqrt(fan.fan_in)))),
        ({"sigma_b": 0.0, "sigma_w": 1.4}, wide, entries(lambda fan: stats.norm(0, 1.4 / math.sqrt(fan.fan_in)))),
        ({}, chain, entries(lambda fan: stats.norm(0, math.sqrt(2 / fan.fan_in)))),
    ],
    "siren": [({}, chain, siren_law)],
    "lsuv": [({}, chain, unit_variance), ({"base": "xavier_uniform"}, chain, unit_variance)],
    "data_dependent": [({"balance": False}, chain, unit_channels), ({}, chain, balanced)],
    "autoinit": [({}, chain, autoinit_law)],
    "metainit": [({"steps": 1}, chain, lambda model: moved_by(model, lengths=True, step=0.1))],
    "gradinit": [({"steps": 1}, chain, lambda model: moved_by(model, lengths=False, step=0.01))],
    "fixup": [({}, Residual, fixup_law)],
    "keep": [({}, counted, equals(lambda out, entering: np.arange(out * entering).reshape(out, entering)))],
    "pretrained": [({"path": "FILE"}, wide, equals(lambda out, entering: np.full((out, entering), 0.5)))],
    **laws_more.LAWS,
    **laws_recurrent.LAWS,
    **laws_transformer.LAWS,
}
LAWS |= laws_mup.LAWS
CASES = [pytest.param(name, *case, id=f"{name}-{n}") for name, cases in LAWS.items() for n, case in enumerate(cases)]


def test_every_scheme_has_a_conf_and_a_law() -> None:
    # Those that other tests have registered in this process are not ours.
    schemes = {name: one for name, one in list_initializers().items() if one.function.__module__.startswith("initlab.")}
    aliases = {alias for scheme in schemes.values() for alias in scheme.aliases}
    assert set(schemes) == set(LAWS)
    assert set(schemes) | aliases == {path.stem for path in (CONF / "init").glob("*.yaml")}


@pytest.mark.parametrize("name", LAWS)
def test_the_conf_names_the_scheme_and_its_parameters(name: str) -> None:
    config = OmegaConf.load(CONF / "init" / f"{name}.yaml")
    scheme = find_scheme(name)
    assert isinstance(config, DictConfig)
    assert config.name == name
    assert set(config) - {"name"} == scheme.settable
    for key, default in scheme.defaults.items():
        assert config[key] == default
    assert scheme.source
    assert scheme.summary.endswith(".")


@pytest.mark.parametrize(("name", "parameters", "network", "holds"), CASES)
def test_weights_follow_the_published_law(
    name: str, parameters: dict[str, Any], network: Callable[[], nn.Module], holds: Holds, tmp_path: Path
) -> None:
    if parameters.get("path"):
        parameters = {"path": str(checkpoint_for(name, tmp_path))}
    model = network()
    fill(model, name, parameters, activation=activation_of(model))
    assert holds(model)
    for weight in weights_of(model):  # 5 % off is caught, in every single weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.mul_(1.05).add_(0.0 if kept.any() else 0.05)
        assert not holds(model)
        with torch.no_grad():
            weight.copy_(kept)


@pytest.mark.parametrize("name", LAWS)
def test_equal_seeds_give_equal_bits_and_nothing_else_is_touched(name: str, tmp_path: Path) -> None:
    """The random state, the modules' modes, and the buffers stay; only schemes without randomness ignore the seed."""
    own = {
        **{"fixup": Residual, "keep": counted, "pretrained": wide},
        **laws_more.NETWORKS,
        **laws_recurrent.NETWORKS,
        **laws_transformer.NETWORKS,
    }
    network = own.get(name, chain)
    parameters = dict(laws_more.OWN_PARAMETERS.get(name, {"path": "FILE"} if name == "pretrained" else {}))
    if "path" in parameters:
        parameters["path"] = str(checkpoint_for(name, tmp_path))
    if name in ("metainit", "gradinit", "chrono"):
        parameters["steps"] = 3
    if name == "mup":
        parameters["base_width"] = 4
    before = torch.random.get_rng_state()
    models = [network() for _ in range(3)]
    torch.random.set_rng_state(before)
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.eval()
        fill(model, name, parameters, seed=seed)
        assert not model.training
    first, second, other = (torch.cat([weight.flatten() for weight in weights_of(model)]) for model in models)
    assert torch.equal(first, second)
    same = name in ("zeros", "ones", "constant", "identity", "keep", "zero_hadamard", "pretrained", *laws_more.SEEDLESS)
    assert torch.equal(first, other) == same
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("shape", [(512, 256), (256, 512)])
def test_orthogonal_preserves_lengths(shape: tuple[int, int]) -> None:
    layer = nn.Linear(shape[1], shape[0]).double()
    fill(layer, "orthogonal", {"gain": 3.0})
    assert np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False) == pytest.approx(3.0)


def test_orthogonal_is_haar_distributed() -> None:
    """QR alone is not: without the sign of R's diagonal the trace of a Haar matrix, of variance 1, is far off."""
    traces = []
    for seed in range(400):
        layer = nn.Linear(8, 8).double()
        fill(layer, "orthogonal", seed=seed)
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
        fill(layer, scheme)
        assert float(torch.linalg.svdvals(layer.weight.detach()).mean()) == pytest.approx(expected, abs=2e-3)


def test_torch_default_is_what_torch_does() -> None:
    """The law of `nn.Linear.reset_parameters`: uniform with the same bounds, for weights and biases."""
    layer, ours = nn.Linear(256, 2048), nn.Linear(256, 2048)
    initialize_model(ours, InitSpec("torch_default"), Surroundings(Activation("relu")), seed=0)
    for mine, torchs in ((ours.weight, layer.weight), (ours.bias, layer.bias)):
        drawn, reference = (parameter.detach().flatten() for parameter in (mine, torchs))
        assert stats.kstest(drawn, reference).pvalue > 1e-4
        assert float(drawn.abs().max()) == pytest.approx(float(reference.abs().max()), rel=0.01)


def test_torch_default_lets_deep_relu_nets_forget_their_input() -> None:
    """The rms of the pre-activations goes to sqrt(.4/n): the biases' share, and what of it survives."""
    width, depth = 512, 30
    layers = [nn.Linear(width, width) for _ in range(depth)]
    for position, layer in enumerate(layers):
        fill(layer, "torch_default", seed=position)
    signal = torch.randn(256, width, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in layers:
            pre_activation = layer(signal)
            signal = pre_activation.relu()
    expected = math.sqrt(0.4 / width)
    assert float(pre_activation.square().mean().sqrt()) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("gain", "after"), [(1.0, 1.0), (0.75, 0.0852)])
def test_selu_normalizes_itself_only_at_gain_one(gain: float, after: float) -> None:
    """From (0, 1), eight layers with LeCun's variance stay there; with torch's gain 3/4 q falls to .0852."""
    width, moments = 1000, []
    for repetition in range(6):
        signal = torch.randn(200, width, generator=torch.Generator().manual_seed(repetition))
        with torch.no_grad():
            for position in range(8):
                layer = nn.Linear(width, width)
                fill(layer, "lecun_normal", {"gain": gain}, seed=100 * repetition + position)
                pre_activation = layer(signal)
                signal = nn.functional.selu(pre_activation)
        moments.append(float(pre_activation.square().mean()))
    error = float(np.std(moments, ddof=1)) / math.sqrt(len(moments))
    assert abs(float(np.mean(moments)) - after) < max(4 * error, 0.02 * after)
    assert error < 0.05 * after
