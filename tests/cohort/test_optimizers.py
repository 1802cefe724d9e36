"""Every optimizer that members may share keeps them apart, each at its own rate."""

import pytest
import torch
from torch import Tensor

from initlab.cohort.optimizers import SUPPORTED, CohortOptimizer
from initlab.config.calls import import_target

RATES = (0.3, 0.1, 0.001)
STEPS = 6


def gradient(weights: Tensor, step: int) -> Tensor:
    """Of a bowl whose centre moves, so that momenta and second moments matter."""
    return 2 * (weights - 0.1 * step)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", sorted(SUPPORTED))
def test_a_member_steps_as_torch_would_step_it_alone(name: str, decay: float) -> None:
    start = torch.linspace(-2, 2, 12, dtype=torch.float64).view(3, 4)
    stacked = start.clone().requires_grad_()
    together = CohortOptimizer({"_target_": name, "weight_decay": decay}, [stacked], RATES)
    for step in range(STEPS):
        stacked.grad = gradient(stacked.detach(), step)
        together.step()
    for member, rate in enumerate(RATES):
        single = start[member].clone().requires_grad_()
        optimizer = import_target(name, where="optim")([single], lr=rate, weight_decay=decay)
        for step in range(STEPS):
            single.grad = gradient(single.detach(), step)
            optimizer.step()
        assert not torch.equal(single.detach(), start[member])
        torch.testing.assert_close(stacked[member].detach(), single.detach(), rtol=1e-9, atol=1e-12)
