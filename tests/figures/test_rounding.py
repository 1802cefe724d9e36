"""Gradients that are nothing but rounding set no axis of the probe's figure; small ones that are real do."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import initlab
from initlab.figures.signal import signal_by_depth
from tests.propagation.networks import chain, rows


def gradients(scheme: str, depth: int = 4, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """The mean gradients as measured, and as the figure shows them."""
    network = chain(40, *[40] * depth, 5, activation=nn.ReLU)
    batch = rows(16, 40), torch.arange(16) % 5
    table = initlab.probe_model(network, batch, seed=0, scheme=scheme, seeds=2, loss=F.cross_entropy, **settings)
    panel = signal_by_depth({scheme: table}).axes[1]
    shown = np.asarray(panel.get_lines()[0].get_ydata(), dtype=float)
    assert panel.get_ylim()[0] > 0.01 * np.nanmin(shown)
    return table.groupby("position")["gradient_second_moment"].mean().to_numpy(float), shown


def test_what_rounding_leaves_is_not_shown() -> None:
    """Under equal weights the gradients of the outputs, which add up to 0, cancel but for rounding."""
    measured, shown = gradients("constant")
    assert 0 < measured[0] < measured[3] < 1e-16
    assert np.isnan(shown[:4]).all()
    assert shown[4] > 0.01


def test_small_gradients_are_shown() -> None:
    measured, shown = gradients("normal", depth=8, std=0.003)
    assert 0 < measured[0] < 1e-20
    assert np.isfinite(shown).all()
