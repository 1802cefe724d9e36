"""Scales of tensors: the bound on the gradient, and the loss after a step."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import initlab
from tests.initializers.networks import batch_for, chain, refine


def gradient_norm(model: nn.Module) -> float:
    batch = batch_for(model)
    gradients = torch.autograd.grad(F.cross_entropy(model(batch.inputs), batch.targets), list(model.parameters()))
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))


@pytest.mark.slow
def test_an_exploding_gradient_is_brought_under_the_bound() -> None:
    model = chain(depth=4)
    base = {"name": "he_normal", "gain": 2.5}
    refine(model, "gradinit", batch_for(model), base=base, steps=0)
    assert gradient_norm(model) > 50
    refine(model, "gradinit", batch_for(model), base=base, steps=300, lr=0.02, gamma=3.0)
    assert gradient_norm(model) < 4.0


def test_the_loss_after_a_step_falls() -> None:
    def loss_after_step(model: nn.Module) -> float:
        batch, eta = batch_for(model), 0.1
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(F.cross_entropy(model(batch.inputs), batch.targets), parameters)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(eta * gradient / norm)
            return float(F.cross_entropy(model(batch.inputs), batch.targets))

    before, after = chain(), chain()
    refine(before, "gradinit", batch_for(before), steps=0, gamma=1e9)
    refine(after, "gradinit", batch_for(after), steps=60, gamma=1e9)
    assert loss_after_step(after) < loss_after_step(before) - 0.05


def test_for_adam_it_runs_and_no_scale_falls_below_the_least() -> None:
    model = chain()
    report = refine(model, "gradinit", batch_for(model), steps=30, lr=0.2, least=0.7, optimizer="adam")
    scales = [float(row.note[2:]) for row in report if row.note.startswith("× ")]
    assert len(scales) == 3
    assert min(scales) == pytest.approx(0.7)


def test_the_step_and_its_loss_see_batches_that_overlap() -> None:
    """Zhu et al. 2021, algorithm 1: the loss after a step is that of other rows, half of which the step has seen."""
    seen: list[set[int]] = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(set(targets.tolist()))
        return outputs.square().mean()

    rows, steps = 30, 4
    inputs = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    initlab.initialize(
        model,
        "gradinit",
        batch=(inputs, torch.arange(rows)),
        loss=loss,
        steps=steps,
        gamma=1e9,
        activation="tanh",
        seed=0,
    )
    parts = [rows for rows in seen if len(rows) < 30]  # beside looks at the whole batch
    assert len(parts) == 2 * steps
    for first, second in zip(parts[::2], parts[1::2], strict=True):
        assert len(first) == len(second) == 20
        assert len(first & second) == 10
        assert len(first | second) == rows
    assert len({frozenset(rows) for rows in parts}) == 2 * steps  # drawn anew each time
