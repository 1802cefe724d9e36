"""Activations that change nothing in a network: it trains once."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from initlab.activations import Activation
from initlab.sweep.checks import check_jobs
from tests.helpers import QUICK, make_job, run

HERE = "model._target_=tests.sweep.test_unchanged"


class Deaf(nn.Sequential):
    """Has an activation of its own, and takes none."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int) -> None:
        super().__init__(nn.Linear(input_shape[0], 8), nn.Tanh(), nn.Linear(8, out_features))


class Idle(Deaf):
    """Takes an activation, and does nothing with it."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int, activation: object) -> None:  # noqa: ARG002
        super().__init__(input_shape, out_features)


class Quiet(Deaf):
    """Uses the activation in its forward pass, and does not show it."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int, activation: Activation) -> None:
        super().__init__(input_shape, out_features)
        self.__dict__["hidden"] = activation.module()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self[2](self.__dict__["hidden"](self[0](input)))
        return outputs


@pytest.mark.parametrize(("network", "how"), [("Deaf", "takes no argument"), ("Idle", "makes nothing of its argument")])
def test_a_network_that_no_activation_changes_trains_once(
    network: str, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m {HERE}.{network} activation=tanh,relu init=he,xavier {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert (
        f"left out: activation: {HERE}.{network} {how} activation, so that it would train what activation=tanh trains\n"
        "  activation=relu,init=he\n"
        "  activation=relu,init=xavier\n"
    ) in said
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert sorted(summary["init"]) == ["he_normal", "xavier_normal"]


def test_what_the_activation_changes_is_kept() -> None:
    """The initial weights by their gain, or outputs though zeros hide them, or the learning rate beside it."""
    for network, init in (("Deaf", "init.gain=kaiming"), ("Quiet", "init=zeros")):
        jobs = [make_job(f"{HERE}.{network}", init, f"activation={name}") for name in ("tanh", "relu")]
        checked = check_jobs(jobs)
        assert (checked.usable, checked.refused) == (jobs, {})
    jobs = [
        make_job(f"{HERE}.Deaf", f"optim.lr={rate}", f"activation={a}") for a in ("tanh", "relu") for rate in (1, 2)
    ]
    assert check_jobs(jobs).usable == jobs[:2]


def test_an_activation_that_is_typed_for_nothing_is_noted() -> None:
    note = f"activation: {HERE}.Deaf takes no argument activation: it tells initializers what to reckon with, and"
    assert check_jobs([make_job(f"{HERE}.Deaf", "activation=tanh")]).notes == [f"{note} changes nothing in the network"]
    for typed in ([f"{HERE}.Deaf"], ["activation=tanh"], [f"{HERE}.Quiet", "activation=tanh"]):
        assert check_jobs([make_job(*typed)]).notes == []
