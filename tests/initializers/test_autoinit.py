"""Weights scaled to the moments that reach them."""

import math

import pytest
import torch
from torch import Tensor, nn

from initlab.modules.batch import Batch
from tests.initializers.networks import (
    batch_for,
    chain,
    outputs_of,
    refine,
)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "softsign"])
def test_the_real_signal_keeps_its_variance_through_many_layers(activation: str) -> None:
    """In a wide net the real pre-activations are nearly normal, so that what it assumes holds."""
    model = chain(activation, width=400, depth=12)
    refine(model, "autoinit", batch_for(model), activation=activation)
    stds = [float(out.square().mean().sqrt()) for out in outputs_of(model, batch_for(model).inputs)]
    assert all(0.75 < std < 1.3 for std in stds)


def test_branches_add_their_variances() -> None:
    """φ(x + branch), x and branch of variance 1 each: the next layer meets E[φ(√2 z)²] = 1 under ReLU."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = (nn.Linear(200, 200) for _ in range(3))

        def forward(self, inputs: Tensor) -> Tensor:
            signal = self.first(inputs)
            result: Tensor = self.third(torch.relu(signal + self.second(signal)))
            return result

    model = Sum()
    refine(model, "autoinit", Batch(torch.randn(64, 200, generator=torch.Generator().manual_seed(0))))
    assert float(model.third.weight.detach().std()) == pytest.approx(math.sqrt(1 / 200), rel=0.02)


def test_what_no_signal_reaches_is_said() -> None:
    model = chain()
    report = refine(model, "autoinit", Batch(torch.zeros(8, 64, dtype=torch.float64)))
    assert report["0.weight"].note == "not scaled: nothing reaches it"
