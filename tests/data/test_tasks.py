"""Losses and scores, against scikit-learn and torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, r2_score

from initlab.cohort.tally import Tally
from initlab.data.dataset import NO_TARGET, TaskName
from initlab.data.tasks import TASKS

MEMBERS, ROWS = 3, 97


def tallied(task: TaskName, outputs: torch.Tensor, targets: torch.Tensor, chunks: tuple[int, ...]) -> torch.Tensor:
    """Scores of members from outputs and targets (members, rows, …) that arrive in chunks of rows."""
    tally = Tally(TASKS[task])
    for some_outputs, some_targets in zip(outputs.split(chunks, dim=1), targets.split(chunks, dim=1), strict=True):
        losses = tally.task.loss(some_outputs.flatten(0, 1), some_targets.flatten(0, 1))
        tally.add(some_outputs, losses.view(some_targets.shape[:2]), some_targets)
    scores: torch.Tensor = tally.record(1, "val").values["score"]
    return scores


@pytest.mark.parametrize("chunks", [(97,), (40, 40, 17), (96, 1)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_r2_is_scikit_learns(chunks: tuple[int, ...], offset: float) -> None:
    """Over several chunks and outputs of different scales, of targets that differ between members."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(MEMBERS, ROWS, 2, generator=generator) * torch.tensor([1.0, 30.0]) + offset
    outputs = targets + torch.randn(targets.shape, generator=generator) * torch.tensor([0.1, 50.0])
    scores = tallied("regression", outputs, targets, chunks)
    expected = [r2_score(y.double(), p.double()) for y, p in zip(targets, outputs, strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    assert scores.dtype == torch.float64
    assert len(set(expected)) == MEMBERS
    assert max(expected) < 0.6  # one output fits, the other does not


@pytest.mark.parametrize("chunks", [(97,), (40, 40, 17)])
def test_accuracy_is_scikit_learns(chunks: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(MEMBERS, ROWS, 4, generator=generator)
    targets = torch.randint(0, 4, (MEMBERS, ROWS), generator=generator)
    expected = [accuracy_score(y, p.argmax(-1)) for y, p in zip(targets, logits, strict=True)]
    np.testing.assert_allclose(tallied("classification", logits, targets, chunks), expected, rtol=1e-12)


def test_a_member_that_diverged_has_no_score_and_the_others_have() -> None:
    targets = torch.randn(MEMBERS, ROWS, 1, generator=torch.Generator().manual_seed(0))
    outputs = targets.clone()
    outputs[1, 5], outputs[2, 7] = torch.inf, torch.nan
    assert tallied("regression", outputs, targets, (ROWS,)).isnan().tolist() == [False, True, True]


def test_r2_of_targets_that_are_all_equal_is_none() -> None:
    targets = torch.full((MEMBERS, ROWS, 1), 0.5)
    assert tallied("regression", targets + 1, targets, (ROWS,)).isnan().all()


def test_losses_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(ROWS, 3, generator=generator), torch.randn(ROWS, 3, generator=generator)
    losses = TASKS["regression"].loss(outputs, targets)
    torch.testing.assert_close(losses, F.mse_loss(outputs, targets, reduction="none").mean(1))
    torch.testing.assert_close(losses.mean(), F.mse_loss(outputs, targets))
    classes = torch.randint(0, 3, (ROWS,), generator=generator)
    torch.testing.assert_close(
        TASKS["classification"].loss(outputs, classes), F.cross_entropy(outputs, classes, reduction="none")
    )


STEPS, CLASSES = 9, 5


def sequences(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (members, rows, steps, classes), and classes of which each row is asked another number, at least one."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(MEMBERS, ROWS, STEPS, CLASSES, generator=generator)
    targets = torch.randint(0, CLASSES, (MEMBERS, ROWS, STEPS), generator=generator)
    asked = torch.arange(ROWS) % STEPS + 1
    order = torch.rand(MEMBERS, ROWS, STEPS, generator=generator).argsort(2)
    return logits, targets.where(order < asked[:, None], NO_TARGET)


def test_the_loss_of_a_sequence_is_torchs_mean_over_the_steps_that_ask() -> None:
    logits, targets = sequences()
    losses = TASKS["sequence"].loss(logits[0], targets[0])
    expected = [
        F.cross_entropy(row, asked, ignore_index=-100) for row, asked in zip(logits[0], targets[0], strict=True)
    ]
    torch.testing.assert_close(losses, torch.stack(expected))
    assert not torch.isclose(losses.mean(), F.cross_entropy(logits[0].flatten(0, 1), targets[0].flatten()), rtol=1e-3)


def test_the_gradient_of_a_step_that_does_not_ask_is_zero() -> None:
    logits, targets = sequences()
    outputs = logits[0].requires_grad_()
    TASKS["sequence"].loss(outputs, targets[0]).mean().backward()
    assert outputs.grad is not None
    silent = targets[0] == NO_TARGET
    assert outputs.grad[silent].abs().max() == 0
    assert outputs.grad[~silent].abs().sum(1).min() > 0


@pytest.mark.parametrize("chunks", [(97,), (40, 40, 17), (96, 1)])
def test_the_score_of_sequences_is_the_mean_over_rows_of_scikit_learns_accuracy(chunks: tuple[int, ...]) -> None:
    logits, targets = sequences()
    by_row = [
        [accuracy_score(y[y != NO_TARGET], p.argmax(-1)[y != NO_TARGET]) for y, p in zip(*member, strict=True)]
        for member in zip(targets, logits, strict=True)
    ]
    np.testing.assert_allclose(tallied("sequence", logits, targets, chunks), np.mean(by_row, axis=1), rtol=1e-12)
    task = TASKS["sequence"]
    rows = task.row_scores(task.errors(logits, targets), targets)
    assert (rows.shape, rows.dtype) == ((MEMBERS, ROWS), torch.float32)
    np.testing.assert_allclose(rows, by_row, atol=1e-6)


def test_answers_at_steps_that_do_not_ask_count_for_nothing() -> None:
    logits, targets = sequences()
    changed = torch.where((targets == NO_TARGET).unsqueeze(-1), 50 * torch.randn(logits.shape), logits)
    task = TASKS["sequence"]
    torch.testing.assert_close(task.loss(changed[1], targets[1]), task.loss(logits[1], targets[1]))
    assert torch.equal(task.errors(changed, targets), task.errors(logits, targets))
    assert torch.equal(task.sums(changed, targets), task.sums(logits, targets))
