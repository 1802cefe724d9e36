"""A compiled step is the step that the engine and the optimizer take one operation after another."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from initlab.cohort import compiled
from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.engines import VmapEngine
from initlab.cohort.members_last import Last, MembersLast, members_last
from initlab.cohort.module import CohortModule
from initlab.cohort.networks import build_networks
from initlab.cohort.optimizers import SUPPORTED, CohortOptimizer
from initlab.cohort.run import train_cohort
from initlab.cohort.steps import is_worth_compiling
from initlab.data.dataset import Split
from initlab.jobs.member import Member
from initlab.jobs.share import Share
from initlab.modules.stack import Stack
from tests.helpers import make_job, train

SHORT = ("trainer.max_epochs=2", "seeds=3", "init=he", "batch_size=15", "trainer.accelerator=cpu")
SMALL = "model.hidden=[6]"
DOUBLE = "trainer.precision=64-true"
MEMBERS = 5


def uncompiled(program: fx.GraphModule, *_: object) -> Callable[..., Any]:
    """In place of a compiler: runs a traced program as it is."""
    run: Callable[..., Any] = program.forward
    return run


@pytest.fixture(autouse=True)
def _own_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program that another test has kept."""
    monkeypatch.setenv("INITLAB_COMPILED", str(tmp_path / "programs"))


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[fx.GraphModule]:
    """The programs that were traced; they run as they are, which spares the compiler's seconds."""
    seen: list[fx.GraphModule] = []

    def keep(program: fx.GraphModule, *others: Any) -> Callable[..., Any]:
        seen.append(program)
        return uncompiled(program, *others)

    monkeypatch.setattr(compiled, "compile_program", keep)
    return seen


def trained(*overrides: str, rates: bool = True) -> CohortModule:
    job = make_job(*SHORT, *overrides)
    members = [
        Member(job.name, one.seed, one.init, one.learning_rate * (1 + rates * place))
        for place, one in enumerate(job.members())
    ]
    return train(job, members)


def assert_same(one: CohortModule, other: CohortModule, *, rtol: float, atol: float) -> None:
    """Weights, running statistics, and all that was recorded."""
    for part in ("parameters", "buffers"):
        theirs = getattr(other.stack, part)
        for name, value in getattr(one.stack, part).items():
            torch.testing.assert_close(value, theirs[name], rtol=rtol, atol=atol)
    for mine, its in zip(one.history, other.history, strict=True):
        for name, value in mine.values.items():
            torch.testing.assert_close(value, its.values[name], rtol=rtol, atol=atol, equal_nan=True)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((SMALL, "optim=sgd"), marks=pytest.mark.slow),
        (SMALL, "optim=momentum", "gradient_clip=0.1", "data.resplit=true"),
        (SMALL, "optim=adam", "optim.weight_decay=0.1", "model.norm=batch", "model.bias=false"),
        ("optim=adamw", "model.norm=layer", "model.hidden=[6,5]", "optim.decay=weights", "activation=gelu"),
        ("optim=sgd", "model.hidden=[96,96]", "model.norm=batch"),  # large products: members stay first
        (SMALL, "optim=adamw", "data=teacher", "data.rows=110", "data.outputs=2", "activation=tanh"),
        (SMALL, "optim=sgd", "scheduler=warmup_cosine", "loss=bce"),
        (SMALL, "optim=adamw", "early_stopping.patience=1", "early_stopping.min_delta=0.3", "trainer.max_epochs=4"),
        pytest.param(
            ("model.width=6", "model.depth=1", "optim=adam", "init=mup", "optim.scaling=mup", "optim.base_width=3"),
            marks=pytest.mark.slow,
        ),
        ("data=parity", "data.steps=5", "data.rows=32", "model.width=5", "optim=sgd"),
    ],
    ids=lambda options: " ".join(options),
)
def test_in_double_precision_it_is_the_same_to_a_billionth(
    options: tuple[str, ...], traced: list[fx.GraphModule]
) -> None:
    both = [trained(*options, DOUBLE, f"compile={choice}") for choice in ("false", "true")]
    assert len(traced) == 1
    assert both[1].compiled
    assert not both[0].compiled
    assert_same(*both, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(
    ("options", "uncompiled_steps"),
    [
        ((SMALL, "optim=sgd"), 1),
        ((SMALL, "model.norm=layer"), 1),
        ((SMALL, "model.norm=batch"), 4),  # a row's outputs depend on the others of its batch
        ((SMALL, "model.dropout=0.1"), 4),  # rows that do not count would use up random numbers
    ],
)
def test_the_last_step_of_an_epoch_is_compiled_where_rows_have_nothing_to_do_with_each_other(
    options: tuple[str, ...], uncompiled_steps: int, traced: list[fx.GraphModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    uncompiled_step = VmapEngine.gradients

    def count(engine: VmapEngine, rows: Split, batches: Tensor) -> tuple[Tensor, Tensor]:
        taken.append(batches.shape[1])
        return uncompiled_step(engine, rows, batches)

    monkeypatch.setattr(VmapEngine, "gradients", count)
    module = trained(*options, "trainer.max_epochs=3", "compile=true")
    rest = module.data.rows("train") % 15
    assert rest > 1
    assert taken == [15, rest, rest, rest][:uncompiled_steps]
    assert len(traced) == 1


@pytest.mark.parametrize("name", sorted(SUPPORTED))
def test_every_optimizer_can_be_traced(name: str) -> None:
    """Three members at rates of their own, of which the last has stopped."""
    draw = torch.Generator().manual_seed(0)
    starts = [
        torch.randn(3, 4, dtype=torch.float64, generator=draw),
        torch.randn(3, dtype=torch.float64, generator=draw),
    ]
    config, rates, stopped = (
        {"_target_": name, "weight_decay": 0.1},
        [0.1, 0.02, 0.3],
        torch.tensor([False, False, True]),
    )
    stacks = [[start.clone().requires_grad_() for start in starts] for _ in range(2)]
    one, other = (CohortOptimizer(config, stack, rates) for stack in stacks)

    def set_gradients() -> None:
        gradients = [torch.randn(start.shape, dtype=torch.float64, generator=draw) for start in starts]
        for stack in stacks:
            for weights, gradient in zip(stack, gradients, strict=True):
                weights.grad = gradient.clone()

    set_gradients()
    one.step(stopped)
    other.step(stopped)  # makes the states
    other.keep_settings()
    given = ([w.detach() for w in stacks[1]], [torch.zeros_like(start) for start in starts], other.states())
    flat, structure = tree_flatten(given)

    def step(*tensors: Tensor) -> None:
        parameters, gradients, states = tree_unflatten(list(tensors), structure)
        other.step_on(parameters, gradients, states, other.ratios(), stopped)

    with torch.no_grad(), compiled.tracing():
        program = make_fx(step, tracing_mode="fake", _allow_non_fake_inputs=True)(*flat)
    for _ in range(4):
        set_gradients()
        one.step(stopped)
        with torch.no_grad():
            program(*flat[:2], *(weights.grad for weights in stacks[1]), *flat[4:])
    for mine, its in zip(*stacks, strict=True):
        assert not torch.equal(mine[0], starts[0][0])
        torch.testing.assert_close(mine, its, rtol=1e-8, atol=1e-11)  # NAdam keeps a product in single precision


def test_without_a_compiler_it_trains_uncompiled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Callable[..., Any]:
        def run(*_: Tensor) -> None:
            raise RuntimeError("No working C++ compiler found\nin a long tale")

        return run

    monkeypatch.setattr(compiled, "compile_program", fail)
    with pytest.warns(UserWarning, match=r"\(RuntimeError: No working C\+\+ compiler found\)"):
        tried = trained(SMALL, "compile=true")
    assert not tried.compiled
    assert_same(tried, trained(SMALL, "compile=false"), rtol=1e-5, atol=1e-6)


def test_a_schedule_that_moves_more_than_the_rates_is_not_compiled(traced: list[fx.GraphModule]) -> None:
    cycle = ("+scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "+scheduler.interval=step")
    trained(SMALL, "optim=momentum", "compile=true", *cycle)
    assert not traced
    trained(SMALL, "optim=momentum", "compile=true", *cycle, "+scheduler.cycle_momentum=false")
    assert len(traced) == 1


def test_no_program_is_kept_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str | None] = []

    def compiler(program: fx.GraphModule, key: str | None) -> Callable[..., Any]:
        keys.append(key)
        return uncompiled(program)

    monkeypatch.setattr(compiled, "compile_program", compiler)
    trained(SMALL, "compile=true")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    trained(SMALL, "compile=true")
    assert keys[0] is not None
    assert keys[1] is None


@pytest.mark.parametrize(("hidden", "threads"), [("[6]", 1), ("[96,96]", 3)])
def test_loops_over_members_run_on_one_thread(hidden: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def compiler(program: fx.GraphModule, *_: Any) -> Callable[..., Any]:
        def run(*tensors: Tensor) -> Any:
            seen.add(torch.get_num_threads())
            return program.forward(*tensors)

        return run

    monkeypatch.setattr(compiled, "compile_program", compiler)
    job = make_job(*SHORT, f"model.hidden={hidden}", "optim=sgd", "compile=true", "threads=3")
    share = Share(job, job.seeds)
    train_cohort([share], build_networks(share))
    assert seen == {threads}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_on_a_gpu_it_changes_nothing_but_the_rounding(optimizer: str) -> None:
    options = (SMALL, f"optim={optimizer}", "gradient_clip=0.5", "trainer.accelerator=cuda")
    both = [trained(*options, f"compile={choice}") for choice in ("true", "false")]
    assert both[0].compiled
    assert not both[1].compiled
    assert_same(*both, rtol=2e-3, atol=2e-4)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
def test_a_compiled_cohort_repeats_to_the_bit_with_dropout_and_after_a_kill(tmp_path: Path) -> None:
    assert_resumes(tmp_path, "model.dropout=0.2", "compile=true")


@pytest.mark.parametrize("options", [("optim=momentum", "scheduler=cosine", "model.norm=batch")])
def test_a_killed_one_goes_on_to_the_bit(
    options: tuple[str, ...], traced: list[fx.GraphModule], tmp_path: Path
) -> None:
    assert_resumes(tmp_path, *options, "compile=true")
    assert len(traced) == 3


def assert_resumes(folder: Path, *options: str) -> None:
    job = make_job(*SHORT, SMALL, "trainer.max_epochs=4", *options)
    share = Share(job, job.seeds)

    class Killed(pl.Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
            if trainer.current_epoch == 2:
                raise RuntimeError("killed")

    whole = train_cohort([share], build_networks(share))
    path = folder / "checkpoint.ckpt"
    with pytest.raises(RuntimeError, match="killed"):
        train_cohort([share], build_networks(share), [Killed()], checkpoint=Checkpoint(path, 0))
    resumed = train_cohort([share], build_networks(share), checkpoint=Checkpoint(path, 0))
    columns = ["train_loss", "val_loss", "test_loss", "test_score"]
    assert resumed.members[columns].equals(whole.members[columns])


@pytest.mark.parametrize(
    ("overrides", "steps", "cohorts", "expected"),
    [
        (("experiment=classic_wine", "seeds=2000"), 4000, 1, True),
        (
            ("experiment=classic_wine", "seeds=400"),
            4000,
            1,
            False,
        ),  # saves 3.5 s, and takes more where it is not on disk
        (("experiment=classic_wine", "seeds=400"), 4000, 4, True),  # one program for all
        (("experiment=classic_wine", "seeds=10"), 4000, 1, False),  # saves a second or two
        (("experiment=classic_wine", "seeds=400"), 80, 1, False),
        (("data=adding", "data.rows=40", "data.steps=30", "model.width=4", "seeds=400"), 100_000, 1, False),
    ],
)
def test_auto_compiles_what_saves_more_than_it_takes(
    overrides: tuple[str, ...], steps: int, cohorts: int, expected: bool
) -> None:
    job = make_job(*overrides)
    template = job.build_member(job.members()[0])
    stack = Stack(
        template,
        {name: value.detach().expand(len(job.seeds), *value.shape) for name, value in template.named_parameters()},
        {},
    )
    sample = job.dataset.train.inputs[:2]

    def worth(requested: Any, engine: str = "vmap") -> bool:
        return is_worth_compiling(requested, engine=engine, stack=stack, sample=sample, steps=steps, cohorts=cohorts)

    assert worth("auto") is expected
    assert worth(True)
    assert not worth(False)
    assert not worth(True, engine="loop")


def attention(values: Tensor, weights: Tensor) -> Tensor:
    """Of (3, 4) and (4, 4), with a mask that no member owns."""
    scores = (values @ weights) @ values.t() / 2
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ values


FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda values, weights: values @ weights,
    "product added": lambda values, weights: torch.addmm(weights[0], values, weights, beta=0.5, alpha=2.0),
    "attention": attention,
    "cross entropy": lambda values, weights: F.cross_entropy(values @ weights, torch.tensor([0, 3, 1])),
    "batch norm": lambda values, weights: F.batch_norm(values @ weights, None, None, training=True),
    "layer norm": lambda values, weights: F.layer_norm(values, (4,), weights[0]),
    "joined, cut and turned": lambda values, weights: torch.cat([values, weights])[1:6].flip(0).t().reshape(2, 10),
    "norms": lambda values, weights: torch.linalg.vector_norm(values, dim=1) + weights.norm(),
    "largest": lambda values, weights: values.amax(0) - weights.amin(1) + values.max(),
    "looked up": lambda values, weights: F.embedding(torch.tensor([1, 1, 3]), weights) * values,
    "convolved": lambda values, weights: F.conv1d(values[None], weights[:3, :, None].expand(3, 4, 2)[:, :3]),
    "sorted": lambda values, weights: values.sort(1).values * weights.cumsum(0)[:3],
    "one member's units": lambda values, weights: values.flatten()[:4] + weights.diagonal(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_program_with_members_last_computes_what_vmap_computes(name: str) -> None:
    """And its gradient; what there is no rule for runs as it was traced."""
    draw = torch.Generator().manual_seed(0)
    values = members_last(torch.randn(MEMBERS, 3, 4, dtype=torch.float64, generator=draw))
    weights = members_last(torch.randn(MEMBERS, 4, 4, dtype=torch.float64, generator=draw))

    def both(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        leaf = weights.detach().requires_grad_()
        found = vmap(FUNCTIONS[name])(values, leaf)
        (gradient,) = torch.autograd.grad((found**2).sum(), leaf, allow_unused=True)
        return found.detach(), torch.zeros_like(leaf) if gradient is None else gradient

    program = make_fx(both, tracing_mode="fake")(values, weights)
    found = MembersLast(program).run(Last(values.movedim(0, -1)), Last(weights.movedim(0, -1)))
    for mine, its in zip(found, both(values, weights), strict=True):
        torch.testing.assert_close(mine.first() if isinstance(mine, Last) else mine, its, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["product", "attention", "layer norm", "norms", "largest"])
def test_with_a_rule_for_each_operation_members_stay_last(name: str) -> None:
    values, weights = torch.randn(MEMBERS, 3, 4), torch.randn(MEMBERS, 4, 4)
    table = compiled.TAKEN_APART
    program = make_fx(vmap(FUNCTIONS[name]), decomposition_table=table)(values, weights)
    assert isinstance(MembersLast(program).run(Last(values.movedim(0, -1)), Last(weights.movedim(0, -1))), Last)


def test_what_would_be_written_to_a_copy_is_refused() -> None:
    """A write into a row of all members' units, which is a view where members are first, would be lost."""

    def write(values: Tensor) -> Tensor:
        values.view(-1).mul_(2)
        return values

    program = make_fx(write)(torch.ones(MEMBERS, 3))
    with pytest.raises(NotImplementedError, match="all members in one row"):
        MembersLast(program).run(Last(torch.ones(3, MEMBERS)))
