"""Weights that no initializer knows are counted, said, and can be declared."""

from pathlib import Path

import pytest
import torch
from scipy.stats import kstest, norm
from torch import nn

import initlab
from initlab.base.errors import UserError
from initlab.initializers import Surroundings, fill_model, parse_init
from initlab.initializers.coverage import Coverage, coverage_of
from initlab.initializers.slots import find_slots
from tests.helpers import QUICK, run

OWN = """
import torch
from torch import nn
class Own(nn.Module):
    def __init__(self, entering, leaving):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(entering, leaving) / entering ** 0.5)
        self.shift = nn.Parameter(torch.zeros(leaving))
    def forward(self, rows):
        return rows @ self.weight + self.shift
class Declared(Own):
    def initlab_weights(self):
        return {"weight": ("in out", "shift")}
class Net(nn.Module):
    def __init__(self, input_shape, out_features, *, known: bool = False, units: int = 64):
        super().__init__()
        kind = Declared if known else Own
        self.a, self.b = kind(input_shape[0], units), kind(units, units)
        self.act = nn.ReLU()
        self.output = nn.Linear(units, out_features)
    def forward(self, rows):
        return self.output(self.act(self.b(self.act(self.a(rows)))))
"""
TOTAL = 13 * 64 + 64 * 64 + 64 * 3


class Layer(nn.Module):
    """A linear layer of the user's own, with a scale that is no weight."""

    def __init__(self, entering: int, leaving: int, declared: object = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(entering, leaving))
        self.shift, self.scale = nn.Parameter(torch.ones(leaving)), nn.Parameter(torch.ones(1))
        if declared is not None:
            self.initlab_weights = lambda: declared

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.scale * (rows @ self.weight + self.shift)


def test_what_is_left_out_is_counted() -> None:
    model = nn.Sequential(Layer(8, 16), nn.BatchNorm1d(16), Layer(16, 16), nn.Linear(16, 2))
    model[2].weight = model[0].weight  # counts once
    done = fill_model(model, parse_init("he", where="init"), Surroundings(), seed=0)
    found = coverage_of(model, done)
    assert found == Coverage(32, 32 + 128, ("0.weight",))
    assert not found.enough
    assert str(found) == "init fills 32 of 160 weights; not 0.weight"


def test_a_declared_weight_is_filled_by_its_fans() -> None:
    model = nn.Sequential(Layer(300, 100, {"weight": ("in out", "shift")}), nn.ReLU(), nn.Linear(100, 3))
    slot = find_slots(model)[0]
    assert (slot.fan.fan_in, slot.fan.fan_out, slot.maps().shape) == (300, 100, (1, 100, 300))
    report = initlab.initialize(model, "he", seed=0)
    entries = model.get_parameter("0.weight").detach().flatten().double().numpy()
    assert kstest(entries, norm(0, (2 / 300) ** 0.5).cdf).pvalue > 1e-4
    assert kstest(entries, norm(0, (2 / 100) ** 0.5).cdf).pvalue < 1e-4
    assert not model.get_parameter("0.shift").any()
    assert report["0.scale"].rule == "left as it was"
    table = initlab.probe_model(model, torch.randn(64, 300), seed=0)
    assert list(table["layer"]) == ["0", "2"]


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        (3, "expected a mapping from parameter names"),
        ({"weigth": "in out"}, "weigth is no parameter of it with two dimensions or more"),
        ({"shift": "in out"}, "shift is no parameter of it with two dimensions or more"),
        ({"weight": "out, in"}, "weight is stored as out, in; expected a word for each of 2 dimensions"),
        ({"weight": ("in out", "bias")}, "weight has no bias bias"),
    ],
)
def test_a_declaration_that_does_not_fit(declared: object, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        initlab.initialize(Layer(8, 4, declared), "he", seed=0)


def test_several_declared_weights_in_one_module_are_filled_and_not_taken_for_a_layer() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.ones(6, 5)), nn.Parameter(torch.ones(3, 5))
            self.output = nn.Linear(3, 2)

        def initlab_weights(self) -> dict[str, str]:
            return {"a": "in out", "b": "out in"}

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.output(torch.relu(rows @ self.a) @ self.b.T)
            return outputs

    model = Both()
    initlab.initialize(model, "he", seed=0)
    assert model.a.std() > 0.1
    assert model.b.std() > 0.1
    table = initlab.probe_model(model, torch.randn(32, 6), seed=0)
    assert list(table["layer"]) == ["output"]
    assert set(table.attrs["unseen"]) == {"a", "b"}


@pytest.mark.parametrize("program", ["train", "probe", "recommend"])
def test_a_comparison_by_a_few_of_the_weights_is_refused(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from initlab.cli import apps

    (tmp_path / "raw_net.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    command = f"-m model._target_=raw_net.Net init=he,zeros {QUICK}"
    assert run(command, monkeypatch, tmp_path, program=getattr(apps, program)) == 2
    said = capsys.readouterr().err
    assert f"model: init fills 192 of {TOTAL:,} weights; not a.weight and b.weight: too few to compare" in said
    assert said.count("\n") == 1


def test_what_is_declared_trains_and_a_few_that_are_left_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half_raw_net.py").write_text(
        OWN.replace("self.act = nn.ReLU", "self.token = nn.Parameter(torch.ones(2, 7)); self.act = nn.ReLU")
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"model._target_=half_raw_net.Net +model.known=true init=zeros {QUICK}", monkeypatch, tmp_path) == 0
    assert f"model: init fills {TOTAL:,} of {TOTAL + 14:,} weights; not token; a method" in capsys.readouterr().out
