"""Schemes for recurrent cells: in initlab's own, in torch's and in those of users."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.base.errors import InitializationWarning, RefusedError, UserError
from initlab.initializers.stored import Stored
from initlab.models.recurrent import GRU, LSTM
from initlab.sweep.checks import check_job, check_jobs
from tests.helpers import QUICK, make_job, run
from tests.initializers.laws_recurrent import LAWS
from tests.initializers.networks import fill

WALKS = ("data=function", "data.call=tests.models.helpers.walks")
CASES = [pytest.param(name, *case, id=f"{name}-{n}") for name, cases in LAWS.items() for n, case in enumerate(cases)]


@pytest.mark.parametrize(("name", "parameters", "network", "holds"), CASES)
def test_an_error_in_any_parameter_is_seen(
    name: str, parameters: dict[str, Any], network: Callable[[], nn.Module], holds: Callable[[nn.Module], bool]
) -> None:
    """Biases, too, and the weights in torch's own cells."""
    model = network()
    fill(model, name, parameters)
    assert holds(model)
    for parameter in model.parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.mul_(1.05).add_(0.0 if kept.any() else 0.05)
            assert not holds(model)
            parameter.copy_(kept)


@pytest.mark.parametrize(
    "cells",
    [
        nn.RNN(3, 4, 2, bidirectional=True, nonlinearity="relu"),
        nn.RNNCell(3, 4, nonlinearity="relu"),
        nn.LSTM(3, 4, 2),
        nn.GRUCell(3, 4),
    ],
    ids=lambda cells: type(cells).__name__,
)
def test_irnn_knows_which_weights_of_torch_act_on_a_state(cells: nn.Module) -> None:
    initlab.initialize(cells, "irnn", seed=0, activation="relu")
    for name, value in cells.named_parameters():
        if "weight_hh" in name:
            assert torch.equal(value, torch.eye(4).repeat(len(value) // 4, 1))
        else:
            assert float(value.detach().abs().max()) < 0.01


def test_a_cell_of_ones_own_says_what_it_has() -> None:
    class Own(nn.Module):
        """A GRU whose gates stand in another order, stored by their inputs, with one bias."""

        def __init__(self, gates: str = "zrn") -> None:
            super().__init__()
            self.kernel, self.state = nn.Parameter(torch.ones(5, 12)), nn.Parameter(torch.ones(4, 12))
            self.shift, self.gates = nn.Parameter(torch.zeros(12)), gates

        def initlab_weights(self) -> dict[str, Stored]:
            return {
                "kernel": Stored("in group out", shape=(5, 3, 4), gates=self.gates),
                "state": Stored("in group out", "shift", (4, 3, 4), recurrent=True, gates=self.gates),
            }

    model = Own()
    initlab.initialize(model, "chrono", seed=0, steps=9)
    keep = torch.sigmoid(model.shift.detach())
    assert bool(((keep[:4] > 0.5) & (keep[:4] < 8 / 9)).all())
    assert torch.equal(keep[4:], torch.full((8,), 0.5))
    initlab.initialize(model, "irnn", seed=0, activation="relu")
    assert torch.equal(model.state.detach(), torch.eye(4).repeat(1, 3))
    with pytest.raises(UserError, match="kernel holds 3 groups, and gates=ifgo names another number"):
        initlab.initialize(Own("ifgo"), "chrono", seed=0, steps=9)


@pytest.mark.parametrize("kind", ["ours", "torch"])
def test_chrono_makes_grus_keep_their_state(kind: str) -> None:
    """Without weights h' is z·h: the share that a unit keeps, whatever the sign of z's bias is called in papers."""
    cells = GRU((9, 3), 2, width=64).cells[0] if kind == "ours" else nn.GRU(3, 64, batch_first=True)
    initlab.initialize(cells, "chrono", seed=0, steps=9)
    state = dict(cells.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            if "weight" in name:
                value.zero_()
    layer = nn.GRU(3, 64, batch_first=True)
    layer.load_state_dict(dict(zip(layer.state_dict(), _in_torchs_order(state), strict=True)))
    kept = layer(torch.zeros(1, 1, 3), torch.ones(1, 1, 64))[0].detach().flatten()
    assert bool(((kept >= 0.5) & (kept <= 8 / 9)).all())
    assert float((1 / (1 - kept)).mean()) == pytest.approx(5.5, abs=4 * 2.02 / 8)  # uniform in [2, 9]


@pytest.mark.parametrize("kind", ["ours", "torch"])
def test_chrono_makes_lstms_keep_their_memory(kind: str) -> None:
    cells = LSTM((9, 3), 2, width=64).cells[0] if kind == "ours" else nn.LSTM(3, 64, batch_first=True)
    initlab.initialize(cells, "chrono", seed=0, steps=9)
    state = dict(cells.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            if "weight" in name:
                value.zero_()
    layer = nn.LSTM(3, 64, batch_first=True)
    layer.load_state_dict(dict(zip(layer.state_dict(), _in_torchs_order(state), strict=True)))
    memory = torch.ones(1, 1, 64)
    kept = layer(torch.zeros(1, 1, 3), (torch.zeros_like(memory), memory))[1][1].detach().flatten()
    assert bool(((kept >= 0.5) & (kept <= 8 / 9)).all())
    assert float((1 / (1 - kept)).mean()) == pytest.approx(5.5, abs=4 * 2.02 / 8)


def _in_torchs_order(state: Mapping[str, Tensor]) -> list[Tensor]:
    """Both weights, then both biases."""
    values = [value.detach() for value in state.values()]
    return values if "weight_ih_l0" in state else [values[0], values[2], values[1], values[3]]


def test_the_length_of_the_sequences_is_that_of_the_data() -> None:
    """Of vectors or of tokens; `steps` says otherwise, and other data say nothing."""
    drawn: dict[str, Tensor] = {}
    ways: dict[str, dict[str, Any]] = {
        "vectors": {"batch": torch.zeros(2, 9, 3)},
        "tokens": {"batch": torch.zeros(2, 9, dtype=torch.int64)},
        "steps": {"steps": 9},
        "both": {"batch": torch.zeros(2, 30, 3), "steps": 9},
    }
    for name, given in ways.items():
        cell = nn.LSTM(3, 16)
        initlab.initialize(cell, "chrono", seed=0, **given)
        drawn[name] = cell.get_parameter("bias_hh_l0").detach().clone()
    assert all(torch.equal(drawn["steps"], values) for values in drawn.values())
    for unknown in (torch.zeros(2, 9), torch.zeros(2, 1, 9, 9), {"tokens": torch.zeros(2, 9, dtype=torch.int64)}):
        with pytest.raises(UserError, match=r"nothing says how long they are: set init\.steps"):
            initlab.initialize(nn.LSTM(3, 16), "chrono", seed=0, batch=unknown)
    with pytest.raises(UserError, match=r"init\.steps=1: expected at least 2"):
        initlab.initialize(nn.LSTM(3, 16), "chrono", seed=0, steps=1)


@pytest.mark.parametrize("scheme", ["chrono", "forget_bias"])
def test_gates_without_biases_are_refused(scheme: str) -> None:
    with pytest.raises(UserError, match=r"the gates of weight_hh_l0 have no bias to set; build .* with bias=true"):
        initlab.initialize(nn.LSTM(3, 4, bias=False), scheme, seed=0, batch=torch.zeros(2, 9, 3))


def test_irnn_says_that_it_is_made_for_relu() -> None:
    with pytest.warns(InitializationWarning, match="made for activation=relu: with tanh the identity does not keep"):
        initlab.initialize(nn.RNN(3, 4), "irnn", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for activation in ("relu", "leaky_relu", "elu"):
            initlab.initialize(nn.RNN(3, 4), "irnn", seed=0, activation=activation)


@pytest.mark.parametrize(
    ("model", "scheme", "reason"),
    [
        (
            "mlp",
            "irnn",
            r"irnn works on weights that act on a state, and MLP has none; choose .*model=rnn, lstm or gru",
        ),
        ("mlp", "chrono", "chrono works on the gates of recurrent cells, and MLP has none; choose model=lstm or gru"),
        ("rnn", "forget_bias", "works on the gates of recurrent cells, and RNN has none; choose model=lstm or gru"),
        ("gru", "forget_bias", "GRU has no forget gates; use model=lstm, or init=chrono"),
    ],
)
def test_networks_without_what_a_scheme_needs_are_refused(model: str, scheme: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason) as refused:
        check_job(make_job(*WALKS, f"model={model}", f"init={scheme}"))
    assert "\n" not in str(refused.value)


def test_tokens_and_answers_at_each_step_pass_the_checks() -> None:
    """And an LSTM trains once for all activations."""
    data = ("data=function", "data.call=tests.models.helpers.echoes")
    jobs = [make_job(*data, "model=lstm", "init=chrono", f"activation={name}") for name in ("relu", "tanh")]
    checked = check_jobs([*jobs, make_job(*data, "model=rnn", "init=irnn", "activation=relu")])
    assert [job.config.model["name"] for job in checked.usable] == ["lstm", "rnn"]
    (reason,) = checked.refused
    assert reason.startswith("activation: model=lstm has nonlinearities of its own, so that it would train what")


def test_a_sweep_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not fit is left out with its reason; the rest trains."""
    command = f"-m {' '.join(WALKS)} model=rnn,lstm,mlp model.width=8 init=irnn,chrono activation=relu {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "init=irnn works on weights that act on a state, and MLP has none" in said
    assert "init=chrono works on the gates of recurrent cells, and RNN has none" in said
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert sorted(zip(summary["model"], summary["init"], strict=True)) == [
        ("lstm", "chrono"), ("lstm", "irnn"), ("rnn", "irnn"),
    ]  # fmt: skip
    assert np.isfinite(summary.select_dtypes("number").to_numpy()).any()
