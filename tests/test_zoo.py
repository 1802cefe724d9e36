"""Architectures that nobody here wrote, with every scheme and the probe, by oracles that know nothing of the slots."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import initlab
from initlab.base.errors import UserError
from initlab.base.threads import intra_op_threads

pytest.importorskip("timm")
pytest.importorskip("transformers")

from scripts.zoo import oracles
from scripts.zoo.architecture import Architecture
from scripts.zoo.catalogue import catalogue
from scripts.zoo.laws import LAWS, sparse_law
from scripts.zoo.maps import weights_of
from scripts.zoo.state import changes, put_back, state_of
from scripts.zoo.table import page
from scripts.zoo.trial import PROBE, RUNS, runs_of

# Tied words; transposed layers; banks of experts in both orders; "in out out"; flat banks of convolutions; weights
# standardized in the forward pass; depthwise convolutions; what is frozen; norms around zero; a counter.
SMALL = (
    "handmade/tied",
    "handmade/counter",
    "handmade/frozen backbone",
    "handmade/weight norm",
    "handmade/spectral norm",
    "timm/test_nfnet",
    "timm/test_efficientnet",
    "timm/tf_efficientnet_cc_b0_4e",
    "transformers/gpt2",
    "transformers/gemma",
    "transformers/qwen3_moe",
    "transformers/gpt_oss",
    "transformers/xlnet",
    "transformers/t5",
    "transformers/wav2vec2",
)
ZOO = catalogue()
USUAL = ("he", "he/dry run", "orthogonal", "mean_field", "lsuv", "data_dependent", "sparse", PROBE)
MAY_REFUSE = {
    "delta_orthogonal": "a convolution from",
    "mean_field": "depends on the activation",
    "metainit": "init=metainit",  # some operations have no second derivative
}


def test_the_zoo_is_large() -> None:
    assert len(ZOO) >= 150
    libraries = [name.partition("/")[0] for name in ZOO]
    for library, least in (("torchvision", 30), ("timm", 80), ("transformers", 40), ("handmade", 12)):
        assert libraries.count(library) >= least
    assert set(SMALL) <= set(ZOO)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SMALL)
def test_every_scheme_and_the_probe_do_what_they_say(name: str) -> None:
    """All or nothing, the weights by their law, nothing else touched, and no claim that is not so."""
    with intra_op_threads(1):  # a few threads wait for each other longer than such small networks compute
        outcomes = list(runs_of(ZOO[name], RUNS if name.startswith("handmade") else USUAL))
    for outcome in outcomes:
        refused = outcome.outcome == "refused" and outcome.words.startswith("init=")
        expected = refused and MAY_REFUSE.get(outcome.run, "\n") in outcome.words
        assert expected or (outcome.outcome, outcome.faults) == ("ok", ()), (outcome.run, outcome.words)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Linear(30, 20))


def faults(change: Callable[[nn.Sequential], object], run: str = "he", **arguments: Any) -> list[str]:
    """What the oracles say of a network that was changed behind the report's back, by kind."""
    model = small()
    before = state_of(model)
    report = initlab.initialize(model, run, seed=0, **arguments)
    with torch.no_grad():
        change(model)
    found = oracles.faults_of(model, report, before, law=LAWS[run], warned=False)
    return [kind for kind, _ in found]


def weight(model: nn.Sequential, place: int) -> torch.Tensor:
    found = model[place].weight
    assert isinstance(found, torch.Tensor)
    return found


def test_oracles_notice_what_is_wrong() -> None:
    assert faults(lambda _: None) == []
    assert faults(lambda _: None, "orthogonal") == []
    assert "wrong weights" in faults(lambda model: weight(model, 0).mul_(1.15))
    assert "wrong weights" in faults(lambda model: weight(model, 0).add_(0.1))
    assert "wrong weights" in faults(lambda model: weight(model, 0).mul_(1.01), "orthogonal")
    assert "false note" in faults(lambda model: weight(model, 0).mul_(1.01))
    assert "wrong weights" in faults(lambda model: model.get_buffer("1.running_mean").add_(1))
    assert "false note" in faults(lambda model: model.get_parameter("3.bias").add_(1))
    assert "false note" in faults(lambda model: weight(model, 1).mul_(2))
    matrices = 0.01 * torch.randn(1, 30, 40, generator=torch.Generator().manual_seed(0))
    matrices[0, 0] = 0
    assert sparse_law(matrices, weights_of(small())["0.weight"].readings[0]) == "a unit has no weights"


def test_oracles_notice_false_claims_of_outputs() -> None:
    model, batch = small(), torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    report = initlab.initialize(model, "lsuv", batch=batch, seed=0)
    assert list(oracles.measured_faults(model, batch, report)) == []
    with torch.no_grad():
        weight(model, 3).mul_(1.05)
    assert [kind for kind, _ in oracles.measured_faults(model, batch, report)] == ["false note"]


@pytest.mark.parametrize(
    "change",
    [
        lambda model: weight(model, 0)[0, :1].add_(1e-6),
        lambda model: model[1].num_batches_tracked.add_(1),
        lambda model: model[1].eval(),
        lambda model: weight(model, 3).requires_grad_(False),
        lambda _: torch.rand(1),
        lambda model: setattr(model[0], "weight", nn.Parameter(weight(model, 0).detach().clone())),
        lambda model: model[2].register_forward_hook(print),
    ],
)  # fmt: skip
def test_a_state_notices_each_change(change: Callable[[nn.Sequential], object]) -> None:
    model = small()
    before = state_of(model)
    assert changes(before, model) == []
    with torch.no_grad():
        change(model)
    assert len(changes(before, model)) == 1


def test_what_is_put_back_is_as_before() -> None:
    model = small()
    before = state_of(model)
    initlab.initialize(model, "he", seed=0)
    model.eval()
    torch.rand(1)
    assert put_back(before, model)
    assert changes(before, model) == []


def multiplied(name: str, module: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """What a module's weight does to rows, by our reading of it as one matrix."""
    (reading,) = weights_of(module)[name].readings
    (matrix,) = reading.matrices(weights_of(module)[name].value())
    assert reading.fan_in == matrix.shape[1]
    outputs: torch.Tensor = rows @ matrix.T
    return outputs


def test_readings_are_what_the_modules_compute() -> None:
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    rows = torch.randn(7, 12)
    for module in (nn.Linear(12, 5, bias=False), Conv1D(5, 12)):
        torch.testing.assert_close(multiplied("weight", module, rows), module(rows))
    bilinear = nn.Bilinear(3, 4, 5, bias=False)
    first, second = torch.randn(7, 3), torch.randn(7, 4)
    pairs = (first[:, :, None] * second[:, None, :]).flatten(1)
    torch.testing.assert_close(multiplied("weight", bilinear, pairs), bilinear(first, second))
    kernel = nn.Conv2d(3, 6, 2, bias=False)
    images = torch.randn(7, 3, 2, 2)
    torch.testing.assert_close(multiplied("weight", kernel, images.flatten(1)), kernel(images).flatten(1))
    turned = nn.ConvTranspose1d(4, 6, 1, groups=2, bias=False)
    (reading,) = weights_of(turned)["weight"].readings
    signal = torch.randn(7, 4)
    parts = [part @ matrix.T for part, matrix in zip(signal.split(2, 1), reading.matrices(turned.weight), strict=True)]
    torch.testing.assert_close(torch.cat(parts, 1), turned(signal[..., None])[..., 0])
    assert (reading.fan_in, reading.fan_out) == (2, 3)


def test_refusals_and_errors_are_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(model: nn.Module, *_: Any, **__: Any) -> None:
        with torch.no_grad():
            next(model.parameters()).mul_(2)
        raise UserError("no")

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of ours")

    broken = Architecture("broken", "ours", lambda: nn.Linear(2, 2), lambda: torch.zeros(2, 2))
    monkeypatch.setattr(initlab, "initialize", refuses)
    (outcome,) = runs_of(broken, ("he",))
    assert (outcome.outcome, outcome.words) == ("changed", "no")
    assert "weight" in outcome.faults[0]
    monkeypatch.setattr(initlab, "initialize", fails)
    (outcome,) = runs_of(broken, ("he",))
    assert outcome.outcome == "traceback"
    assert "ZeroDivisionError: of ours" in outcome.words


def test_the_page_counts() -> None:
    (one,) = runs_of(ZOO["handmade/mlp"], ("he",))
    records = [json.loads(json.dumps(one.record()))]
    records += [{**records[0], "run": PROBE, "outcome": "traceback", "faults": ["traceback: a|b"], "filled": None}]
    text = page(records)
    assert "| our own | 1 | 2 | 1 |  | 1 |" in text
    assert "100.0%" in text
    assert "| handmade/mlp | probe | traceback: a\\|b |" in text
    assert "torch" in text
    assert math.isclose(one.filled or 0, 1)
