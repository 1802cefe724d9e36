"""How deep linear chains learn: law of Saxe et al. 2014, arXiv:1312.6120, against cohorts that really train."""

from contextlib import nullcontext

import pytest
import torch
from scipy.integrate import quad
from torch import nn

import initlab
from initlab.cohort.engines import VmapEngine
from initlab.cohort.optimizers import CohortOptimizer
from initlab.data.dataset import Split
from initlab.data.losses import Loss
from initlab.data.tasks import squared_error
from initlab.modules.stack import stack_members

START, END = 1e-3, 0.95
PUBLISHED = {2: 4.926, 3: 10.218, 5: 21.646, 10: 31.909}


def law(layers: int) -> float:
    """∫ du / (L u^(2 - 2/L) (1 - u)): how long gradient flow on ½(1 - u)² takes for u, a product of L equal weights."""
    time, _ = quad(lambda u: 1 / (layers * u ** (2 - 2 / layers) * (1 - u)), START, END, limit=500)
    return float(time)


def times_to_learn(layers: int, rates: list[float]) -> list[float]:
    """Learning time of each member, its rate times its steps, until the chain multiplies by END."""
    chains = []
    for _ in rates:
        chain = nn.Sequential(*[nn.Linear(1, 1, bias=False) for _ in range(layers)]).double()
        initlab.initialize(chain, "constant", value=START ** (1 / layers), seed=0)
        chains.append(chain)
    stack = stack_members(chains)
    engine = VmapEngine(stack, Loss(squared_error), nullcontext)
    optimizer = CohortOptimizer({"_target_": "torch.optim.SGD", "lr": 1.0}, list(stack.parameters.values()), rates)
    values = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    batches = torch.tensor([[0, 1]] * len(rates))
    times: dict[int, float] = {}
    step = 0
    while len(times) < len(rates):
        engine.gradients(Split(values, values), batches)
        optimizer.step()
        step += 1
        products = torch.stack([weight.detach().flatten() for weight in stack.parameters.values()]).prod(0)
        for member, product in enumerate(products.tolist()):
            if product >= END:
                times.setdefault(member, 2 * rates[member] * step)  # the loss is (1 - u)², twice the law's
    return [times[member] for member in range(len(rates))]


@pytest.mark.parametrize("layers", PUBLISHED)
def test_a_deep_chain_waits_before_it_learns(layers: int) -> None:
    assert law(layers) == pytest.approx(PUBLISHED[layers], abs=1e-3)
    for time in times_to_learn(layers, [0.01, 0.02]):
        assert time == pytest.approx(law(layers), rel=0.02)
