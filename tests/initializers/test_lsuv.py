"""Layer-sequential unit variance: what it reaches, and how it says what it does not."""

import pytest
import torch
from torch import nn

from initlab.base.errors import InitializationWarning
from initlab.modules.batch import Batch
from tests.helpers import linear
from tests.initializers.networks import batch_for, chain, convolutional, images, outputs_of, refine


def test_one_division_is_enough_without_biases() -> None:
    """Whatever the scale before: dividing a weight divides its layer's output."""
    for gain in (1e-3, 1.0, 100.0):
        model = convolutional()
        report = refine(model, "lsuv", Batch(images()), base={"name": "orthogonal", "gain": gain})
        assert all(abs(float(out.std(correction=0)) - 1) < 1e-9 for out in outputs_of(model, images()))
        weights = [row for row in report if row.rule == "orthogonal, then lsuv"]
        assert [row.note for row in weights] == ["output std 1.0000 after 1 division"] * 4


def test_biases_are_not_divided_and_take_more_divisions() -> None:
    model, base = chain("tanh"), chain("tanh")
    refine(base, "orthogonal", None, bias="torch_default")
    report = refine(model, "lsuv", batch_for(model), bias="torch_default", tolerance=1e-3, tries=50)
    assert all(torch.equal(linear(model, place).bias, linear(base, place).bias) for place in (0, 2, 4))
    assert all(abs(float(out.std(correction=0)) - 1) < 1e-3 for out in outputs_of(model, batch_for(model).inputs))
    assert any("after 1 division" not in row.note for row in report if "lsuv" in row.rule)


def test_not_reaching_it_names_the_layer_and_what_was_reached() -> None:
    model = chain("tanh")
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.bias, 0, 5)
    with pytest.warns(InitializationWarning) as caught:
        refine(model, "lsuv", Batch(torch.zeros(8, 64, dtype=torch.float64)))
    assert [str(warning.message) for warning in caught] == [
        "init=lsuv: the output's standard deviation is not 1 in 0 (0, the same for every row), "
        "2 (0, the same for every row) and 4 (0, the same for every row)"
    ]


def test_too_few_tries() -> None:
    model = chain("tanh")
    with pytest.warns(InitializationWarning, match=r"is not 1 in .*\(0\.99\d, after 1 division\)"):
        refine(model, "lsuv", Batch(batch_for(model).inputs), base="torch_default", bias="torch_default", tries=1,
            tolerance=1e-9)  # fmt: skip


def test_modes_and_buffers_are_put_back() -> None:
    model = convolutional()
    model[6].eval()
    refine(model, "lsuv", Batch(images()))
    assert [module.training for module in model] == [True] * 6 + [False] + [True] * 3
    buffers = dict(model[6].named_buffers())
    assert bool((buffers["running_mean"] == 0).all())
    assert int(buffers["num_batches_tracked"]) == 0


def test_a_layer_that_runs_twice_is_adjusted_the_first_time() -> None:
    first = nn.Linear(6, 6, bias=False).double()
    model = nn.Sequential(first, nn.ReLU(), first)
    inputs = torch.randn(50, 6, dtype=torch.float64)
    refine(model, "lsuv", Batch(inputs))
    assert float(first(inputs).detach().std(correction=0)) == pytest.approx(1)
