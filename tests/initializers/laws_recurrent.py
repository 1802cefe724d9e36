"""Laws of the schemes for recurrent cells: rows for `LAWS` of `test_laws.py`."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy import stats
from torch import nn

from initlab.activations import Activation
from initlab.models.recurrent import GRU, LSTM, RNN

Array = np.ndarray[Any, Any]
STEPS = 50


def plain() -> nn.Module:
    """A plain cell and an output, in float64."""
    return RNN((STEPS, 64), 64, Activation("relu"), width=256).double()


def lstm() -> nn.Module:
    """An LSTM cell and an output, in float64."""
    return LSTM((STEPS, 64), 64, width=256).double()


def gru() -> nn.Module:
    """A GRU cell and an output, in float64."""
    return GRU((STEPS, 64), 64, width=256).double()


def torchs_lstm() -> nn.Module:
    """torch's own, with an output, in float64."""
    return nn.Sequential(nn.LSTM(64, 256), nn.Linear(256, 64)).double()


def gates_of(model: nn.Module, gates: str) -> Iterator[tuple[str, Array, Array, Array, Array]]:
    """Of each gate its letter, and of input and state the weight and the bias, by torch's order of rows."""
    values = [value.detach().numpy() for value in model.parameters()]
    if isinstance(model, nn.Sequential):  # torch's: both weights, then both biases
        values[1], values[2] = values[2], values[1]
    parts = [np.split(value, len(gates)) for value in values[:4]]
    for number, gate in enumerate(gates):
        entering, entering_bias, recurrent, recurrent_bias = (part[number] for part in parts)
        yield gate, entering, recurrent, entering_bias, recurrent_bias


def follows(values: Array, law: Any) -> bool:
    """Whether numbers follow a distribution, in shape and in scale."""
    entries = values.flatten()
    fits = stats.kstest(entries, law.cdf).pvalue > 1e-4
    return bool(fits and abs(entries.std() / law.std() - 1) < 4 / math.sqrt(len(entries)))


def glorot(weight: Array, *, out: int, entering: int) -> bool:
    """Xavier's uniform law of one map."""
    bound = math.sqrt(6 / (out + entering))
    return follows(weight, stats.uniform(-bound, 2 * bound))


def irnn_law(model: nn.Module, *, scale: float = 1.0, std: float = 0.001) -> bool:
    """The identity, N(0, std²), and no bias."""
    entering, entering_bias, recurrent, recurrent_bias, output, output_bias = (
        value.detach().numpy() for value in model.parameters()
    )
    normal = all(follows(weight, stats.norm(0, std)) for weight in (entering, output))
    still = not any(bias.any() for bias in (entering_bias, recurrent_bias, output_bias))
    return normal and still and np.array_equal(recurrent, scale * np.eye(len(recurrent)))


def keeps_a_state(model: nn.Module) -> bool:
    """Without input a state that is not negative stays as it is, by the cell in numpy."""
    _, _, recurrent, bias, *_ = (value.detach().numpy() for value in model.parameters())
    state = np.abs(np.random.default_rng(0).standard_normal(len(bias)))
    after = state
    for _ in range(STEPS):
        after = np.maximum(recurrent @ after + bias, 0)
    return np.array_equal(after, state) and irnn_law(model)


def forget_law(model: nn.Module, *, value: float = 1.0) -> bool:
    """Each gate's maps as xavier has them; the sum of both biases is the value for f, and else 0."""
    for gate, entering, recurrent, one, other in gates_of(model, "ifgo"):
        if not (glorot(entering, out=256, entering=64) and glorot(recurrent, out=256, entering=256)):
            return False
        if not np.allclose(one + other, value if gate == "f" else 0.0, atol=1e-12):
            return False
    return output_law(model)


def output_law(model: nn.Module) -> bool:
    """The output layer is as xavier has it."""
    *_, weight, bias = (value.detach().numpy() for value in model.parameters())
    return glorot(weight, out=64, entering=256) and not bias.any()


def chrono_law(model: nn.Module, *, gates: str, steps: int) -> bool:
    """Forgetting times 1/(1 − σ) are uniform in [2, T], so that retention is in [1/2, (T−1)/T]; b_i = −b_f."""
    biases = {}
    for gate, entering, recurrent, one, other in gates_of(model, gates):
        if not (glorot(entering, out=256, entering=64) and glorot(recurrent, out=256, entering=256)):
            return False
        biases[gate] = one + other
    keep = biases.pop("z" if "z" in biases else "f")
    if "i" in biases:
        biases["i"] = biases["i"] + keep
    kept = 1 / (1 + np.exp(-keep))
    times = stats.kstest(1 / (1 - kept), stats.uniform(2, steps - 2).cdf).pvalue > 1e-4
    between = kept.min() >= 0.5 and kept.max() <= (steps - 1) / steps
    return bool(times and between and not any(bias.any() for bias in biases.values())) and output_law(model)


LAWS: dict[str, list[tuple[dict[str, Any], Callable[[], nn.Module], Callable[[nn.Module], bool]]]] = {
    "irnn": [
        ({}, plain, keeps_a_state),
        ({"scale": 0.5, "std": 0.1}, plain, lambda model: irnn_law(model, scale=0.5, std=0.1)),
    ],
    "forget_bias": [
        ({}, lstm, forget_law),
        ({"value": 2.5}, torchs_lstm, lambda model: forget_law(model, value=2.5)),
    ],
    "chrono": [
        ({"steps": STEPS}, lstm, lambda model: chrono_law(model, gates="ifgo", steps=STEPS)),
        ({"steps": 9}, gru, lambda model: chrono_law(model, gates="rzn", steps=9)),
        ({"steps": 9}, torchs_lstm, lambda model: chrono_law(model, gates="ifgo", steps=9)),
    ],
}
# A network for each, where any will do.
NETWORKS: Mapping[str, Callable[[], nn.Module]] = {"irnn": plain, "forget_bias": lstm, "chrono": gru}
