"""Every optimizer that members may share keeps them apart, each at its own rate, and each parameter at its own."""

from typing import Any

import pytest
import torch
from torch import Tensor

from initlab.cohort.optimizers import SUPPORTED, CohortOptimizer, clip_members
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


FACTORS = ((4.0, 0.25, 1.0), (1.0, 1.0, 1.0))  # of two parameters, for each member


@pytest.mark.parametrize(
    "options",
    [
        {"_target_": "torch.optim.SGD", "weight_decay": 0.1},
        {"_target_": "torch.optim.SGD", "momentum": 0.9, "nesterov": True},
        {"_target_": "torch.optim.Adam", "weight_decay": 0.1, "fused": True},
        {"_target_": "torch.optim.AdamW", "weight_decay": 0.1},
        {"_target_": "torch.optim.RMSprop", "momentum": 0.5},
    ],
)
def test_a_parameter_steps_as_a_parameter_group_of_torch_at_its_own_rate(options: dict[str, Any]) -> None:
    """With rates that a schedule changes, and a gradient that is clipped over all parameters."""
    starts = [torch.linspace(-2, 2, 12, dtype=torch.float64).view(3, 4), torch.ones(3, 2, dtype=torch.float64)]
    stacked = [start.clone().requires_grad_() for start in starts]
    together = CohortOptimizer(options, stacked, RATES, spared=[1], factors=FACTORS)
    for step in range(STEPS):
        for weights in stacked:
            weights.grad = gradient(weights.detach(), step)
        clip_members([weights.grad for weights in stacked if weights.grad is not None], 1.0)
        together.set_rates(torch.tensor(RATES, dtype=torch.float64) / (step + 1), {})
        together.step()
    arguments = {key: value for key, value in options.items() if key != "_target_"}
    for member, rate in enumerate(RATES):
        alone = [start[member].clone().requires_grad_() for start in starts]
        groups = [{"params": [alone[0]]}, {"params": [alone[1]], "weight_decay": 0.0}]
        optimizer = import_target(options["_target_"], where="optim")(groups, lr=rate, **arguments)
        for step in range(STEPS):
            for weights in alone:
                weights.grad = gradient(weights.detach(), step)
            torch.nn.utils.clip_grad_norm_(alone, 1.0)
            for group, factor in zip(optimizer.param_groups, FACTORS, strict=True):
                group["lr"] = rate * factor[member] / (step + 1)
            optimizer.step()
        for mine, torchs in zip(stacked, alone, strict=True):
            torch.testing.assert_close(mine[member].detach(), torchs.detach(), rtol=1e-9, atol=1e-12)


def test_parameters_without_factors_are_one_group() -> None:
    """As before there were any: what a checkpoint has kept of them fits."""
    stacked = [torch.ones(3, 2).requires_grad_(), torch.ones(3).requires_grad_()]
    options = {"_target_": "torch.optim.Adam"}
    assert len(CohortOptimizer(options, stacked, RATES).torch_optimizer.param_groups) == 1
    assert len(CohortOptimizer(options, stacked, RATES, spared=[1]).torch_optimizer.param_groups) == 2
