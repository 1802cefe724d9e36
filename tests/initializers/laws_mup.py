"""The law of muP's weights, for `test_laws`: the readout's standard deviation is base · 1/width."""

import math
from typing import Any

import numpy as np
from scipy import stats
from torch import nn

from tests.initializers.networks import weights_of

WIDTH, BASE = 256, 16


def wide_net() -> nn.Module:
    """Two layers before a readout of many outputs, so that its standard deviation is known to 1 %."""
    return nn.Sequential(nn.Linear(64, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 128)).double()


def stds_are(model: nn.Module, *expected: float) -> bool:
    """Whether the entries of each weight are normal, and have a standard deviation, or are 0."""
    found = [weight.detach().numpy().flatten() for weight in weights_of(model)]
    return all(
        not entries.any()
        if std == 0
        else abs(entries.std() / std - 1) < 0.02 and stats.kstest(entries / std, "norm").pvalue > 1e-4
        for entries, std in zip(found, expected, strict=True)
    )


def mup_law(model: nn.Module, *, gain: float = 1.0, zero: bool = False) -> bool:
    """TP V, table 3, with the constants that make it the base scheme at the base width: std of the readout √base/n."""
    readout = 0.0 if zero else gain * np.sqrt(BASE) / WIDTH
    return stds_are(model, gain / 8, gain / 16, readout)


LAWS: dict[str, list[Any]] = {
    "mup": [
        ({"base_width": BASE}, wide_net, mup_law),
        ({"base_width": BASE, "base": "he_normal"}, wide_net, lambda model: mup_law(model, gain=math.sqrt(2))),
        ({"base_width": BASE, "readout": "zero"}, wide_net, lambda model: mup_law(model, zero=True)),
    ]
}
