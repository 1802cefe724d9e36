"""Which engine is chosen, and what a user hears where one cannot work."""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.cohort import engines
from initlab.cohort.engines import VmapEngine, choose_engine, flops_of_row
from initlab.cohort.module import CohortModule, Training
from initlab.cohort.networks import build_networks
from initlab.cohort.optimizers import check_optimizer
from initlab.cohort.run import train_cohort
from initlab.data.stacked import StackedData
from initlab.jobs.share import Share
from initlab.models.cnn import CNN
from initlab.models.gpt import GPT
from initlab.models.mlp import MLP
from initlab.modules.stack import Stack, stack_members
from tests.helpers import make_job


class Branching(nn.Module):
    """A model that vmap cannot trace: its path depends on its data."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits if bool(logits.sum() > 0) else -logits


class BranchingInTraining(Branching):
    """The same, only while it trains."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) if self.training else self.linear(inputs)


def choose(requested: str, model: nn.Module, *shape: int) -> str:
    return choose_engine(requested, stack_members([model, model]), torch.zeros(2, *shape))


def test_auto_fits_the_model() -> None:
    relu = Activation("relu")
    assert choose("auto", MLP((3,), 2, relu), 3) == "vmap"
    assert choose("auto", CNN((1, 28, 28), 2, relu), 1, 28, 28) == "loop"
    assert choose("vmap", CNN((1, 28, 28), 2, relu), 1, 28, 28) == "vmap"
    assert choose("auto", Branching(), 3) == "loop"
    assert choose("auto", BranchingInTraining(), 3) == "loop"


def test_the_trial_leaves_batch_norm_alone() -> None:
    stack = stack_members([MLP((3,), 2, Activation("relu"), norm="batch") for _ in range(2)])
    assert choose_engine("vmap", stack, torch.ones(2, 3)) == "vmap"
    assert (stack.buffers["norms.0.running_mean"] == 0).all()


def test_vmap_says_why_it_cannot() -> None:
    with pytest.raises(UserError, match=r"engine=vmap: this model cannot be vectorized .*use engine=loop"):
        choose("vmap", Branching(), 3)


@pytest.mark.parametrize("target", ["torch.optim.LBFGS", "torch.optim.Nonsense", None])
def test_an_optimizer_that_mixes_members_is_refused(target: str | None) -> None:
    with pytest.raises(UserError, match=r"elementwise optimizer only; known: .*torch.optim.SGD"):
        check_optimizer({"_target_": target, "lr": 0.1})


@pytest.mark.parametrize(("dropout", "threads"), [(0.2, 1), (0.0, 6)])
def test_members_that_take_their_numbers_in_turn_train_on_one_thread(
    dropout: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads inside their operations would wait for each other, on a busy machine for most of the time."""
    trained = list[Training]()

    def spy(stack: Stack, data: StackedData, training: Training) -> CohortModule:
        trained.append(training)
        return CohortModule(stack, data, training)

    monkeypatch.setattr("initlab.cohort.run.CohortModule", spy)
    model = ("model.channels=[2,2]", "model.dense=4", f"model.dropout={dropout}", "trainer.accelerator=cpu")
    job = make_job("data=digits", *model, "seeds=2", "trainer.max_epochs=1")
    share = Share(job, job.seeds)
    train_cohort([share], build_networks(share), cores=6)
    assert [training.threads for training in trained] == [threads]


def test_members_whose_every_step_is_large_work_alone_on_a_cpu() -> None:
    """A transformer's on long sequences; not the same one on short ones, whatever else a row has."""
    model = GPT((64,), 50, Activation("gelu"), vocabulary=50, every_step=True, width=64, depth=2)
    stack, rows = stack_members([model, model]), torch.zeros(2, 64, dtype=torch.int64)
    expected = 2 * 64 * (2 * 12 * 64**2 + 50 * 64 + 2 * 2 * 64 * 64)  # layers, logits, and both products of attention
    assert flops_of_row(model, rows) == pytest.approx(expected, rel=1e-9)
    assert choose_engine("auto", stack, rows, batch=32) == "loop"
    assert choose_engine("auto", stack, rows, batch=8) == "vmap"
    assert choose_engine("vmap", stack, rows, batch=32) == "vmap"


@pytest.mark.parametrize("own", [False, True])
def test_members_that_are_evaluated_some_at_a_time_answer_as_they_would_together(
    own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("data=wine", "model.hidden=[6]", "model.norm=batch", "seeds=7")
    engine = VmapEngine(stack_members(build_networks(Share(job, job.seeds))), job.loss, nullcontext)
    inputs = job.dataset.train.inputs[:10]
    inputs = torch.stack([inputs + member for member in range(7)]) if own else inputs
    together = engine.predict(inputs, own=own)
    monkeypatch.setattr(engines, "ROWS_TOGETHER", 25)
    assert torch.equal(engine.predict(inputs, own=own), together)
