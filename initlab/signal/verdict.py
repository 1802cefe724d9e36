"""What a probe means, in plain words."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

Outlook = Literal["trainable", "hard to train", "not trainable"]

STEADY: Final = 1.02  # a factor a layer up to which a size counts as kept
LOST: Final = 1e-6  # the share of a mean square of which nothing much is left
DEPTH_SCALES: Final = 6  # how many of its depth scales a network may be deep (Schoenholz et al. 2017, section 5)
ALIKE: Final = 0.99  # a correlation from which on two inputs look the same
MANY: Final = 0.5


@dataclass(frozen=True)
class Verdict:
    """Whether a network can be trained from where it starts, and why."""

    outlook: Outlook
    reason: str

    def __str__(self) -> str:
        return f"{self.outlook}: {self.reason}"


def judge(signal: pd.DataFrame) -> Verdict:
    """Read one scheme's signal table: of one job, before any training.

    Sizes are geometric means over members, mean squares throughout. "A layer" is one layer of the table.
    """
    layers = _over_members(signal)
    hidden = layers.iloc[:-1] if len(layers) > 1 else layers
    names = list(layers["layer"])
    gradient, size = (hidden[name].to_numpy(np.float64) for name in ("gradient_second_moment", "pre_second_moment"))
    broken = ~np.isfinite(layers["pre_second_moment"].to_numpy(np.float64))
    if broken.any():
        return Verdict("not trainable", f"the signal is no finite number from {names[int(broken.argmax())]} on")
    if not np.isfinite(layers["gradient_second_moment"]).all():
        return Verdict("not trainable", "the gradient is no finite number")
    if not (layers["weight_gradient_norm"] > 0).any():
        return Verdict("not trainable", "no weight gets any gradient, so that none of them ever moves")
    if (hidden["distinct_units"] == 1).all() and (hidden["units"] > 1).all():
        return Verdict(
            "not trainable", "all units of a layer are equal and stay equal: each layer is worth a single unit"
        )
    if gradient[0] == 0:
        reached = names[int((gradient > 0).argmax())] if (gradient > 0).any() else names[-1]
        return Verdict("not trainable", f"no gradient gets past {reached} on its way back to the input")
    return _judge_sizes(hidden, gradient, size)


def _judge_sizes(hidden: pd.DataFrame, gradient: np.ndarray, size: np.ndarray) -> Verdict:
    steps = max(len(hidden) - 1, 1)
    reasons: list[str] = []
    outlook: Outlook = "trainable"
    # On its way back, from the last hidden layer to the first.
    total = float(gradient[0] / gradient[-1])
    rate = total ** (1 / steps)
    if max(rate, 1 / rate) > STEADY and len(hidden) > 1:
        scale = 1 / abs(math.log(rate))
        reach = DEPTH_SCALES * scale
        word = "shrinks" if rate < 1 else "grows"
        reasons.append(f"the gradient {word} {_factor(rate)} a layer on its way back")
        if steps > reach:
            outlook = "not trainable" if max(total, 1 / total) > 1 / LOST else "hard to train"
            left = (
                f"{total:.1g} of it reaches the first layer"
                if rate < 1
                else f"the first layer gets {total:.1g} times it"
            )
            reasons.append(f"{left}; expected trainable depth ≈ {reach:.0f}")
    elif len(hidden) > 1:
        reasons.append("the gradient keeps its size")
    swell = float(size[-1] / size[0]) if size[0] > 0 else math.nan
    growth = swell ** (1 / steps) if swell > 0 else math.nan
    if max(swell, 1 / swell if swell else math.inf) > 100:
        reasons.append(f"the signal {'shrinks' if swell < 1 else 'grows'} {_factor(growth)} a layer")
        if max(swell, 1 / swell) > 1 / LOST and outlook == "trainable":
            outlook = "hard to train"
    elif max(growth, 1 / growth) <= STEADY:
        reasons.append("the signal keeps its size")
    alike = hidden["correlation"].to_numpy(np.float64) > ALIKE
    if alike.any():
        reasons.append(f"from {hidden['layer'].iloc[int(alike.argmax())]} on different inputs look the same")
        if outlook == "trainable":
            outlook = "hard to train"
    dead = float(hidden["dead"].max())
    if dead > MANY:
        reasons.append(f"up to {dead:.0%} of a layer's units are dead on this batch")
        outlook = "hard to train" if outlook == "trainable" else outlook
    return Verdict(outlook, ", ".join(reasons) or "signal and gradient arrive")


def _factor(rate: float) -> str:
    """A factor above 1, for what grows or shrinks."""
    larger = max(rate, 1 / rate)
    return f"{larger:.3g} ×" if larger < 100 else f"{larger:.0g} ×"


def _over_members(signal: pd.DataFrame) -> pd.DataFrame:
    """One row a layer: geometric means of sizes, means of the rest."""
    frame = signal.copy()
    sizes = ["pre_second_moment", "gradient_second_moment"]
    with np.errstate(divide="ignore", invalid="ignore"):
        frame[sizes] = np.log(frame[sizes].astype(float))
    numbers = [*sizes, "weight_gradient_norm", "distinct_units", "units", "correlation", "dead"]
    groups = frame.groupby(["position", "layer"], sort=True)[numbers]
    means = pd.DataFrame(groups.sum(min_count=1)).div(groups.size(), axis=0)
    means[sizes] = np.exp(means[sizes])
    return means.reset_index()
