"""What is found out before anything trains."""

import os
import warnings
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from initlab.base.errors import RefusedError, UserError
from initlab.jobs.job import Job
from initlab.sweep import checks
from initlab.sweep.checks import Checked, check_job, check_jobs, check_probing, distinct_jobs, prepare_folder
from tests.helpers import QUICK, make_job, run

OWN = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, out_features, *, softmax: bool = False):
        super().__init__(nn.Linear(13, out_features), *([nn.Softmax(1)] if softmax else []))
"""
SAID = "model: its outputs are probabilities (they sum to 1), and cross entropy expects logits: leave the softmax out"


class Threads(nn.Linear):
    """A linear network that notes on how many threads it runs."""

    seen: ClassVar[list[int]] = []

    def __init__(self, input_shape: tuple[int, ...], out_features: int) -> None:
        super().__init__(input_shape[0], out_features)

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(torch.get_num_threads())
        return super().forward(inputs)


class Odd(nn.Linear):
    """A linear network that is not what a job needs, in the way asked for."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int, *, how: str) -> None:
        super().__init__(input_shape[0], out_features + (how == "wide"))
        self.how = how
        if how == "fails when built":
            raise ArithmeticError("no such network")

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]  # no tensor: odd
        outputs = super().forward(inputs)
        if self.how == "fails when it runs":
            raise ArithmeticError("no such rows")
        if self.how == "fails when it is evaluated" and not self.training:
            raise ArithmeticError("not in training")
        if self.how == "a pair":
            return outputs, outputs
        if self.how == "narrow":
            return outputs[:, :-1]
        if self.how == "flat":
            return outputs[:, 0]
        return outputs


def odd(how: str, *overrides: str) -> Job:
    return make_job("model._target_=tests.sweep.test_checks.Odd", f"+model.how={how}", *overrides)


def test_two_rows_go_through_on_one_thread() -> None:
    """Threads that wait for each other at every layer took most of a probe's time where other programs were at work."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        check_job(make_job("model._target_=tests.sweep.test_checks.Threads"))
        assert (Threads.seen, torch.get_num_threads()) == ([1, 1], 2)
    finally:
        torch.set_num_threads(before)


def test_a_job_that_is_named_twice_is_one() -> None:
    he, xavier = make_job("init=he"), make_job("init=xavier")
    assert [job.name for job in distinct_jobs([he, xavier, make_job("init=he"), he])] == [he.name, xavier.name]


@pytest.mark.parametrize("other", ["n_jobs=3", "data.download=false", "threads=2", "plugins=[json]"])
def test_what_is_no_part_of_a_name_must_not_differ(other: str) -> None:
    jobs = [make_job("data=wine_quality"), make_job("data=wine_quality", other)]
    assert jobs[0].name == jobs[1].name
    with pytest.raises(UserError, match=r"data=wine_quality: several jobs would write to this folder"):
        distinct_jobs(jobs)


def test_a_sweep_has_one_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a sweep writes to one folder"):
        distinct_jobs([make_job("init=he"), make_job("init=xavier", output_dir=tmp_path)])


def test_pairs_that_do_not_exist_are_told_apart_by_their_reasons() -> None:
    commands = (
        "init=he",
        "init=fixup",
        "init=mean_field activation=softplus",
        "init=fixup optim.lr=0.3",
        "init=xavier",
    )
    he, fixup, field, again, xavier = jobs = [make_job(*command.split()) for command in commands]
    checked = check_jobs(jobs)
    assert checked.usable == [he, xavier]
    assert list(checked.refused.values()) == [[fixup.name, again.name], [field.name]]
    reasons = list(checked.refused)
    assert "fixup works on residual branches" in reasons[0]
    assert "no σ_w makes softplus critical" in reasons[1]


def test_jobs_that_differ_in_rate_and_seeds_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = list[str]()

    def check(job: Job) -> list[str]:
        checked.append(job.name)
        return []

    monkeypatch.setattr(checks, "check_network", check)
    commands = (
        "init=he",
        "optim.lr=0.3 init=he",
        "seeds=3 init=he",
        "init=he seed=4",
        "init=he batch_size=7",
        "init=he n_jobs=2",
    )
    jobs = [make_job(*command.split()) for command in commands]
    assert check_jobs(jobs) == Checked(jobs, {}, {}, [])
    assert checked == [jobs[0].name, jobs[4].name]


def test_another_mistake_stops_all() -> None:
    with pytest.raises(UserError, match="expected a tensor of outputs, got tuple") as stopped:
        check_jobs([make_job("init=he"), odd("'a pair'", "init=he"), make_job("init=fixup")])
    assert not isinstance(stopped.value, RefusedError)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("fails when built", r"failed: ArithmeticError: no such network"),
        ("fails when it runs", r"on rows of shape \(13,\) failed: ArithmeticError: no such rows"),
        ("fails when it is evaluated", r"failed: ArithmeticError: not in training"),
        ("a pair", r"expected a tensor of outputs, got tuple"),
        ("narrow", r"expected outputs of shape \(2, 3\) for 2 rows, got \(2, 2\)"),
        ("flat", r"expected outputs of shape \(2, 3\) for 2 rows, got \(2,\)"),
    ],
)
def test_a_network_that_cannot_train(how: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as refused:
        check_job(odd(f"'{how}'"))
    assert str(refused.value).startswith("model")
    assert not isinstance(refused.value, RefusedError)


def test_logits_of_no_class_are_allowed_and_outputs_of_no_target_are_not() -> None:
    check_job(odd("wide"))
    with pytest.raises(UserError, match=r"expected outputs of shape \(2, 1\) for 2 rows, got \(2, 2\)"):
        check_job(odd("wide", "data=teacher"))


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("optim._target_=torch.optim.LBFGS",), "members can share an elementwise optimizer only"),
        (("optim.weight_decay=-1",), "torch.optim.SGD refuses this"),
        (("trainer.accelerator=tpu",), "trainer: "),
        (("logger._target_=nowhere.Logger",), "logger._target_=nowhere.Logger: cannot import it"),
        (("data=mnist", "data.download=false"), "cannot read MNIST from"),
        (("model.norm=batch", "batch_size=1"), "Expected more than 1 value per channel"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_had(overrides: tuple[str, ...], reason: str) -> None:
    logger = () if any("logger" in override for override in overrides) else ("logger=none",)
    with pytest.raises(UserError, match=reason) as refused:
        check_job(make_job(*overrides, *logger))
    assert not isinstance(refused.value, RefusedError)


def test_an_initializer_and_a_network_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RefusedError, match="fixup works on residual branches"):
        check_job(make_job("init=fixup"))


def test_checking_leaves_no_trace() -> None:
    """No random numbers are drawn, and a warning of the initializer waits for the training."""
    before = torch.random.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_job(make_job("model.dropout=0.5", "init=lsuv", "init.tolerance=1e-12", "init.tries=1"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_folder_is_made_and_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "study"
    for _ in range(2):
        prepare_folder(folder)
        assert list(folder.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"output_dir: cannot write .*file/study \(.*\); set output_dir=DIR"):
        prepare_folder(tmp_path / "file" / "study")


def test_hosts_that_share_a_disk_may_try_a_folder_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each under a name of its own, though their process ids are equal; and one may tidy up after the other."""
    tried = list[Path]()
    unlink = Path.unlink

    def unlink_twice(path: Path, missing_ok: bool = False) -> None:
        tried.append(path)
        unlink(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(Path, "unlink", unlink_twice)
    for _ in range(2):
        prepare_folder(tmp_path)
    assert len(set(tried)) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("softmax", "init"), [("true", "he"), ("true", "zeros"), ("false", "he"), ("false", "zeros")])
def test_a_softmax_at_the_end_is_said_under_cross_entropy(
    softmax: str, init: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "with_softmax.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    command = f"model._target_=with_softmax.Net +model.softmax={softmax} init={init} {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    assert (SAID in capsys.readouterr().out.splitlines()) == (softmax == "true")


@pytest.mark.parametrize("typed", ["optim._target_=torch.optim.LBFGS", "optim.decay=weigths"])
def test_a_probe_refuses_what_training_would(typed: str) -> None:
    """As far as that is seen without an optimizer: a swept mistake would give the same probe again and again."""
    key = typed.partition("=")[0]
    for check in (check_job, check_probing):
        with pytest.raises(UserError, match=key):
            check(make_job(typed))
