"""What the playground of the documentation knows of theory: tables of moments, and the scales of schemes.

`docs/playground.html` is one page without a server, so that it cannot call `initlab.theory`. It interpolates in the
tables that are written here, and solves the same maps. All numbers are whole millionths, which keeps the page small:

- `square` and `slope`: log₁₀ E[φ²] and log₁₀ E[φ'²] at the variances of `SQUARE_EXPONENTS`;
- `alike` and `slopes_alike`: E[φ(u₁) φ(u₂)]/E[φ²], and the same of φ', a row for each variance of `PAIR_EXPONENTS`
  and a column for each place t of `PLACES`, with the correlation cos(t²·π/2): close together at 1, where much happens;
- `limits`: what φ is to a signal that fades, and to one that grows for ever, for which it acts alike at every scale.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.base.files import write_text_whole
from initlab.initializers.gains import gain_value
from initlab.initializers.schemes.mean_field import critical_where_usual
from initlab.theory.mean_field import DEPTH_SCALES, HUGE, NEGLIGIBLE, positively_homogeneous
from initlab.theory.moments import (
    cross_moments,
    derivative_cross_moments,
    derivative_moment,
    derivative_moments,
    second_moment,
    second_moments,
)

OFFERED: Final = (
    "relu", "leaky_relu", "identity", "tanh", "sigmoid", "gelu", "silu", "selu", "elu", "softplus", "hardtanh",
)  # fmt: skip
SQUARE_EXPONENTS: Final = np.linspace(-6, 6, 97)
PAIR_EXPONENTS: Final = np.linspace(-4, 4, 33)
PLACES: Final = np.linspace(0, 1, 17)
MILLION: Final = 1_000_000
FLAT: Final = 1e-3  # an E[φ'²] far out below which φ does not grow, and no signal grows for ever
TABLES_PLACE: Final = re.compile(r'(<script type="application/json" id="tables">\n).*?(\n</script>)', re.DOTALL)

Drawn = Literal["normal", "uniform", "orthogonal"]


@dataclass(frozen=True)
class Offer:
    """A scheme of the playground, for layers that have as many inputs as outputs.

    Attributes:
        typed: What its command says.
        name: What the page calls it.
        drawn: How a weight's numbers are drawn.
        weight_variance: σ_w², the mean square of a weight times fan_in; a rule of gains, of which it is the square; or
            `"critical"`, with the biases that go with it.
        std: The standard deviation of each weight, where that is what the scheme fixes, whatever the width.
        bias_share: The variance of a bias times fan_in.
    """

    typed: str
    name: str
    drawn: Drawn = "normal"
    weight_variance: float | str = 0.0
    std: float = 0.0
    bias_share: float = 0.0


OFFERS: Final = (
    Offer("init=he_normal", "He, normal", weight_variance=2.0),
    Offer("init=he_uniform", "He, uniform", "uniform", 2.0),
    Offer("init=he_normal init.gain=kaiming", "He, with torch's gain", weight_variance="kaiming"),
    Offer("init=he_normal init.gain=moment", "He, with the gain that keeps the signal", weight_variance="moment"),
    Offer(
        "init=he_normal init.gain=derivative", "He, with the gain that keeps gradients", weight_variance="derivative"
    ),
    Offer("init=xavier_normal", "Xavier, normal", weight_variance=1.0),
    Offer("init=xavier_uniform", "Xavier, uniform", "uniform", 1.0),
    Offer("init=lecun_normal", "LeCun, normal", weight_variance=1.0),
    Offer("init=orthogonal", "Orthogonal", "orthogonal", 1.0),
    Offer("init=orthogonal init.gain=kaiming", "Orthogonal, with torch's gain", "orthogonal", "kaiming"),
    Offer("init=mean_field", "Edge of chaos", weight_variance="critical"),
    Offer("init=torch_default", "PyTorch's default", "uniform", 1 / 3, bias_share=1 / 3),
    Offer("init=normal", "Normal, σ = 0.05", std=0.05),
    Offer("init=normal init.std=0.01", "Normal, σ = 0.01", std=0.01),
    Offer("init=normal init.std=1", "Normal, σ = 1", std=1.0),
    Offer("init=zeros", "Zeros"),
)


def variances_of(offer: Offer, activation: Activation, width: int) -> tuple[float, float] | None:
    """σ_w² and σ_b² of a scheme in a layer of as many inputs as outputs; None where it has no such rule for φ.

    Example:
        >>> variances_of(OFFERS[0], Activation("relu"), 64), variances_of(OFFERS[-3], Activation("relu"), 100)
        ((2.0, 0.0), (0.010000000000000002, 0.0))

    Args:
        offer: The scheme.
        activation: The nonlinearity φ that follows every layer.
        width: How many inputs and outputs the layer has.
    """
    rule = offer.weight_variance
    if not isinstance(rule, str):
        return rule + offer.std**2 * width, offer.bias_share / width
    try:
        if rule != "critical":
            return gain_value(rule, activation) ** 2, 0.0
        point = critical_where_usual(activation)
    except UserError:
        return None
    return point.weight_variance, point.bias_variance


def tables_of(activation: Activation) -> dict[str, Any]:
    """The moments of an activation, as the page reads them.

    Args:
        activation: The nonlinearity φ. If it acts alike at every scale, one row of pairs says all.
    """
    if positively_homogeneous(activation):
        return _alike_at_every_scale(activation, 1.0)
    variances = torch.from_numpy(10**SQUARE_EXPONENTS)
    pairs = [_pairs(activation, 10**exponent) for exponent in PAIR_EXPONENTS]
    through_zero = float(activation.function(torch.zeros(1, dtype=torch.float64))) == 0
    grows = derivative_moment(activation, variance=HUGE) > FLAT
    return {
        "through_zero": through_zero,
        "square": _millionths(np.log10(second_moments(activation, variances).numpy())),
        "slope": _millionths(np.log10(derivative_moments(activation, variances).numpy())),
        "alike": [_millionths(alike) for alike, _ in pairs],
        "slopes_alike": [_millionths(slopes) for _, slopes in pairs],
        "limits": [
            _alike_at_every_scale(activation, NEGLIGIBLE) if through_zero else None,
            _alike_at_every_scale(activation, HUGE) if grows else None,
        ],
    }


def _alike_at_every_scale(activation: Activation, variance: float) -> dict[str, Any]:
    """The same for an activation that is positively homogeneous around some variance: its moments at variance 1."""
    alike, slopes = _pairs(activation, variance)
    return {
        # Not rounded, as it decides whether a scale is exactly critical.
        "homogeneous": [
            second_moment(activation, variance=variance) / variance,
            derivative_moment(activation, variance=variance),
        ],
        "alike": [_millionths(alike)],
        "slopes_alike": [_millionths(slopes)],
    }


def _pairs(activation: Activation, variance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """E[φ(u₁) φ(u₂)]/E[φ²] and the same of φ' at all places, for inputs of one variance."""
    correlations = torch.from_numpy(np.cos(PLACES**2 * math.pi / 2))
    both = cross_moments(activation, variance, correlations)
    slopes = derivative_cross_moments(activation, variance, correlations)
    return (both / both[0]).numpy(), (slopes / slopes[0]).numpy()


def _millionths(numbers: NDArray[np.float64]) -> list[int]:
    return [round(float(number) * MILLION) for number in numbers]


def everything() -> dict[str, Any]:
    """All that the page takes from theory and from the schemes."""
    activations = {name: Activation(name) for name in OFFERED}
    return {
        "depth_scales": DEPTH_SCALES,
        "exponents": [SQUARE_EXPONENTS[0], SQUARE_EXPONENTS[-1]],
        "pair_exponents": [PAIR_EXPONENTS[0], PAIR_EXPONENTS[-1]],
        "schemes": [_scheme(offer, activations) for offer in OFFERS],
        "activations": {name: tables_of(activation) for name, activation in activations.items()},
    }


def _scheme(offer: Offer, activations: Mapping[str, Activation]) -> dict[str, Any]:
    """A scheme's scale under each activation, apart from what changes with the width."""
    fixed = replace(offer, std=0.0, bias_share=0.0)
    return {
        "typed": offer.typed,
        "name": offer.name,
        "drawn": offer.drawn,
        "variances": {name: variances_of(fixed, activation, 1) for name, activation in activations.items()},
        "per_width": offer.std**2,
        "bias_share": offer.bias_share,
    }


def fill_page(path: Path) -> None:
    """Write the tables into the page, in place of those that stand there; takes ten seconds.

    Args:
        path: The page, `docs/playground.html`.
    """
    page = path.read_text(encoding="utf-8")
    compact = partial(json.dumps, separators=(",", ":"), ensure_ascii=False)
    known = everything()
    activations = ",\n".join(f"{compact(name)}:{compact(tables)}" for name, tables in known.pop("activations").items())
    schemes = ",\n".join(map(compact, known.pop("schemes")))
    text = f'{compact(known)[:-1]},\n"schemes":[\n{schemes}],\n"activations":{{\n{activations}}}}}'
    filled, places = TABLES_PLACE.subn(lambda found: f"{found[1]}{text}{found[2]}", page)
    if places != 1:
        raise UserError(f"{path}: expected one <script> with the id tables, found {places}")
    write_text_whole(path, filled)


def read_page(path: Path) -> dict[str, Any]:
    """The tables that stand in the page."""
    found = TABLES_PLACE.search(path.read_text(encoding="utf-8"))
    assert found is not None
    known: dict[str, Any] = json.loads(found[0].partition("\n")[2].rpartition("\n")[0])
    return known
