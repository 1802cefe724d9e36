"""Losses, schedules, early stopping and weight decay: a member of a cohort is the network that plain torch trains."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler

from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.module import CohortModule
from initlab.cohort.networks import build_networks
from initlab.cohort.optimizers import spared_parameters
from initlab.cohort.run import train_cohort
from initlab.data.module import InMemoryData
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from initlab.jobs.share import Share
from tests.helpers import make_job, train

SHORT = ("trainer.max_epochs=4", "seeds=4", "init=he", "model.hidden=[8]", "batch_size=16")
RATES = (0.003, 0.006, 0.012, 0.024)
Optimizer = torch.optim.Optimizer


def members_of(job: Job) -> list[Member]:
    return [Member(job.name, one.seed, one.init, rate) for one, rate in zip(job.members(), RATES, strict=True)]


def alone(
    job: Job,
    member: Member,
    *,
    optimizer_of: Callable[[nn.Module, float], Optimizer],
    schedule_of: Callable[[Optimizer, int], Any] | None = None,
    each: str = "step",
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    epochs: int | None = None,
) -> nn.Module:
    """The oracle: one network, torch's own optimizer, schedule and loss, one batch after another."""
    model = job.build_member(member).train()
    own = job.dataset_for(member.seed)
    data = InMemoryData(own, batch_size=job.config.batch_size, seeds=[member.seed])
    optimizer = optimizer_of(model, member.learning_rate)
    schedule = schedule_of(optimizer, data.steps_per_epoch) if schedule_of else None
    for epoch in range(epochs or job.config.trainer.max_epochs):
        for block in data.blocks(epoch):
            for batch in block[:, 0]:
                optimizer.zero_grad()
                loss_of(model(own.train.inputs[batch]), own.train.targets[batch]).backward()
                optimizer.step()
                if schedule is not None and each == "step":
                    schedule.step()
        if schedule is not None and each == "epoch":
            val = own.val
            watching = isinstance(schedule, lr_scheduler.ReduceLROnPlateau)
            with torch.no_grad():
                args = (float(loss_of(model.eval()(val.inputs), val.targets)),) if watching else ()
            model.train()
            schedule.step(*args)
    return model


def assert_same(module: CohortModule, place: int, model: nn.Module, *, rtol: float = 2e-3, atol: float = 2e-5) -> None:
    for name, value in model.named_parameters():
        torch.testing.assert_close(module.stack.parameters[name][place].detach(), value.detach(), rtol=rtol, atol=atol)


def adamw(model: nn.Module, rate: float) -> Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)


def warm_cosine(optimizer: Optimizer, per_epoch: int) -> Any:
    """The same by torch's own classes: a rise of one epoch, and then half a cosine."""
    rise = lr_scheduler.LinearLR(optimizer, 1 / (per_epoch + 1), 1.0, per_epoch)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, 3 * per_epoch)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], [per_epoch])


TORCH = "scheduler._target_=torch.optim.lr_scheduler."
SCHEDULES: dict[str, tuple[tuple[str, ...], Callable[[Optimizer, int], Any], str]] = {
    "cosine": (("scheduler=cosine",), lambda o, n: lr_scheduler.CosineAnnealingLR(o, 4 * n), "step"),
    "warm-up": (("scheduler=warmup_cosine",), warm_cosine, "step"),
    "linear": (
        ("scheduler=linear", "scheduler.end=0.1"),
        lambda o, n: lr_scheduler.LinearLR(o, 1.0, 0.1, 4 * n),
        "step",
    ),
    "step": (("scheduler=step", "scheduler.every=2"), lambda o, _: lr_scheduler.StepLR(o, 2), "epoch"),
    "exponential": (
        ("scheduler=exponential", "scheduler.factor=0.5"),
        lambda o, n: lr_scheduler.ExponentialLR(o, 0.5 ** (1 / n)),
        "step",
    ),
    "torch's step": ((f"{TORCH}StepLR", "+scheduler.step_size=1"), lambda o, _: lr_scheduler.StepLR(o, 1), "epoch"),
    # Its floor is a rate, and no share of one: each member needs a schedule of its own.
    "torch's cosine with a floor": (
        (f"{TORCH}CosineAnnealingLR", "+scheduler.eta_min=0.002"),
        lambda o, _: lr_scheduler.CosineAnnealingLR(o, 4, eta_min=0.002),
        "epoch",
    ),
    "torch's cycle, which moves the momentum": (
        (f"{TORCH}OneCycleLR", "scheduler.interval=step"),
        lambda o, n: lr_scheduler.OneCycleLR(o, max_lr=o.param_groups[0]["lr"], total_steps=4 * n),
        "step",
    ),
    "torch's plateau, which looks at a member's own loss": (
        (f"{TORCH}ReduceLROnPlateau", "+scheduler.patience=0", "+scheduler.threshold=0.9"),
        lambda o, _: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.9),
        "epoch",
    ),
}


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*", "ignore:.*epoch parameter.*")
@pytest.mark.parametrize("engine", ["vmap", pytest.param("loop", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_member_follows_its_own_schedule(name: str, engine: str) -> None:
    overrides, schedule_of, each = SCHEDULES[name]
    job = make_job(*SHORT, "optim=adamw", f"engine={engine}", *overrides)
    members = members_of(job)
    module = train(job, members)
    constant = train(make_job(*SHORT, "optim=adamw", f"engine={engine}"), members)
    for place in (0, 3):
        model = alone(job, members[place], optimizer_of=adamw, schedule_of=schedule_of, each=each)
        assert_same(module, place, model)
        with pytest.raises(AssertionError):  # a schedule that did nothing would show
            assert_same(constant, place, model)


def decayed(model: nn.Module, rate: float) -> Optimizer:
    weights = [value for value in model.parameters() if value.dim() > 1]
    others = [value for value in model.parameters() if value.dim() < 2]
    groups = [{"params": weights, "weight_decay": 0.5}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_weight_decay_can_spare_biases_and_norms(engine: str) -> None:
    given = (*SHORT, "model.norm=layer", "optim=adamw", "optim.weight_decay=0.5", f"engine={engine}")
    job = make_job(*given, "optim.decay=weights")
    members = members_of(job)
    module = train(job, members)
    for place in (0, 3):
        assert_same(module, place, alone(job, members[place], optimizer_of=decayed))
    with pytest.raises(AssertionError):
        assert_same(train(make_job(*given), members), 3, alone(job, members[3], optimizer_of=decayed))


def test_what_weight_decay_spares() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.LayerNorm([4, 6, 6]), nn.Flatten(), nn.Linear(9, 2)]
    assert spared_parameters(nn.Sequential(*layers)) == {
        *("0.bias", "1.weight", "1.bias", "2.weight", "3.weight", "3.bias", "5.bias")
    }
    assert spared_parameters(nn.MultiheadAttention(4, 2)) == {"in_proj_bias", "out_proj.bias"}


LOSSES: dict[str, tuple[tuple[str, ...], Callable[[Tensor, Tensor], Tensor]]] = {
    "smoothing": (("loss.label_smoothing=0.2",), lambda o, t: F.cross_entropy(o, t, label_smoothing=0.2)),
    "weights": (
        ("loss.class_weights=[1,2,5]",),
        lambda o, t: F.cross_entropy(o, t, weight=torch.tensor([1.0, 2, 5]), reduction="none").mean(),
    ),
    "mse": (("loss=mse",), lambda o, t: F.mse_loss(o, F.one_hot(t, 3).float())),
    "hinge": (("loss=hinge",), F.multi_margin_loss),
    "bce": (("loss=bce",), lambda o, t: F.binary_cross_entropy_with_logits(o, F.one_hot(t, 3).float())),
    "torch's class": (("loss._target_=torch.nn.MultiMarginLoss", "+loss.margin=2.0"), nn.MultiMarginLoss(margin=2.0)),
    "a function's mean": (
        ("loss._target_=tests.cohort.own_losses.mean_of_batch",),
        lambda o, t: F.cross_entropy(o, t) + o.mean(0).square().sum(),
    ),
    "a function that branches": (
        ("loss._target_=tests.cohort.own_losses.branching",),
        lambda o, t: F.cross_entropy(o, t) * (2 if bool(o.mean() > 0) else 1),
    ),
}


@pytest.mark.parametrize("engine", ["vmap", pytest.param("loop", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LOSSES)
def test_each_member_trains_on_its_own_loss(name: str, engine: str) -> None:
    overrides, loss_of = LOSSES[name]
    job = make_job(*SHORT, "optim=adamw", f"engine={engine}", *overrides)
    members = members_of(job)
    module = train(job, members)
    for place in (0, 3):
        model = alone(job, members[place], optimizer_of=adamw, loss_of=loss_of)
        assert_same(module, place, model)
        val = job.dataset_for(members[place].seed).val
        with torch.no_grad():
            expected = loss_of(model(val.inputs), val.targets)
        torch.testing.assert_close(
            module.history[-2].values["loss"][place].float(), expected.float(), rtol=2e-3, atol=1e-4
        )


def stopping(*more: str) -> Job:
    # Rates at which some members get worse early and others go on to get better.
    return make_job(
        *("trainer.max_epochs=8", "seeds=4", "init=he", "model.hidden=[8]", "batch_size=16", "optim=adamw"),
        *("early_stopping.patience=2", *more),
    )


STOPPING_RATES = (0.0003, 0.3, 0.001, 1.0)


def stopped_members(job: Job) -> list[Member]:
    return [Member(job.name, one.seed, one.init, rate) for one, rate in zip(job.members(), STOPPING_RATES, strict=True)]


class Weights(pl.Callback):
    """Keeps all parameters and buffers of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        assert isinstance(pl_module, CohortModule)
        stack = pl_module.stack
        state: Iterable[tuple[str, Tensor]] = {**stack.parameters, **stack.buffers}.items()
        self.epochs.append({name: value.detach().clone() for name, value in state})


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_member_that_stops_stays_to_the_bit_while_others_go_on(engine: str) -> None:
    job = stopping(f"engine={engine}", "model.norm=batch")
    seen = Weights()
    module = train(job, stopped_members(job), callbacks=[seen])
    assert module.epochs[0] == 8
    assert 3 <= module.epochs[3] < 8
    for place, epochs in enumerate(module.epochs):
        for name in seen.epochs[0]:
            after = [epoch[name][place] for epoch in seen.epochs[epochs - 1 :]]
            assert all(torch.equal(one, after[0]) for one in after), name
        if epochs < 8:
            vals = [float(record.values["loss"][place]) for record in module.history if record.split == "val"]
            trains = [float(record.values["loss"][place]) for record in module.history if record.split == "train"]
            assert len(set(vals[epochs:])) == len(set(trains[epochs - 1 :])) == 1
            best = min(range(1, epochs + 1), key=lambda epoch: float(vals[epoch]))
            assert epochs == best + 2
    first = next(iter(seen.epochs[0]))
    moving = [epoch[first][0] for epoch in seen.epochs]
    assert not any(torch.equal(one, other) for one, other in pairwise(moving))


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_member_stops_alone_as_in_its_cohort(engine: str) -> None:
    """Alone its training ends when it stops, and its tables are the same all the same."""
    job = stopping(f"engine={engine}")
    members = stopped_members(job)
    together, single = train(job, members), train(job, members[3:])
    assert single.epochs == together.epochs[3:]
    assert [(one.epoch, one.split) for one in single.history] == [(one.epoch, one.split) for one in together.history]
    for one, other in zip(single.history, together.history, strict=True):
        for name, value in one.values.items():
            torch.testing.assert_close(value, other.values[name][3:], rtol=1e-3, atol=1e-4, equal_nan=True)
    model = alone(job, members[3], optimizer_of=adamw, epochs=single.epochs[0])
    assert_same(together, 3, model, rtol=5e-3, atol=1e-3)


def test_the_column_epochs_says_when() -> None:
    job = make_job("trainer.max_epochs=12", "seeds=3", "optim=sgd", "optim.lr=3.0", "early_stopping.patience=1")
    tables = train_cohort([Share(job, job.seeds)], build_networks(Share(job, job.seeds)))
    assert tables.members["epochs"].between(1, 11).all()
    assert tables.history.groupby("member").size().tolist() == [25] * 3  # a row an epoch and split, stopped or not


@pytest.mark.parametrize(
    "options",
    [
        ("scheduler=warmup_cosine",),
        (f"{TORCH}OneCycleLR", "scheduler.interval=step"),
        (f"{TORCH}ReduceLROnPlateau", "+scheduler.patience=0"),
        ("early_stopping.patience=1", "optim.lr=0.1"),
        ("scheduler=cosine", "init=mup", "optim.scaling=mup", "optim.base_width=16", "optim.decay=weights"),
    ],
)
def test_a_checkpoint_keeps_where_schedules_and_stops_stand(options: tuple[str, ...], tmp_path: Path) -> None:
    job = make_job("trainer.max_epochs=6", "seeds=3", "optim=adamw", *options)
    share = Share(job, job.seeds)
    whole = train_cohort([share], build_networks(share))

    class Killed(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if trainer.current_epoch == 3:
                raise RuntimeError("killed")

    path = tmp_path / "checkpoint.ckpt"
    with pytest.raises(RuntimeError, match="killed"):
        train_cohort([share], build_networks(share), [Killed()], checkpoint=Checkpoint(path, 0))
    resumed = train_cohort([share], build_networks(share), checkpoint=Checkpoint(path, 0))
    columns = ["epochs", "train_loss", "val_loss", "test_loss", "test_score"]
    assert resumed.members[columns].equals(whole.members[columns])
