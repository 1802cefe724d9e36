"""Losses of sequences: torch's own on the steps that ask, averaged by row."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from initlab.base.errors import UserError
from initlab.data.dataset import NO_TARGET, Dataset, Split
from initlab.data.losses import LOSSES, build_loss

ROWS, STEPS, CLASSES = 30, 6, 4
Plain = Callable[[Tensor, Tensor, Tensor], Tensor]  # from outputs, classes and weights to losses, a step each


def data() -> Dataset:
    """Classes of unequal shares, asked for at one step or more of each row."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])
    targets = shares.multinomial(ROWS * STEPS, replacement=True, generator=generator).view(ROWS, STEPS)
    targets[torch.rand(ROWS, STEPS, generator=generator) < 0.4] = NO_TARGET
    targets[:, -1] = targets[:, -1].clamp(min=0)
    rows = Split(torch.randn(ROWS, STEPS, 2, generator=generator), targets)
    return Dataset(rows, rows, rows, classes=CLASSES, validates_on_test=True).as_sequences()


def one_hot(targets: Tensor) -> Tensor:
    return F.one_hot(targets, CLASSES).float()


PLAIN: Mapping[str, tuple[dict[str, Any], Plain]] = {
    "cross_entropy": (
        {"class_weights": "balanced", "label_smoothing": 0.1},
        lambda out, y, w: F.cross_entropy(out, y, weight=w, label_smoothing=0.1, reduction="none"),
    ),
    "nll": ({"class_weights": "balanced"}, lambda out, y, w: F.nll_loss(out, y, weight=w, reduction="none")),
    "bce": (
        {"class_weights": "balanced"},
        lambda out, y, w: w[y] * F.binary_cross_entropy_with_logits(out, one_hot(y), reduction="none").mean(1),
    ),
    "hinge": (
        {"class_weights": "balanced"},
        lambda out, y, w: F.multi_margin_loss(out, y, weight=w, reduction="none"),
    ),
    "mse": ({}, lambda out, y, _: F.mse_loss(out, one_hot(y), reduction="none").mean(1)),
    "mae": ({}, lambda out, y, _: F.l1_loss(out, one_hot(y), reduction="none").mean(1)),
    "huber": ({"delta": 0.3}, lambda out, y, _: F.huber_loss(out, one_hot(y), delta=0.3, reduction="none").mean(1)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_torchs_on_the_steps_that_ask(name: str) -> None:
    dataset, (settings, plain) = data(), PLAIN[name]
    targets = dataset.train.targets
    asked = targets != NO_TARGET
    counts = torch.tensor([int((targets == one).sum()) for one in range(CLASSES)])
    weights = asked.sum() / (CLASSES * counts)
    outputs = torch.randn(2, ROWS, STEPS, CLASSES, generator=torch.Generator().manual_seed(1))
    loss = build_loss({"name": name, **settings}, dataset)
    found = loss.of_members(outputs, targets.expand(2, -1, -1))
    assert loss.separable
    for member in range(2):
        flat = plain(outputs[member][asked], targets[asked], weights)
        by_row = [part.mean() for part in flat.split(asked.sum(1).tolist())]
        torch.testing.assert_close(found[member], torch.stack(by_row))


def test_a_class_that_is_never_asked_for_cannot_be_balanced() -> None:
    dataset = data()
    rows = dataset.train.targets
    part = Split(dataset.train.inputs, rows.where(rows != 3, 0))
    without = Dataset(part, dataset.val, dataset.test, classes=CLASSES, validates_on_test=False)
    with pytest.raises(UserError, match=r"loss.class_weights=balanced: a class has no training row"):
        build_loss({"name": "cross_entropy", "class_weights": "balanced"}, without)


def test_losses_of_torchs_own() -> None:
    """One that gives a number a step is taken; one that gives a single number only where every step asks."""
    dataset = data()
    targets = dataset.train.targets
    outputs = torch.randn(1, ROWS, STEPS, CLASSES, generator=torch.Generator().manual_seed(1))
    named = build_loss({"_target_": "torch.nn.CrossEntropyLoss"}, dataset)
    plain = build_loss({}, dataset)
    torch.testing.assert_close(named.of_members(outputs, targets[None]), plain.of_members(outputs, targets[None]))
    with pytest.raises(UserError, match="gives one loss for all steps, and some steps have no target"):
        build_loss({"_target_": "torch.nn.CrossEntropyLoss", "reduction": "mean"}, dataset)
    rows = Split(dataset.train.inputs, targets.clamp(min=0))
    full = Dataset(rows, rows, rows, classes=CLASSES, validates_on_test=True)
    mean = build_loss({"_target_": "torch.nn.CrossEntropyLoss", "reduction": "mean"}, full)
    expected = F.cross_entropy(outputs[0].flatten(0, 1), rows.targets.flatten())
    torch.testing.assert_close(mean.of_members(outputs, rows.targets[None])[0], expected.expand(ROWS))
