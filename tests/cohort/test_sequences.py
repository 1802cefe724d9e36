"""A class at each step: trained, scored and refused as it should be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.base.errors import RefusedError, UserError
from initlab.data.dataset import NO_TARGET, Dataset, Split
from initlab.data.module import InMemoryData
from initlab.jobs.job import Job
from initlab.sweep.checks import check_job
from tests.helpers import make_job, train

ROWS, STEPS, KINDS = 24, 6, 5


def echo(*, words: bool = True, each: bool = True) -> Dataset:
    """Each step asks for the step before; the first asks for nothing, nor does the second in every other row."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(KINDS, (3 * ROWS, STEPS), generator=generator)
    targets = inputs.roll(1, 1)
    targets[:, 0] = NO_TARGET
    targets[::2, 1] = NO_TARGET
    seen = inputs if words else F.one_hot(inputs, KINDS).float()
    parts = [
        Split(*pair) for pair in zip(seen.split(ROWS), (targets if each else inputs[:, 0]).split(ROWS), strict=True)
    ]
    train_rows, val_rows, test_rows = parts
    made = Dataset(train_rows, val_rows, test_rows, classes=KINDS, validates_on_test=False)
    return made.as_sequences(vocabulary=KINDS if words else None)


class Window(nn.Module):
    """Reads a step and the one before."""

    def __init__(self, out_features: int, *, vocabulary: int | None, every_step: bool) -> None:
        super().__init__()
        assert vocabulary == KINDS
        self.every_step = every_step
        self.tokens = nn.Embedding(vocabulary, 8)
        self.output = nn.Linear(16, out_features)

    def forward(self, inputs: Tensor) -> Tensor:
        now = self.tokens(inputs)
        answers: Tensor = self.output(torch.cat([now, now.roll(1, 1)], 2))
        return answers if self.every_step else answers[:, -1]


def job_on(*overrides: str, words: bool = True, each: bool = True) -> Job:
    data = ("data=function", "data.call=tests.cohort.test_sequences.echo", f"+data.words={words}", f"+data.each={each}")
    return make_job(*data, "batch_size=8", "trainer.max_epochs=3", "seeds=2", *overrides)


OWN = "model._target_=tests.cohort.test_sequences.Window"


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_members_learn_as_plain_torch_does_and_are_scored_by_row(engine: str) -> None:
    """A row's loss is the mean over the steps that ask, whatever their number, and so is its score."""
    job = job_on(OWN, f"engine={engine}")
    module = train(job)
    test = job.dataset.test
    orders = InMemoryData(job.dataset, batch_size=8, seeds=job.seeds)
    for place, member in enumerate(job.members()):
        model = job.build_member(member)
        optimizer = torch.optim.Adam(model.parameters(), lr=member.learning_rate)
        for epoch in range(3):
            for batch in torch.cat([block[:, place] for block in orders.blocks(epoch)]):
                rows = job.dataset.train.inputs[batch], job.dataset.train.targets[batch]
                optimizer.zero_grad()
                losses = [mean_of(*pair) for pair in zip(model(rows[0]), rows[1], strict=True)]
                torch.stack(losses).mean().backward()
                optimizer.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(module.stack.parameters[name][place], parameter, rtol=1e-4, atol=1e-6)
        answers, asked = model(test.inputs).argmax(2), test.targets != NO_TARGET
        of_rows = [(a[n] == t[n]).double().mean() for a, t, n in zip(answers, test.targets, asked, strict=True)]
        assert module.test_scores is not None
        np.testing.assert_allclose(module.test_scores[place], of_rows, atol=1e-6)
        assert module.history[-1].values["score"][place].item() == pytest.approx(np.mean(of_rows), abs=1e-6)
    tested = [mean_of(*pair).item() for pair in zip(model(test.inputs), test.targets, strict=True)]
    assert module.history[-1].values["loss"][-1].item() == pytest.approx(np.mean(tested), rel=1e-5)


def mean_of(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, ignore_index=NO_TARGET)


def test_the_baseline_knows_how_common_each_class_is_where_it_is_asked_for() -> None:
    data = echo()
    asked = data.train.targets[data.train.targets != NO_TARGET]
    commonest = asked.mode().values
    shares = [(row[row != NO_TARGET] == commonest).double().mean().item() for row in data.test.targets]
    assert data.baseline == pytest.approx(np.mean(shares))
    assert data.class_counts.tolist() == np.bincount(asked.numpy(), minlength=KINDS).tolist()


@pytest.mark.parametrize(
    ("words", "each", "reason"),
    [
        (True, True, "model=mlp: takes numbers, and data=echo has tokens, numbers that stand for something"),
        (False, True, "model=mlp: gives one answer a row, and data=echo asks for one at each step"),
    ],
)
def test_a_network_that_cannot_read_it_is_left_out(words: bool, each: bool, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        check_job(job_on("model=mlp", words=words, each=each))


def test_a_network_that_ignores_the_order_works_and_is_noted() -> None:
    (note,) = check_job(job_on("model=mlp", words=False, each=False))
    assert note.startswith("model=mlp: takes the 6 steps of data=echo as one input, without their order")
    assert check_job(job_on(OWN, each=False)) == []


def test_a_network_that_answers_too_seldom_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected outputs of shape \(2, 6, 5\) for 2 rows, got \(2, 5\)"):
        check_job(job_on("model._target_=tests.cohort.test_sequences.Last"))


class Last(Window):
    """Answers after the last step only, whatever it is asked."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)[:, -1]


def rows_of(targets: Tensor) -> Split:
    return Split(torch.zeros(len(targets), targets.shape[1], dtype=torch.int64), targets)


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        (torch.tensor([[NO_TARGET, 1], [NO_TARGET, NO_TARGET]]), "a row has no step with a target"),
        (torch.tensor([[0, 1], [NO_TARGET, 7]]), "classes from 0 to 7; expected 0 to 4"),
        (torch.tensor([[0, 1], [-1, 1]]), "classes from -1 to 1; expected 0 to 4"),
    ],
)
def test_targets_that_ask_for_what_is_not_there_are_refused(targets: Tensor, reason: str) -> None:
    rows = rows_of(targets)
    with pytest.raises(UserError, match=reason):
        Dataset(rows, rows, rows, classes=KINDS, validates_on_test=True)


def test_a_token_out_of_the_vocabulary_is_refused() -> None:
    with pytest.raises(UserError, match="tokens from 0 to 4; expected 0 to 2"):
        echo().as_sequences(vocabulary=3)


def test_answers_that_are_added_up_step_by_step_give_what_a_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step counts once, the last of a block included; and a member's sums do not depend on its cohort."""
    whole = trained_epochs(job_on(OWN))
    monkeypatch.setattr("initlab.cohort.module.MOST_KEPT", 1)
    by_step = trained_epochs(job_on(OWN))
    torch.testing.assert_close(by_step, whole, rtol=1e-6, atol=0)
    assert not torch.equal(whole[0], whole[-1])
    assert torch.equal(trained_epochs(job_on(OWN, "seeds=1"))[..., :1], by_step[..., :1])


def trained_epochs(job: Job) -> Tensor:
    """Loss and score of the training rows, shape (epochs, 2, members)."""
    records = [record for record in train(job).history if record.split == "train"]
    return torch.stack([torch.stack([record.values["loss"], record.values["score"]]) for record in records])
