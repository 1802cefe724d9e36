"""A member of a cohort is the network it would be alone."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import r2_score
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.cohort.engines import Engine, LoopEngine, VmapEngine
from initlab.cohort.module import CohortModule
from initlab.cohort.optimizers import clip_members
from initlab.data.losses import Loss
from initlab.data.module import InMemoryData
from initlab.data.tasks import cross_entropy
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from initlab.modules.stack import stack_members
from initlab.tracking.callback import JobTracking
from tests.helpers import make_job, train

SHORT = ("trainer.max_epochs=3", "seeds=4")
OPTIMIZERS: dict[str, tuple[tuple[str, ...], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (("optim=sgd",), torch.optim.SGD),
    "momentum": (("optim=momentum",), lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)),
    "adamw": (("optim=adamw",), lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0.01)),
}


def plain_training(
    job: Job, member: Member, optimizer_of: Callable[..., torch.optim.Optimizer], engine_data: InMemoryData
) -> nn.Module:
    """The oracle: one network, one torch optimizer, torch's own clipping, one batch after another."""
    model = job.build_member(member)
    model.train()
    optimizer = optimizer_of(model.parameters(), lr=member.learning_rate)
    place, rows = engine_data.seeds.index(member.seed), job.dataset_for(member.seed).train
    loss_of = F.mse_loss if job.dataset.task == "regression" else F.cross_entropy
    for epoch in range(job.config.trainer.max_epochs):
        for block in engine_data.blocks(epoch):
            for batch in block[:, place]:
                optimizer.zero_grad()
                outputs, targets = model(rows.inputs[batch]), rows.targets[batch]
                if job.dataset.task == "sequence":  # with a target at each step
                    outputs, targets = outputs.flatten(0, 1), targets.flatten()
                loss = loss_of(outputs, targets)
                loss.backward()
                if job.config.gradient_clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), job.config.gradient_clip)
                optimizer.step()
    return model


def state_of(module: CohortModule, place: int) -> dict[str, Tensor]:
    stack = module.stack
    return {name: value[place].detach() for name, value in {**stack.parameters, **stack.buffers}.items()}


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "model",
    [
        ("model.hidden=[8]",),
        # Without biases: batch norm takes their gradient away, and AdamW blows up the rounding error that is left.
        ("model.hidden=[8]", "model.norm=batch", "model.bias=false"),
        ("model.hidden=[8,8]", "model.norm=layer", "gradient_clip=0.1"),
        (
            "data=digits",
            "model.channels=[4,4]",
            "model.dense=8",
            "model.norm=batch",
            "model.bias=false",
            "gradient_clip=0.5",
        ),
        ("data=teacher", "data.rows=100", "data.outputs=3", "model.hidden=[8]"),
    ],
    ids=["plain", "batch norm", "layer norm, clipped", "convolutions", "regression"],
)
def test_a_member_equals_the_network_trained_alone(model: tuple[str, ...], optimizer: str, engine: str) -> None:
    """Four members of different learning rates, each against plain PyTorch."""
    overrides, optimizer_of = OPTIMIZERS[optimizer]
    job = make_job(*SHORT, *model, *overrides, f"engine={engine}", "init=he")
    if "data=digits" in model:
        job = make_job(*SHORT, *model, *overrides, f"engine={engine}", "init=he", "trainer.max_epochs=1")
    rates = [0.003 * 2**place for place in range(4)]
    members = [
        Member(job.name, member.seed, member.init, rate) for member, rate in zip(job.members(), rates, strict=True)
    ]
    module = train(job, members, threads=2)
    assert module.engine_name == engine
    data = InMemoryData(job.dataset, batch_size=job.config.batch_size, seeds=list(job.seeds))
    for place in (0, 3):
        alone = plain_training(job, members[place], optimizer_of, data)
        for name, value in {**dict(alone.named_parameters()), **dict(alone.named_buffers())}.items():
            torch.testing.assert_close(state_of(module, place)[name], value.detach(), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_member_does_not_depend_on_its_cohort(engine: str) -> None:
    job = make_job(*SHORT, f"engine={engine}", "optim=adamw")
    together, alone = train(job), train(job, job.members()[2:3])
    for name, value in state_of(alone, 0).items():
        torch.testing.assert_close(state_of(together, 2)[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_equal_seeds_give_equal_bits(engine: str) -> None:
    job = make_job(*SHORT, f"engine={engine}", "data=digits", "trainer.max_epochs=1", "model.channels=[4,4]")
    first, second = train(job, threads=2), train(job)
    for place in range(4):
        for name, value in state_of(first, place).items():
            assert torch.equal(state_of(second, place)[name], value), name


def test_both_engines_measure_the_same() -> None:
    vmap, loop = (train(make_job(*SHORT, f"engine={engine}", "gradient_clip=1.0")) for engine in ("vmap", "loop"))
    assert [(row.epoch, row.split) for row in vmap.history] == [(row.epoch, row.split) for row in loop.history]
    for one, other in zip(vmap.history, loop.history, strict=True):
        torch.testing.assert_close(one.values["loss"], other.values["loss"], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.values["score"], other.values["score"], rtol=0, atol=0.04)


def test_what_is_recorded_is_what_the_networks_do() -> None:
    """Each epoch's numbers against the networks themselves, evaluated alone."""
    job = make_job(*SHORT)
    module = train(job)
    rows = {(row.split, row.epoch): row for row in module.history}
    assert list(rows) == [("val", 0), ("train", 1), ("val", 1), ("train", 2), ("val", 2), ("train", 3), ("val", 3),
                          ("test", 3)]  # fmt: skip
    own = job.dataset_for(1)
    untrained, trained = job.build_member(job.members()[1]).eval(), job.build_member(job.members()[1]).eval()
    trained.load_state_dict(state_of(module, 1))
    for model, key, split in (
        (untrained, ("val", 0), own.val),
        (trained, ("val", 3), own.val),
        (trained, ("test", 3), own.test),
    ):
        with torch.no_grad():
            logits = model(split.inputs)
        assert float(rows[key].values["loss"][1]) == pytest.approx(
            float(F.cross_entropy(logits, split.targets)), rel=1e-5
        )
        assert float(rows[key].values["score"][1]) == pytest.approx(
            float((logits.argmax(1) == split.targets).float().mean())
        )


def test_what_is_recorded_of_a_regression_is_what_the_networks_do() -> None:
    """The test rows come in two chunks."""
    job = make_job(*SHORT, "data=teacher", "data.rows=1200", "data.outputs=2")
    assert len(InMemoryData(job.dataset, batch_size=32, seeds=[0]).chunks(len(job.dataset.test))) == 2
    module = train(job)
    network, own = job.build_member(job.members()[1]).eval(), job.dataset_for(1).test
    network.load_state_dict(state_of(module, 1))
    with torch.no_grad():
        outputs = network(own.inputs)
    row = module.history[-1]
    assert row.split == "test"
    assert float(row.values["loss"][1]) == pytest.approx(float(F.mse_loss(outputs, own.targets)), rel=1e-5)
    assert float(row.values["score"][1]) == pytest.approx(r2_score(own.targets, outputs), rel=1e-5)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_linear_teacher_is_understood(engine: str) -> None:
    teacher = ("data=teacher", "data.depth=0", "data.noise=0", "data.rows=500", "model.hidden=[]")
    module = train(make_job(*teacher, "seeds=2", "trainer.max_epochs=30", "optim.lr=0.01", f"engine={engine}"))
    assert module.history[0].values["score"].max() < 0.9
    assert module.history[-1].values["score"].min() > 0.99


def test_measuring_does_not_change_the_weights(tmp_path: Path) -> None:
    job = make_job(*SHORT, "logger=tensorboard", output_dir=tmp_path)
    with_logs, without = train(job, callbacks=[JobTracking(job, slice(0, 4))]), train(job)
    for name, value in state_of(without, 3).items():
        assert torch.equal(state_of(with_logs, 3)[name], value)


def test_a_diverged_member_leaves_the_others_alone() -> None:
    job = make_job(*SHORT)
    first, second, third, fourth = job.members()
    wild = Member(job.name, second.seed, second.init, 1e9)
    module = train(job, [first, wild, third, fourth])
    calm = train(job, [first, third, fourth])
    assert not module.history[-1].values["loss"][1].isfinite()
    assert module.history[-1].values["score"][1].isnan()  # not the share of class 0, which argmax of NaN would give
    for place, calm_place in ((0, 0), (2, 1), (3, 2)):
        for name, value in state_of(calm, calm_place).items():
            torch.testing.assert_close(state_of(module, place)[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", [pytest.param("vmap", marks=pytest.mark.slow), "loop"])
def test_dropout_too_gives_equal_bits_and_logs_do_not_change_it(engine: str, tmp_path: Path) -> None:
    job = make_job(*SHORT, "model.dropout=0.5", f"engine={engine}", "logger=tensorboard", output_dir=tmp_path)
    first, second = train(job, threads=2), train(job, threads=2, callbacks=[JobTracking(job, slice(0, 4))])
    for name, value in state_of(first, 3).items():
        assert torch.equal(state_of(second, 3)[name], value), name


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    train(make_job(*SHORT, "model.dropout=0.5"))
    assert torch.equal(before, torch.random.get_rng_state())


class Unused(nn.Module):
    """A network with a parameter that no loss depends on."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int, activation: Activation) -> None:  # noqa: ARG002
        super().__init__()
        self.linear, self.idle = nn.Linear(input_shape[0], out_features), nn.Linear(3, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_weight_decay_spares_what_has_no_gradient(engine: str) -> None:
    """As torch does: no gradient, no step."""
    own = (
        "model=residual_mlp",
        "model._target_=tests.cohort.test_members.Unused",
        "~model.depth",
        "~model.width",
        "~model.norm",
        "~model.scalars",
        "~model.bias",
    )
    job = make_job(*SHORT, *own, "optim=adamw", "optim.weight_decay=0.5", f"engine={engine}")
    trained = state_of(train(job), 0)
    fresh = dict(job.build_member(job.members()[0]).named_parameters())
    assert torch.equal(trained["idle.weight"], fresh["idle.weight"])
    assert not torch.equal(trained["linear.weight"], fresh["linear.weight"])


def test_the_gradient_norm_is_that_before_clipping() -> None:
    rows = train(make_job(*SHORT, "gradient_clip=0.01")).history
    norms = [row.values["gradient_norm"] for row in rows if row.split == "train"]
    assert all(bool((norm > 0.02).all()) for norm in norms)


def test_dropout_trains_and_differs_between_members() -> None:
    for engine in ("vmap", "loop"):
        job = make_job(*SHORT, "model.dropout=0.5", f"engine={engine}")
        member = job.members()[0]
        module = train(job, [member, member])
        assert not torch.equal(state_of(module, 0)["output.weight"], state_of(module, 1)["output.weight"])


def test_clipping_is_each_members_own() -> None:
    gradients = [torch.randn(3, 4, 5), torch.randn(3, 7)]
    gradients[0][1] *= 100
    expected = [gradient.clone() for gradient in gradients]
    clip_members(gradients, 2.0)
    for member in range(3):
        parameters = [nn.Parameter(torch.zeros_like(gradient[member])) for gradient in expected]
        for parameter, gradient in zip(parameters, expected, strict=True):
            parameter.grad = gradient[member].clone()
        nn.utils.clip_grad_norm_(parameters, 2.0)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient[member])


@pytest.mark.parametrize("engine", [VmapEngine, LoopEngine])
def test_a_step_sees_the_weights_of_the_last(engine: Callable[..., Engine]) -> None:
    """autocast keeps its casts of the weights until its context ends, and Lightning's is around many steps."""
    job = make_job("seeds=2")
    stack = stack_members(job.build_member(member) for member in job.members())
    both = engine(stack, Loss(cross_entropy), contextlib.nullcontext)
    batches = torch.arange(16).repeat(2, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before, _ = both.gradients(job.dataset.train, batches)
        with torch.no_grad():
            for parameter in stack.parameters.values():
                parameter.mul_(2)
        after, _ = both.gradients(job.dataset.train, batches)
    torch.testing.assert_close(after, 8 * before, rtol=0.05, atol=0.05)  # three layers, biases zero


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_bfloat16_learns_what_float32_learns(engine: str) -> None:
    exact, rough = (
        train(make_job(f"trainer.precision={name}", "trainer.max_epochs=10", "seeds=2", f"engine={engine}"))
        for name in ("32-true", "bf16-mixed")
    )
    torch.testing.assert_close(rough.history[-1].values["loss"], exact.history[-1].values["loss"], rtol=0.15, atol=0.01)
    assert not torch.equal(rough.history[-1].values["loss"], exact.history[-1].values["loss"])  # it is in use


@pytest.mark.parametrize("data", ["wine", "teacher"])
def test_double_precision(data: str) -> None:
    module = train(make_job(*SHORT, f"data={data}", "trainer.precision=64-true"))
    assert module.parameter_stack[0].dtype == torch.float64
    assert module.history[-1].values["score"].min() > 0.5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_cuda_learns_what_the_cpu_learns(engine: str) -> None:
    gpu, cpu = (
        train(make_job(*SHORT, f"engine={engine}", f"trainer.accelerator={device}")) for device in ("cuda", "cpu")
    )
    torch.testing.assert_close(gpu.history[-1].values["loss"], cpu.history[-1].values["loss"], rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_double_precision_is_not_left_behind_by_threads() -> None:
    """Lightning's context for it sets torch's default, which all threads share."""
    for _ in range(3):
        module = train(make_job("data=digits", "engine=loop", "trainer.precision=64-true", *SHORT), threads=2)
        assert torch.get_default_dtype() == torch.float32
    assert module.parameter_stack[0].dtype == torch.float64
