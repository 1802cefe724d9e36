"""What a probe means, in plain words."""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from initlab.base.wording import counted
from initlab.propagation.recurrence import LARGE, OverTime
from initlab.theory.mean_field import DEPTH_SCALES

Outlook = Literal["trainable", "hard to train", "not trainable"]

STEADY: Final = 1.02  # a factor a layer up to which a size counts as kept
LOST: Final = 1e-6  # the share of a mean square of which nothing much is left
ALIKE: Final = 0.99  # a correlation from which on two inputs look the same
MANY: Final = 0.5  # a share of units, of numbers or of networks from which on it speaks for all
NOTABLE: Final = 100.0  # a factor over all layers from which on a signal has grown or shrunk


@dataclass(frozen=True)
class Verdict:
    """Whether a network can be trained from where it starts, and why.

    Attributes:
        outlook: `trainable`, `hard to train` or `not trainable`.
        reason: What speaks for it in the signal table, without a full stop.
    """

    outlook: Outlook
    reason: str

    def __str__(self) -> str:
        return f"{self.outlook}: {self.reason}"


def judge(signal: pd.DataFrame, lags: pd.DataFrame | None = None) -> Verdict:
    """Say from a signal table whether the networks can be trained.

    A layer that acts on a state counts once, whatever the number of steps: its gradient is that of all steps together.
    Sizes are mean squares; over members their geometric mean counts, of those that are not zero. The size of a
    gradient is taken over a whole row, so that layers of different widths compare. An embedding counts where it is
    asked whether a gradient arrives, but speaks against nothing where sizes are compared: its vectors are looked up and
    multiply nothing, so that small ones, before a norm, get large gradients, and train as well as others.

    A gradient that vanishes or explodes over time makes a network hard to train, never untrainable: what it has read
    last is learned all the same.

    Example:
        >>> import torch, initlab
        >>> from initlab.propagation.verdict import judge
        >>> layers = [m for _ in range(20) for m in (torch.nn.Linear(100, 100), torch.nn.Tanh())]
        >>> batch = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
        >>> table = initlab.probe_model(torch.nn.Sequential(*layers), batch, seed=0, scheme="zeros")
        >>> print(judge(table))
        not trainable: no weight gets any gradient, so that none of them ever moves

    Args:
        signal: One row a member and layer, with the columns of `tables.schema.SIGNAL`; of one job, before any training.
            `signal.attrs["recurrent"]` names the layers that act on a state, `signal.attrs["gated"]` those of gates,
            `signal.attrs["looked_up"]` embeddings, if there are any.
        lags: Its gradients against time, with the columns of `tables.schema.LAGS`; None: they are not known.
    """
    signal = _steps_as_one(signal)
    layers = _over_members(signal)
    hidden = layers.iloc[:-1] if len(layers) > 1 else layers
    names = list(layers["layer"])
    for column, word in {"pre_second_moment": "signal", "gradient_second_moment": "gradient"}.items():
        broken = ~np.isfinite(signal[column].to_numpy(np.float64))
        if broken.any():
            first = signal[broken].sort_values("position").iloc[0]["layer"]
            where = f" from {first} on" if word == "signal" else ""
            return Verdict("not trainable", f"the {word} is no finite number{where}{_share(signal, broken)}")
    if not (layers["weight_gradient_norm"] > 0).any():
        return Verdict("not trainable", "no weight gets any gradient, so that none of them ever moves")
    if (hidden["distinct_units"] == 1).all() and (hidden["units"] > 1).all():
        return Verdict(
            "not trainable", "all units of a layer are equal and stay equal: each layer is worth a single unit"
        )
    gradient = layers["gradient"].to_numpy(np.float64)
    if not gradient[0] > 0:
        gate = int((gradient > 0).argmax())
        if layers["weight_norm"].iloc[gate] == 0 and layers["weight_gradient_norm"].iloc[gate] > 0:
            return Verdict(
                "trainable", f"{names[gate]} starts at zero and moves first; the gradient gets past it once it has"
            )
        return Verdict("not trainable", f"no gradient gets past {names[gate]} on its way back to the input")
    return _judge_sizes(signal, hidden[hidden["gradient"] > 0], _over_time(layers, lags))


def unevenness(signal: pd.DataFrame) -> float:
    """By how much signal and gradient differ between the first and the last hidden layer, as a sum of logarithms.

    Args:
        signal: Signal table of one job before any training, as for `judge`.

    Returns:
        0 where both keep their mean squares; infinite where one gets lost.
    """
    signal = _steps_as_one(signal)
    layers = _over_members(signal)
    hidden = layers.iloc[:-1] if len(layers) > 1 else layers
    gradient, size = _chain(hidden, signal)["gradient"], _multiplied(hidden, signal)["pre_second_moment"]
    return _change(gradient) + _change(size)


def _change(sizes: pd.Series) -> float:
    """The logarithm of the factor between the ends, without its sign; infinite where one is lost."""
    ends = sizes.iloc[[0, -1]].to_numpy(np.float64)
    return float(abs(np.log(ends[0] / ends[1]))) if (np.isfinite(ends) & (ends > 0)).all() else math.inf


def _steps_as_one(signal: pd.DataFrame) -> pd.DataFrame:
    """A signal table in which each layer that acts on a state has one row a member, at the place of its first step.

    The gradient's mean squares are summed over the steps, as they are for a layer that sees all steps at once; of all
    else the mean counts. A number that one step lacks is lacking. Of gates it is not asked whether they are alike for
    different inputs, or flat: biases that hold them open or shut do that, and are meant to.
    """
    names = signal["layer"].str.partition("#")[0]
    stepwise = names.isin(signal.attrs.get("recurrent", ()))
    if not stepwise.any():
        return signal

    def together(column: pd.Series) -> Any:
        if column.name == "position":
            return column.min()
        if not pd.api.types.is_numeric_dtype(column):
            return column.iloc[0]
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        return numbers.sum() if column.name == "gradient_second_moment" else numbers.mean()

    steps = signal[stepwise].assign(layer=names[stepwise])
    folded = pd.DataFrame(
        [{name: together(part[name]) for name in signal} for _, part in steps.groupby(["member", "layer"], sort=False)]
    )
    whole = pd.concat([signal[~stepwise], folded], ignore_index=True).sort_values(["member", "position"])
    whole.attrs = signal.attrs
    gated = whole["layer"].isin(signal.attrs.get("gated", ()))
    return whole.assign(**{name: whole[name].astype(float).mask(gated) for name in ("correlation", "saturated")})


def _multiplied(hidden: pd.DataFrame, signal: pd.DataFrame) -> pd.DataFrame:
    """The layers that multiply what they get, unless all are embeddings."""
    looked_up = hidden["layer"].str.partition("#")[0].isin(signal.attrs.get("looked_up", ()))
    return hidden if looked_up.all() else hidden[~looked_up]


def _chain(hidden: pd.DataFrame, signal: pd.DataFrame) -> pd.DataFrame:
    """The layers along which the gradient is followed, from where it arrives.

    Behind an embedding it arrives by the skips, and in the first layer that multiplies. A norm makes the gradient of
    small embeddings large, and that of a branch is small where the branch is: the one that differs less counts.
    """
    multiplied = _multiplied(hidden, signal)
    before = hidden[hidden["position"] < multiplied["position"].iloc[0]]
    by_skips = pd.concat([before.tail(1), multiplied])
    return multiplied if _change(multiplied["gradient"]) <= _change(by_skips["gradient"]) else by_skips


def _over_time(layers: pd.DataFrame, lags: pd.DataFrame | None) -> str:
    """What speaks against a network in its gradients against time; empty if nothing does.

    Of several recurrent weights the worst is told. One that starts at zero passes nothing on until it has moved, as it
    does in the first step.
    """
    if lags is None or lags.empty:
        return ""
    closed = set(layers.loc[layers["weight_norm"] == 0, "layer"])
    found = {
        str(name): OverTime.of(table)
        for name, table in lags.groupby("weight", sort=False)
        if str(name).rpartition(".")[0] not in closed
    }
    badness = {name: math.inf if one.factor == 0 else abs(math.log(one.factor)) for name, one in found.items()}
    worst = max(badness, key=lambda name: badness[name], default=None)
    if worst is None or badness[worst] <= math.log(LARGE):
        return ""
    one, where = found[worst], f" by the state of {worst.rpartition('.')[0]}" if len(found) > 1 else ""
    lost = f", so that what is more than {counted(one.reach, 'step')} back hardly counts" if one.factor < 1 else ""
    return f"over time{where} {one}{lost if one.arrives else ''}"


def _judge_sizes(signal: pd.DataFrame, hidden: pd.DataFrame, over_time: str) -> Verdict:
    """The same where a gradient reaches the input, from the hidden layers that get one."""
    chain = _chain(hidden, signal)
    gradient = chain["gradient"].to_numpy(np.float64)
    size = _multiplied(hidden, signal)["pre_second_moment"].to_numpy(np.float64)
    steps = max(len(chain) - 1, 1)
    outlook: Outlook = "trainable"
    reasons: list[str] = []
    total = float(gradient[0] / gradient[-1])  # on its way back, from the last hidden layer to the first
    rate = total ** (1 / steps)
    if max(rate, 1 / rate) > STEADY:
        reasons.append(f"the gradient {'shrinks' if rate < 1 else 'grows'} {_factor(rate)} a layer on its way back")
        reach = DEPTH_SCALES / abs(math.log(rate))
        if steps > reach:
            outlook = "not trainable" if max(total, 1 / total) > 1 / LOST else "hard to train"
            first = "the first layer" if chain["position"].iloc[0] == 1 else chain["layer"].iloc[0]
            reasons.append(f"{first} gets {total:.1g} of it; expected trainable depth ≈ {reach:.0f}")
    elif len(chain) > 1:
        reasons.append("the gradient keeps its size")
    swell = float(size[-1] / size[0]) if size[0] > 0 and size[-1] > 0 else 1.0
    growth = swell ** (1 / steps)
    if max(swell, 1 / swell) > NOTABLE:
        reasons.append(f"the signal {'shrinks' if swell < 1 else 'grows'} {_factor(growth)} a layer")
    elif max(growth, 1 / growth) <= STEADY:
        reasons.append("the signal keeps its size")
    doubts = _doubts(signal, hidden)
    if _without_start(signal) > MANY:
        outlook = "not trainable"
    if outlook == "trainable" and (doubts or over_time or max(swell, 1 / swell) > 1 / LOST):
        outlook = "hard to train"
    sentence = ", ".join([*reasons, *doubts]) or "signal and gradient arrive"
    sizes = f"{sentence} (mean squares)" if "×" in sentence else sentence
    return Verdict(outlook, f"{sizes}; {over_time}" if over_time else sizes)


def _doubts(signal: pd.DataFrame, hidden: pd.DataFrame) -> list[str]:
    """What speaks against a network whose gradient arrives."""
    doubts = []
    alike = hidden["correlation"].to_numpy(np.float64) > ALIKE
    if alike[-1]:
        first = len(alike) - int((~alike[::-1]).argmax()) if not alike.all() else 0
        doubts.append(f"from {hidden['layer'].iloc[first]} on different inputs look the same")
    dead = float(hidden["dead"].max())
    if dead > MANY:
        doubts.append(f"up to {dead:.0%} of a layer's units are dead on this batch")
    saturated = float(hidden["saturated"].max())
    if saturated > MANY:
        doubts.append(f"saturated: up to {saturated:.0%} of what enters an activation lies where it is flat")
    start = _start(signal)
    if start.any():
        doubts.append(f"no gradient reaches the first layer{_share(signal, start)}")
    return doubts


def _start(signal: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are first layers that no gradient reaches."""
    start = (signal["position"] == 1) & ~(signal["gradient_second_moment"] > 0)
    return start.to_numpy(np.bool_)


def _without_start(signal: pd.DataFrame) -> float:
    """The share of networks whose first layer no gradient reaches."""
    return float(signal[_start(signal)]["member"].nunique() / signal["member"].nunique())


def _share(signal: pd.DataFrame, rows: NDArray[np.bool_]) -> str:
    """In how many of the networks some rows are; empty if in all."""
    some, every = signal[rows]["member"].nunique(), signal["member"].nunique()
    return "" if some == every else f" in {some} of {every} networks"


def _factor(rate: float) -> str:
    """A factor above 1, for what grows or shrinks."""
    larger = max(rate, 1 / rate)
    return f"{larger:.3g} ×" if larger < 100 else f"{larger:.0g} ×"


def _over_members(signal: pd.DataFrame) -> pd.DataFrame:
    """One row a layer: geometric means of sizes that are not zero, means of the rest."""
    frame = signal.assign(gradient=signal["gradient_second_moment"] * signal["entries"])
    sizes = ["pre_second_moment", "gradient"]
    positive = frame[sizes].astype(float)
    frame[sizes] = np.log(positive.where(positive > 0))
    frame["saturated"] = frame["saturated"].astype(float)  # nothing but nulls where all are rectifiers
    numbers = ["weight_gradient_norm", "weight_norm", "distinct_units", "units", "correlation", "dead", "saturated"]
    means = pd.DataFrame(frame.groupby(["position", "layer"], sort=True)[[*sizes, *numbers]].mean())
    for size in sizes:
        means[size] = np.exp(means[size].to_numpy(np.float64, na_value=-np.inf))
    return means.reset_index()
