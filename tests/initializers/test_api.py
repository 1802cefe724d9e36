"""`initlab.initialize` on networks that people bring."""

import doctest
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import initlab
from initlab.base.errors import UserError
from initlab.initializers import api
from tests.initializers.networks import is_special


def test_the_examples_in_its_docstring_run() -> None:
    assert doctest.testmod(api, raise_on_error=False).failed == 0
    assert doctest.testmod(api).attempted > 6


def test_resnet18() -> None:
    """Every convolution and the classifier by its fans, every norm at one and zero, nothing left out."""
    model = torchvision.models.resnet18()
    report = initlab.initialize(model, "he", seed=0)
    assert [row.name for row in report] == [name for name, _ in model.named_parameters()]
    for row in report:
        assert row.shape == tuple(model.get_parameter(row.name).shape)
        if len(row.shape) > 1:
            assert row.rule == "he_normal"
            assert row.fan_in == math.prod(row.shape[1:])
            assert row.fan_out == row.shape[0] * math.prod(row.shape[2:])
            assert row.gain == pytest.approx(math.sqrt(2))
            assert row.std == pytest.approx(math.sqrt(2 / row.fan_in), rel=0.05)
        elif row.name == "fc.bias":
            assert (row.rule, row.mean, row.std) == ("bias: 0", 0, 0)
        else:
            one = row.name.endswith("weight")
            assert (row.rule, row.mean, row.std) == (f"norm: {'one' if one else 'zero'}", float(one), 0)


def test_vit_b_16() -> None:
    """Its attention holds three square projections in one weight; tokens and positions are left as they were."""
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128
    )
    positions = model.encoder.pos_embedding.detach().clone()
    report = initlab.initialize(model, "xavier_uniform", seed=0)
    row = report["encoder.layers.encoder_layer_1.self_attention.in_proj_weight"]
    assert (row.shape, row.fan_in, row.fan_out, row.note) == ((192, 64), 64, 64, "3 blocks")
    assert row.std == pytest.approx(math.sqrt(2 / 128), rel=0.03)
    assert report["class_token"].rule == report["encoder.pos_embedding"].rule == "left as it was"
    assert torch.equal(model.encoder.pos_embedding, positions)
    patches = report["conv_proj.weight"]
    assert (patches.fan_in, patches.fan_out) == (3 * 16 * 16, 64 * 16 * 16)


def test_transformer_with_two_inputs() -> None:
    model = nn.Transformer(32, 4, 1, 1, 64, batch_first=True)
    inputs = (torch.randn(16, 5, 32), torch.randn(16, 6, 32))
    report = initlab.initialize(model, "lsuv", batch=inputs, seed=0)
    assert report["decoder.layers.0.multihead_attn.in_proj_weight"].note == "as lsuv found it"
    assert report["decoder.layers.0.linear2.weight"].note == "output std 1.0000 after 1 division"
    named = {"src": inputs[0], "tgt": inputs[1]}
    again = initlab.initialize(model, "lsuv", batch=named, seed=0)
    assert again == report


def test_every_scheme_serves_a_transformer_classifier() -> None:
    """Attention has second derivatives where a scheme asks for them."""

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 16)
            self.encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.output = nn.Linear(16, 3)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.output(self.encoder(self.embedding(tokens)).mean(1))
            return logits

    rows = (torch.randint(11, (24, 7)), torch.randint(3, (24,)))
    for name, scheme in initlab.list_initializers().items():
        if is_special(name):
            continue
        given = {"steps": 2, "base_width": 4}
        parameters: dict[str, Any] = {key: value for key, value in given.items() if key in scheme.settable}
        model = Classifier()
        report = initlab.initialize(
            model, name, activation="relu", batch=rows, loss=F.cross_entropy, seed=0, **parameters
        )
        assert all(math.isfinite(row.std) for row in report)
        assert bool(model(rows[0]).isfinite().all())


def test_transposed_and_grouped_convolutions() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(8, 16, 3), nn.Conv2d(16, 16, 3, groups=16), nn.ConvTranspose2d(16, 4, 2, groups=2)
    )
    report = initlab.initialize(model, "he", seed=0)
    fans = {row.name: (row.fan_in, row.fan_out) for row in report if row.fan_in}
    assert fans == {"0.weight": (72, 144), "1.weight": (9, 9), "2.weight": (32, 8)}


def test_a_report_prints_as_a_table() -> None:
    report = initlab.initialize(nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8)), "he", seed=0)
    head, *lines = str(report).splitlines()
    assert head.split() == ["parameter", "shape", "rule", "fan_in", "fan_out", "gain", "mean", "std", "note"]
    assert [line.split()[:2] for line in lines] == [
        ["0.weight", "8×4"],
        ["0.bias", "8"],
        ["1.weight", "8"],
        ["1.bias", "8"],
    ]


def test_an_activation_that_is_needed_and_unknown_is_asked_for() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Tanh())
    initlab.initialize(model, "he", seed=0)
    needing: dict[str, dict[str, Any]] = {"he": {"gain": "moment"}, "mean_field": {}, "siren": {}}
    for scheme, parameters in needing.items():
        with pytest.raises(UserError, match="depends on the activation, found relu in 1 and tanh in 1 module: name it"):
            initlab.initialize(model, scheme, seed=0, **parameters)
        with pytest.raises(UserError, match=r"depends on the activation: name it, e\.g\. activation='relu'"):
            initlab.initialize(nn.Linear(8, 8), scheme, seed=0, **parameters)
    report = initlab.initialize(model, "he", gain="moment", activation="tanh", seed=0)
    assert report["0.weight"].gain == pytest.approx(1.5925, abs=1e-4)


def test_a_loss_wants_a_pair() -> None:
    model = nn.Linear(4, 3)
    with pytest.raises(UserError, match="with a loss, expected a pair of inputs and targets, got Tensor"):
        initlab.initialize(model, "metainit", batch=torch.randn(8, 4), loss=F.cross_entropy, seed=0)
    with pytest.raises(UserError, match="looks at gradients: give it batch="):
        initlab.initialize(model, "metainit", batch=torch.randn(8, 4), seed=0)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"init.std: init=he_normal has no such parameter; here it is init=normal init.std=3; it has bias, ",
    ):
        initlab.initialize(nn.Linear(2, 2), "he", std=3, seed=0)


def test_randomness_has_no_default() -> None:
    with pytest.raises(TypeError, match="seed"):
        initlab.initialize(nn.Linear(2, 2), "he")  # type: ignore[call-arg]  # the mistake


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_every_device_starts_from_the_same_numbers() -> None:
    here, there = nn.Linear(64, 64), nn.Linear(64, 64).cuda()
    for model in (here, there):
        initlab.initialize(model, "lsuv", batch=torch.ones(8, 64) * torch.arange(8).unsqueeze(1), seed=0)
    torch.testing.assert_close(here.weight, there.weight.cpu())
