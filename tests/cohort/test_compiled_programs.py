"""A program that is kept on disk is the one that would be traced, and is asked for by all that it depends on."""

import copy
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from initlab.base.lock import locked
from initlab.cohort import compiled, compiled_key, compiled_programs
from initlab.cohort.compiled_programs import compiled_folder, is_random, keep_program, load_program
from initlab.cohort.module import CohortModule
from initlab.cohort.recipe import Recipe
from initlab.data.dataset import Split
from tests.helpers import make_job, train

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with a C++ compiler")
BASE = (
    "trainer.accelerator=cpu",
    "init=he",
    "batch_size=16",
    "model.hidden=[6]",
    "seeds=3",
    "trainer.max_epochs=2",
    "compile=true",
)


@pytest.fixture(autouse=True)
def _own_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INITLAB_COMPILED", str(tmp_path / "programs"))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The keys under which steps are looked for; nothing is compiled."""
    seen: list[str | None] = []

    class Step:
        def __init__(self, recipe: Recipe, rows: Split, batches: Tensor) -> None:
            seen.append(compiled._key(recipe, rows, batches))
            raise RuntimeError("not compiled here")

    monkeypatch.setattr(compiled, "CompiledStep", Step)
    return seen


def trained(*overrides: str) -> CohortModule:
    return train(make_job(*BASE, *overrides))


def key_of(keys: list[str | None], *overrides: str) -> str | None:
    with pytest.warns(UserWarning, match="not compiled here"):
        trained("trainer.max_epochs=1", *overrides)
    return keys.pop()


def test_the_same_is_asked_for_under_the_same_key(keys: list[str | None]) -> None:
    first = key_of(keys)
    assert first is not None
    for same in ("seed=7", "init=xavier", "trainer.max_epochs=3", "report=false"):
        assert key_of(keys, same) == first, same


@pytest.mark.parametrize(
    "change",
    [
        "model.hidden=[7]",
        "model.bias=false",
        "model.norm=batch",
        "activation=tanh",
        "activation=leaky_relu",
        "optim=momentum",
        "optim.weight_decay=0.01",
        "optim.lr=0.02",
        "gradient_clip=0.5",
        "gradient_clip=0.25",
        "loss=bce",
        "batch_size=15",
        "seeds=4",
        "early_stopping.patience=1",
        "trainer.precision=64-true",
        "data=spirals",
    ],
)
def test_whatever_changes_a_step_has_a_key_of_its_own(change: str, keys: list[str | None]) -> None:
    assert key_of(keys, "optim=sgd", change) not in (None, key_of(keys, "optim=sgd"))


def test_an_argument_of_an_activation_is_a_part_of_the_key() -> None:
    one, other = (nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(slope)) for slope in (0.1, 0.2))
    assert compiled_key.compiled_key(one) != compiled_key.compiled_key(other)
    assert compiled_key.compiled_key(one) == compiled_key.compiled_key(copy.deepcopy(one))


class Own(nn.Module):
    """A network whose code may change from one run to the next."""

    def forward(self, input: Tensor) -> Tensor:
        return input * 2


def test_code_that_may_change_unseen_has_no_key() -> None:
    hooked, patched = nn.Linear(3, 2), nn.Linear(3, 2)
    hooked.register_forward_hook(lambda _, __, outputs: outputs * 2)
    patched.forward = Own().forward  # type: ignore[method-assign]
    for network in (Own(), nn.Sequential(nn.Linear(3, 2), Own()), hooked, patched):
        assert compiled_key.compiled_key(network) is None
    assert compiled_key.compiled_key(nn.Linear(3, 2)) is not None


@pytest.mark.parametrize("changed", ["_processor", "_own_code", "version"])
def test_another_machine_and_other_code_have_other_keys(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled_key.compiled_key(1)
    monkeypatch.setattr(compiled_key, changed, lambda *_: "another")
    assert compiled_key.compiled_key(1) != before


def test_programs_that_were_not_used_for_longest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_programs, "MOST_PROGRAMS", 2)
    compiled_folder().mkdir(parents=True)
    for place, name in enumerate("abc"):
        path = compiled_folder() / f"{name}.pt2"
        path.touch()
        os.utime(path, (place, place))
    compiled_programs._forget_oldest()
    assert sorted(path.stem for path in compiled_folder().iterdir()) == ["b", "c"]


def test_what_draws_random_numbers_is_not_kept() -> None:
    """Its generator is torch's own, which goes on from step to step."""
    assert is_random(make_fx(lambda values: nn.functional.dropout(values))(torch.ones(3)))
    assert not is_random(make_fx(lambda values: values.relu())(torch.ones(3)))


def test_one_process_compiles_a_program_and_another_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked for it before, and traced it."""
    traced, lock = make_fx(lambda values: values.relu())(torch.ones(3)), compiled_folder() / "a.lock"
    kept, compiled_here, found = list[str](), list[str](), list[object]()
    monkeypatch.setattr(compiled_programs, "load_program", lambda key: torch.relu if key in kept else None)

    def compile_here(_: object, key: str) -> object:
        compiled_here.append(key)
        return torch.relu

    monkeypatch.setattr(compiled_programs, "_compiled", compile_here)
    other = threading.Thread(target=lambda: found.append(keep_program(traced, "a")))
    with locked(lock):
        other.start()
        other.join(0.3)
        assert not found
        kept.append("a")
    other.join(10)
    assert found == [torch.relu]
    assert not compiled_here
    assert not lock.exists()
    assert keep_program(traced, "b") is torch.relu
    assert compiled_here == ["b"]


@needs_compiler
def test_a_second_training_is_not_traced_and_both_differ_from_an_uncompiled_one_by_rounding_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("optim=adamw", "gradient_clip=0.5")
    first, uncompiled = trained(*options), trained(*options, "compile=false")
    assert first.compiled
    assert len(list(compiled_folder().iterdir())) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("traced")

    monkeypatch.setattr(compiled, "_trace", refuse)
    second = trained(*options)
    assert second.compiled
    for name, value in first.stack.parameters.items():
        assert torch.equal(value, second.stack.parameters[name])
        torch.testing.assert_close(value, uncompiled.stack.parameters[name], rtol=2e-3, atol=2e-4)
    (path,) = compiled_folder().iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    assert load_program(path.stem) is None
    assert load_program("another") is None
