"""How far back the gradient reaches, and eigenvalues, against what is known in closed form."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import initlab
from initlab.activations import Activation
from initlab.cli.apps import probe as main
from initlab.cli.explain_failures import _look
from initlab.cli.run_recommend import _screen
from initlab.cohort.engines import choose_engine
from initlab.figures.lags import gradient_by_lag
from initlab.models.recurrent import LSTM, RNN
from initlab.modules.batch import Batch
from initlab.modules.stack import stack_members
from initlab.propagation.layers import find_layout
from initlab.propagation.recurrence import Recurrence, look_at_recurrence, spectral_radius
from initlab.propagation.verdict import judge
from initlab.sweep.probing import probe_job
from initlab.tables.store import read_table
from tests.helpers import make_job, run

STEPS = 7
WALKS = ("data=function", "data.call=tests.models.helpers.walks")


def look(*models: nn.Module, vectorized: bool = True, features: int = 3) -> Recurrence:
    networks, batch = stack_members(models), Batch(torch.randn(5, STEPS, features, dtype=torch.float64))
    layout = find_layout(networks.template, batch)
    found = look_at_recurrence(networks, layout, batch, range(10, 10 + len(models)), vectorized=vectorized)
    assert found is not None
    return found


def linear_net(scale: float, *, every_step: bool = False, seed: int = 0) -> RNN:
    """Its recurrent matrix is orthogonal times a scale."""
    model = RNN((STEPS, 3), 2, Activation("identity"), width=6, every_step=every_step).double()
    initlab.initialize(model, {"cells.0.recurrent": ("orthogonal", {"gain": scale}), "*": "he"}, seed=seed)
    return model


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("every_step", [True, False])
def test_a_linear_state_is_stretched_by_its_scale_at_every_step(every_step: bool, vectorized: bool) -> None:
    """Also where there is an output at each step: what the last one gets is looked at."""
    models = [linear_net(scale, every_step=every_step) for scale in (0.9, 1.0, 1.2)]
    found = look(*models, vectorized=vectorized)
    assert list(found.lags["seed"].unique()) == [10, 11, 12]
    assert set(found.lags["weight"]) == {"cells.0.recurrent.weight"}
    for member, scale in enumerate((0.9, 1.0, 1.2)):
        table = found.lags[found.lags["member"] == member].sort_values("lag")
        assert list(table["lag"]) == list(range(1, STEPS))
        sizes = table["gradient"].to_numpy()
        np.testing.assert_allclose(sizes / sizes[0], scale ** np.arange(STEPS - 1.0), rtol=1e-9)


def test_words() -> None:
    for scale, words in (
        (0.1, "the gradient vanishes by a factor of 1e+05 over 5 steps; the largest eigenvalue has modulus 0.1"),
        (2.0, "the gradient explodes by a factor of 32 over 5 steps; the largest eigenvalue has modulus 2"),
        (1.0, "the gradient keeps its size over 5 steps; the largest eigenvalue has modulus 1"),
    ):
        assert look(linear_net(scale), linear_net(scale, seed=1)).sentences() == [f"cells.0.recurrent.weight: {words}"]
    dead = linear_net(1.0)
    with torch.no_grad():
        dead.cells[0].get_submodule("recurrent").get_parameter("weight").zero_()
    assert "no gradient gets back over a single step" in look(dead).sentences()[0]


@pytest.mark.parametrize("kind", ["ours", "torch"])
def test_eigenvalues_are_those_of_each_gate(kind: str) -> None:
    """By Gelfand's formula, the root of a high power's norm; the steps inside one call of torch are not measured."""
    model = LSTM((STEPS, 3), 2, width=5).double() if kind == "ours" else nn.Sequential(nn.LSTM(3, 5).double(), Take())
    found = look(model)
    assert list(found.eigenvalues["gate"]) == ["i", "f", "g", "o"]
    weight = model.get_parameter(str(found.eigenvalues["weight"].iloc[0])).detach().numpy()
    for matrix, radius in zip(np.split(weight, 4), found.eigenvalues["spectral_radius"], strict=True):
        power = np.linalg.matrix_power(matrix / radius, 256)
        assert np.linalg.norm(power) ** (1 / 256) == pytest.approx(1.0, rel=0.02)
    assert ("not measured" in found.sentences()[0]) == (kind == "torch")
    assert found.lags.empty == (kind == "torch")


class Take(nn.Module):
    """The outputs of torch's layers, through a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(5, 2).double()

    def forward(self, given: tuple[torch.Tensor, object]) -> torch.Tensor:
        result: torch.Tensor = self.output(given[0])
        return result


class Fused(nn.Module):
    """torch's own layers, in a network of a user's."""

    def __init__(self, input_shape: tuple[int, ...], out_features: int) -> None:
        super().__init__()
        self.cells, self.output = nn.LSTM(input_shape[-1], 5, batch_first=True), nn.Linear(5, out_features)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.output(self.cells(inputs)[0][:, -1])
        return result


@pytest.mark.parametrize("scheme", ["chrono", "metainit"])
def test_torchs_fused_layers_are_probed(scheme: str) -> None:
    """Their kernel on CPUs failed in the Jacobian, where several directions go back at once."""
    network = "model._target_=tests.propagation.test_recurrence.Fused"
    short = ["init.steps=2"] if scheme == "metainit" else []
    job = make_job(*WALKS, network, f"init={scheme}", *short, "seeds=2")
    probe = probe_job(job)
    assert probe.spectrum["singular_value"].notna().all()
    assert probe.recurrence is not None
    assert len(probe.recurrence.eigenvalues) == 2 * 4
    fused = [job.build_member(member) for member in job.members()]
    assert choose_engine("auto", stack_members(fused), job.dataset.train.inputs[:2]) == "loop"
    inputs = job.rows_to_look_at().inputs[:1].requires_grad_()
    slope = torch.autograd.grad(fused[0](inputs).sum(), inputs)[0].norm()
    own = probe.spectrum[(probe.spectrum["member"] == 0) & (probe.spectrum["row"] == 0)]
    assert float(own["singular_value"].iloc[0]) == pytest.approx(float(slope), rel=1e-4)


def test_what_is_not_finite_has_no_eigenvalue() -> None:
    assert np.isnan(spectral_radius(torch.tensor([[1.0, float("inf")], [0.0, 1.0]])))
    assert spectral_radius(torch.tensor([[0.0, 1.0], [-4.0, 0.0]])) == pytest.approx(2.0)  # ±2i


def test_theory_is_silent_and_steps_are_no_depth() -> None:
    """The gradient shrinks by .5 a step, its mean square by .25: over 6 steps, and yet over one layer."""
    table = initlab.probe_model(linear_net(0.5), torch.randn(5, STEPS, 3, dtype=torch.float64), seed=0)
    assert set(table["no_prediction"]) == {
        "theory is about weights that act once, and these act on a state at every step"
    }
    assert judge(table).reason == "the gradient keeps its size"
    own = table[table["layer"].str.startswith("cells.0.recurrent")]
    assert len(own) == STEPS - 1
    assert float(own["gradient_second_moment"].iloc[0]) == pytest.approx(
        float(own["gradient_second_moment"].iloc[-1]) * 0.25 ** (STEPS - 2), rel=1e-6
    )
    found = judge(table)
    assert found.outlook == "trainable"
    table.attrs.pop("recurrent")
    assert str(judge(table)) != str(found)


@pytest.mark.parametrize("count", [3, STEPS, 14])
def test_rows_are_found_behind_the_steps(count: int) -> None:
    """A cell reads all steps at once, steps first: a row there is what one sequence has, whatever the batch."""
    model, inputs = linear_net(0.9), torch.randn(count, STEPS, 3, dtype=torch.float64)
    targets = torch.randn(count, 2, dtype=torch.float64)
    table = initlab.probe_model(model, (inputs, targets), seed=0, loss=nn.MSELoss())
    kept: list[torch.Tensor] = []
    handle = model.cells[0].get_submodule("input").register_forward_hook(lambda _m, _a, output: kept.append(output))
    outputs = model(inputs)
    handle.remove()
    (gradient,) = torch.autograd.grad(nn.functional.mse_loss(outputs, targets) * count, kept)
    of_rows = gradient.transpose(0, 1).flatten(1)
    products = of_rows @ of_rows.T
    alike = float((products.sum() - products.trace()) / (count - 1) / products.trace())
    first = table.iloc[0]
    assert first["layer"] == "cells.0.input"
    assert first["entries"] == STEPS * 6
    assert first["gradient_correlation"] == pytest.approx(alike, rel=1e-9)
    together = table[table["layer"].str.startswith("cells.0.recurrent")]
    sizes = {
        name: float((part["gradient_second_moment"] * part["entries"]).sum())
        for name, part in {"all steps": table[:1], "but the first": together}.items()
    }
    # Sums over 7 and 6 steps, of which the first has the smallest: 0.81 ** 6 of the last.
    assert sizes["but the first"] / sizes["all steps"] == pytest.approx(1 - 0.81**6 * 0.19 / (1 - 0.81**7), rel=1e-6)


def test_gates_that_are_held_open_are_no_fault() -> None:
    """Their biases make pre-activations alike for all inputs; that says nothing of what the network tells apart."""
    model = LSTM((STEPS, 3), 2, width=16)
    table = initlab.probe_model(model, torch.randn(16, STEPS, 3), seed=0, scheme="chrono", steps=2000)
    assert float(table["correlation"].iloc[0]) > 0.99
    assert "look the same" not in judge(table).reason
    table.attrs.pop("gated")
    assert "look the same" in judge(table).reason


def test_whoever_asks_for_an_outlook_hears_of_time() -> None:
    job = make_job(*WALKS, "model=rnn", "model.width=4", "init=normal", "init.std=0.05", "seeds=2")
    words = "; over time the gradient vanishes by a factor of .* over 4 steps, so that what is more than 2 steps back"
    for found in (_look(job), vars(_screen(job))):
        assert found["outlook"] == "hard to train"
        assert re.search(words, found["reason"])


def test_the_figure_shows_the_table() -> None:
    found = look(linear_net(0.9), linear_net(0.8, seed=1))
    (line, *_) = gradient_by_lag({"two": found.lags}).axes[0].get_lines()
    sizes = found.lags.pivot(index="lag", columns="member", values="gradient").to_numpy()
    np.testing.assert_allclose(np.asarray(line.get_xdata(), float), np.arange(1.0, STEPS))
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), np.sqrt(sizes[:, 0] * sizes[:, 1]), rtol=1e-9)


def test_the_probe_says_and_writes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "-m data=function data.call=tests.models.helpers.walks model=lstm,mlp model.width=4 init=he seeds=2 name=p"
    )
    assert run(command, monkeypatch, tmp_path, program=main) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "over time: cells.0.recurrent.weight: the gradient" in said
    folder = tmp_path / "outputs" / "probe" / "p"
    (job,) = folder.glob("*model=lstm*")
    assert len(read_table(job, "lags")) == 2 * 5
    assert len(read_table(job, "eigenvalues")) == 2 * 4
    assert [path.parent for path in folder.glob("*/lags.parquet")] == [job]
    assert (folder / "figures" / "lags.svg").exists()
    assert len(pd.read_csv(folder / "tables" / "eigenvalues.csv")) == 4
    report = (folder / "report.md").read_text()
    assert "## Over time" in report
    assert "the largest eigenvalue has modulus" in report
