"""Laws of further schemes, in the form of those in `test_laws.py`."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, special, stats
from torch import nn

from initlab.activations import Activation
from tests.initializers.networks import batch_for, chain, weights_of

Array = np.ndarray[Any, Any]
Holds = Callable[[nn.Module], bool]
SEEDLESS = {"sinusoidal", "weight_selection"}  # whose weights no seed changes
OWN_PARAMETERS: dict[str, dict[str, Any]] = {
    "weight_selection": {"path": "FILE"},
    "output_prior": {"shares": [float(share) for share in range(1, 65)]},
    "dropout_adjusted": {"p": 0.5},
}


def wide() -> nn.Module:
    """One layer of 512 × 256 in float64."""
    return nn.Linear(256, 512).double()


def narrowing() -> nn.Module:
    """One layer of 128 × 512 in float64."""
    return nn.Linear(512, 128).double()


def bounded() -> nn.Module:
    """As `chain`, with tanh."""
    return chain("tanh")


def mirrored(activation: str = "relu") -> nn.Module:
    """A chain with half as many inputs and outputs as hidden units."""
    layers = [nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 64)]
    module = Activation(activation).module
    return nn.Sequential(layers[0], module(), layers[1], module(), layers[2]).double()


def dropping() -> nn.Module:
    """Dropout of one half behind the first activation, and none behind the second."""
    return nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 64)
    ).double()


class Upsampling(nn.Module):
    """A convolution before a pixel shuffle by 2, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(64, 64)
        self.convolution = nn.Conv2d(32, 128, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.double()


def arrays(model: nn.Module) -> list[Array]:
    return [weight.detach().numpy() for weight in weights_of(model)]


def follows(weight: Array, law: Any) -> bool:
    """Whether the entries of a weight follow a distribution, in shape and in scale."""
    entries = weight.flatten()
    return bool(stats.kstest(entries, law.cdf).pvalue > 1e-4 and abs(entries.std() / law.std() - 1) < 0.02)


def exact_walking_gain(width: int, *, rectified: bool) -> float:
    """The gain without drift, from the mean of ln χ² over the binomial number of units that are on."""
    counts = np.arange(1, width + 1)
    chances = stats.binom(width, 0.5).pmf(counts) if rectified else (counts == width).astype(float)
    mean = (chances * (special.digamma(counts / 2) + math.log(2))).sum() / chances.sum()
    return math.exp((math.log(width) - mean) / 2)


def walks(model: nn.Module) -> bool:
    return all(
        follows(w, stats.norm(0, exact_walking_gain(w.shape[1], rectified=True) / math.sqrt(w.shape[1])))
        for w in arrays(model)
    )


def asymmetric(model: nn.Module) -> bool:
    """One entry of each unit, its bias among them, is of Beta(2, 1), mostly the largest; the rest is normal."""
    for layer in (layer for layer in model.modules() if isinstance(layer, nn.Linear)):
        entries = np.hstack([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]])
        # σ²/2 + E[u]·sqrt(2/π)·σ + E[u²] = 1, solved by numpy.
        moments = stats.beta(2, 1)
        std = float(np.roots([0.5, moments.mean() * math.sqrt(2 / math.pi), moments.moment(2) - 1]).max())
        rest = np.sort(entries, axis=1)[:, :-1].flatten() * math.sqrt(layer.in_features)
        inner = rest[np.abs(rest) < std]  # as few of Beta(2, 1) are there
        core = stats.truncnorm(-1, 1, scale=std)
        if stats.kstest(inner[:4000], core.cdf).pvalue < 1e-4 or abs(rest.std() / std - 1) > 0.03:
            return False
        largest = entries.max(axis=1)
        if abs((largest > 0.6).mean() - (1 - 0.36)) > 5 * math.sqrt(0.36 * 0.64 / len(largest)):
            return False
    return True


def linear_isometry(model: nn.Module, *, gain: float = 1.0) -> bool:
    """The network is one linear map, whose singular values are all the layers' gain, multiplied."""
    zero = torch.zeros(1, 64, dtype=torch.float64)
    with torch.no_grad():
        matrix = (model(torch.eye(64, dtype=torch.float64)) - model(zero)).T.numpy()
        rows = batch_for(model).inputs
        linear = torch.allclose(model(rows), rows @ torch.from_numpy(matrix).T, atol=1e-12)
    return linear and np.allclose(np.linalg.svd(matrix, compute_uv=False), gain**3, rtol=1e-9)


def nearest_neighbours(model: nn.Module) -> bool:
    assert isinstance(model, Upsampling)
    start = follows(arrays(model)[0], stats.norm(0, math.sqrt(2 / 64)))
    images = torch.randn(2, 32, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        up = model.shuffle(model.convolution(images))
    small = F.interpolate(up[..., ::2, ::2], scale_factor=2, mode="nearest")
    distinct = model.convolution.weight.detach().numpy()[::4]
    return start and torch.equal(up, small) and follows(distinct, stats.norm(0, math.sqrt(2 / (32 * 9))))


def spread(model: nn.Module) -> bool:
    """Units of one length in directions of uniform numbers, whose kurtosis is 9/5, and uniform biases."""
    for layer in (layer for layer in model.modules() if isinstance(layer, nn.Linear)):
        weight, biases = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        length = 0.7 * math.exp(math.log(layer.out_features) / layer.in_features)
        lengths = np.sqrt(np.einsum("ij,ij->i", weight, weight))
        if not np.allclose(lengths, length) or abs(stats.kurtosis(weight.flatten(), fisher=False) - 1.8) > 0.05:
            return False
        if stats.kstest(biases, stats.uniform(-length, 2 * length).cdf).pvalue < 1e-4:
            return False
    return True


@functools.cache
def second_moment_by_quad(name: str, sigma: float) -> float:
    functions: dict[str, Callable[[float], float]] = {"tanh": math.tanh, "relu": lambda z: max(z, 0.0)}
    function = functions[name]
    return float(integrate.quad(lambda z: function(sigma * z) ** 2 * stats.norm.pdf(z), -12, 12, points=[0])[0])


def variance_informed(model: nn.Module, *, sigma: float, normal: bool = False, input_rms: float = 1.0) -> bool:
    name = "tanh" if any(isinstance(module, nn.Tanh) for module in model.modules()) else "relu"
    for place, weight in enumerate(arrays(model)):
        moment = second_moment_by_quad(name, sigma) if place else input_rms**2
        std = sigma / math.sqrt(weight.shape[1] * moment)
        bound = math.sqrt(3) * std
        if not follows(weight, stats.norm(0, std) if normal else stats.uniform(-bound, 2 * bound)):
            return False
    return True


def sines(model: nn.Module) -> bool:
    """By powers of roots of unity."""
    for weight in arrays(model):
        out, entering = weight.shape
        steps = np.exp(2j * np.pi * (np.arange(entering) / entering + 1 / out))
        waves = np.cumprod(np.tile(steps, (out, 1)), axis=0).imag
        if not np.allclose(weight, waves * math.sqrt(2 / (out + entering) / waves.var(ddof=1)), atol=1e-9):
            return False
    return True


def behind_dropout(model: nn.Module, *, kept: tuple[float, ...]) -> bool:
    """While it trains, each pre-activation has the mean square that He's weights give without dropout."""
    return all(
        follows(weight, stats.norm(0, math.sqrt(2 * share / weight.shape[1])))
        for weight, share in zip(arrays(model), kept, strict=True)
    )


def condition_one(model: nn.Module) -> bool:
    """The spectral norm is of the order of sqrt(out/in): 1 + sqrt(smaller/larger) times it, by random matrix theory."""
    for weight in arrays(model):
        out, entering = weight.shape
        factor = np.linalg.norm(weight, 2) / math.sqrt(out / entering)
        if abs(factor / (1 + math.sqrt(min(out, entering) / max(out, entering))) - 1) > 0.03:
            return False
        if not follows(weight, stats.norm(0, math.sqrt(min(out, entering)) / entering)):
            return False
    return True


def knows_the_shares(model: nn.Module, *, zero: bool = True) -> bool:
    """The first loss on rows with these shares is their entropy, and the other layers are He's."""
    *hidden, output = arrays(model)
    shares = np.arange(1, 65) / np.arange(1, 65).sum()
    labels = torch.arange(64).repeat_interleave(torch.arange(1, 65))
    rows = torch.randn(len(labels), 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    he = all(follows(weight, stats.norm(0, math.sqrt(2 / weight.shape[1]))) for weight in hidden)
    if not zero:
        return he and follows(output, stats.norm(0, math.sqrt(2 / output.shape[1])))
    with torch.no_grad():
        loss = float(F.cross_entropy(model(rows), labels))
    return he and not output.any() and abs(loss - stats.entropy(shares)) < 1e-9


def larger(folder: Path) -> Path:
    """A state dict of `wide`, but of three times as many inputs and five halves as many outputs."""
    weight = torch.arange(1280.0).double().view(-1, 1) + torch.arange(768.0).double() / 1000
    torch.save({"weight": weight, "bias": torch.arange(1280.0).double()}, folder / "larger.pt")
    return folder / "larger.pt"


def evenly_selected(model: nn.Module) -> bool:
    """Every third column, and rows as evenly spaced as whole numbers allow, from the first to the last."""
    (weight,) = arrays(model)
    rows = np.rint(np.arange(512) * 1279 / 511)
    return np.allclose(weight, rows[:, None] + 3 * np.arange(256) / 1000, rtol=1e-12)


LAWS: dict[str, list[tuple[dict[str, Any], Callable[[], nn.Module], Holds]]] = {
    "random_walk": [({}, chain, walks)],
    "rai": [({}, chain, asymmetric)],
    "looks_linear": [
        ({}, mirrored, linear_isometry),
        ({"gain": 2.0}, lambda: mirrored("gelu"), functools.partial(linear_isometry, gain=2.0)),
        ({}, lambda: mirrored("leaky_relu"), linear_isometry),
    ],
    "icnr": [({}, Upsampling, nearest_neighbours)],
    "nguyen_widrow": [({}, wide, spread), ({}, bounded, spread)],
    "vi3nr": [
        ({}, chain, functools.partial(variance_informed, sigma=1.0)),
        ({"sigma_p": 2.0}, bounded, functools.partial(variance_informed, sigma=2.0)),
        (
            {"sigma_p": 0.5, "distribution": "normal", "input_rms": 3.0},
            bounded,
            functools.partial(variance_informed, sigma=0.5, normal=True, input_rms=3.0),
        ),
    ],
    "sinusoidal": [({}, wide, sines), ({}, chain, sines)],
    "dropout_adjusted": [
        ({}, dropping, functools.partial(behind_dropout, kept=(1.0, 0.5, 1.0))),
        ({"p": 0.2}, chain, functools.partial(behind_dropout, kept=(1.0, 0.8, 0.8))),
    ],
    "spectral": [({}, wide, condition_one), ({}, narrowing, condition_one)],
    "output_prior": [
        (OWN_PARAMETERS["output_prior"], chain, knows_the_shares),
        (
            {**OWN_PARAMETERS["output_prior"], "weights": "base"},
            chain,
            functools.partial(knows_the_shares, zero=False),
        ),
    ],
    "weight_selection": [({"path": "FILE"}, wide, evenly_selected)],
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {"icnr": Upsampling, "weight_selection": wide, "looks_linear": mirrored}
