"""The probe on networks and batches as people have them."""

import copy
import math
import warnings
from collections import UserDict
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import initlab
from initlab.base.errors import UserError


class Outputs(NamedTuple):
    logits: Tensor
    hidden: Tensor


class Language(nn.Module):
    """Tokens in, logits out by the table of tokens; with a mask, places and a counter of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.layer = nn.Linear(32, 32)
        self.activation = nn.GELU()
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.embedding.weight
        self.positions = nn.Embedding(12, 32)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, input_ids: Tensor, position_ids: Tensor, mask: Tensor | None = None) -> Outputs:
        assert isinstance(self.calls, Tensor)
        self.calls += 1
        signal = self.embedding(input_ids) + self.positions(position_ids)
        weights = torch.eye(signal.shape[1]) if mask is None else mask.softmax(-1)
        hidden = self.activation(self.layer(weights @ signal))
        return Outputs(self.head(hidden), hidden)


def tokens(rows: int = 6) -> "UserDict[str, Tensor]":
    """A batch like a tokenizer's, with one row of places for all."""
    return UserDict(input_ids=torch.randint(50, (rows, 7)), position_ids=torch.arange(7)[None])


def test_tied_tables_are_seen_under_both_names() -> None:
    table = initlab.probe_model(Language(), tokens(), seed=0, scheme="he")
    assert list(table["layer"]) == ["embedding", "positions", "layer", "head"]
    norms = dict(zip(table["layer"], table["weight_norm"], strict=True))
    assert norms["embedding"] == norms["head"]
    assert not table.attrs["unseen"]


def test_a_loss_gets_what_the_network_returns_in_both_calls() -> None:
    def loss(outputs: Any, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.logits.flatten(0, 1), targets.flatten())

    batch = (tokens(), torch.randint(50, (6, 7)))
    model = Language()
    report = initlab.initialize(model, "metainit", batch=batch, loss=loss, steps=2, activation="gelu", seed=0)
    assert report["embedding.weight"].rule == "he_normal, then metainit"
    table = initlab.probe_model(model, batch, loss=loss, seed=0)
    model.zero_grad()
    loss(model(**batch[0]), batch[1]).backward()
    assert model.layer.weight.grad is not None
    measured = float(table.set_index("layer")["weight_gradient_norm"]["layer"])
    assert measured == pytest.approx(float(model.layer.weight.grad.norm()), rel=1e-5)
    for wrong, message in [
        (F.cross_entropy, "loss: fails on the Outputs that the network returns: "),
        (lambda outputs, _: outputs.logits, r"loss: expected a scalar tensor, .*; got shape \(6, 7, 50\)"),
    ]:
        with pytest.raises(UserError, match=message):
            initlab.probe_model(model, batch, loss=wrong, seed=0)


def test_masks_may_hold_minus_infinity_and_data_may_not() -> None:
    mask = torch.full((7, 7), -math.inf).triu(1)
    batch = {**tokens(), "mask": mask[None]}
    assert initlab.probe_model(Language(), batch, seed=0)["pre_std"].gt(0).all()
    with pytest.raises(UserError, match="holds NaN or infinite numbers"):
        initlab.probe_model(Language(), {**tokens(), "mask": -mask[None]}, seed=0)


def test_sequences_may_come_steps_first() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, of what would be faster
        model = nn.Transformer(16, 2, 1, 1, 32)
    batch = (torch.randn(5, 4, 16), torch.randn(7, 4, 16))  # steps, rows, width
    assert "decoder.layers.0.linear1" in set(initlab.probe_model(model, batch, seed=0)["layer"])
    for scheme in ("lsuv", "autoinit", "data_dependent"):
        assert len(initlab.initialize(model, scheme, batch=batch, seed=0))
    with pytest.raises(UserError, match="batch: 4 rows of inputs and 5 of targets"):
        initlab.probe_model(nn.Linear(3, 2), (torch.randn(4, 3), torch.zeros(5).long()), loss=F.cross_entropy, seed=0)


def test_a_list_of_images_is_one_argument() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.output = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)

        def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
            return [{"boxes": self.output(self.features(image).mean((1, 2)))} for image in images]

    images = [torch.randn(3, 8, 9), torch.randn(3, 10, 7)]
    with pytest.raises(UserError, match="at least one row"):
        initlab.probe_model(Detector(), torch.randn(0, 3, 8, 8), seed=0)
    assert len(initlab.initialize(Detector(), "lsuv", batch=images, seed=0))


@pytest.mark.parametrize("scheme", [None, "he"])
def test_a_probe_leaves_everything_as_it_was(scheme: str | None) -> None:
    model = nn.Sequential(Language())
    model[0].train()
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    identities = [id(parameter) for parameter in model.parameters()]
    batch = tokens()
    random = torch.get_rng_state()
    initlab.probe_model(model[0], batch, seed=0, scheme=scheme)
    assert torch.equal(torch.get_rng_state(), random)

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.activation, self.output = nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, inputs: Tensor) -> Tensor:
            assert isinstance(self.calls, Tensor)
            self.calls.add_(1)
            outputs: Tensor = self.output(self.activation(self.layer(inputs)))
            return outputs

    counting = Counting()  # which theory follows by running it
    initlab.probe_model(counting, torch.randn(4, 6), seed=0, scheme=scheme)
    assert float(counting.get_buffer("calls")) == 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [module.training for module in model.modules()] == modes
    assert [id(parameter) for parameter in model.parameters()] == identities
    assert all(parameter.grad is None for parameter in model.parameters())


def test_computed_weights_are_looked_at_without_a_scheme() -> None:
    model = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 3))
    table = initlab.probe_model(model, torch.randn(8, 6), seed=0)
    assert list(table["layer"]) == ["0", "2"]
    assert table["pre_std"].gt(0).all()
    assert math.isnan(table["weight_norm"].iloc[0])


def test_parameters_that_nobody_knows_are_unseen() -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix, self.output = nn.Parameter(torch.randn(6, 5)), nn.Linear(5, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.output(torch.relu(inputs @ self.matrix))
            return outputs

    table = initlab.probe_model(Raw(), torch.randn(8, 6), seed=0)
    assert table.attrs["unseen"] == {"matrix": "initlab does not know what Raw does with it"}


def test_a_network_compiled_in_place_is_looked_at() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    plain = initlab.probe_model(model, torch.ones(4, 6), seed=0, scheme="he")
    model.compile(backend="eager")
    compiled = initlab.probe_model(model, torch.ones(4, 6), seed=0, scheme="he")
    assert compiled.equals(plain)


def test_a_layer_under_two_names_keeps_its_parameters() -> None:
    layer = nn.Linear(6, 6)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(6, 3))
    table = initlab.probe_model(model, torch.randn(8, 6), seed=0)
    assert list(table["layer"]) == ["0", "0#2", "4"]
    assert model[2].weight is model[0].weight is layer.weight
    assert isinstance(layer.weight, nn.Parameter)


def test_looking_moves_no_vector_of_a_spectral_norm() -> None:
    norm = torch.nn.utils.parametrizations.spectral_norm
    layers = norm(nn.Conv1d(6, 6, 1)), nn.ReLU(), nn.Flatten(), norm(nn.Linear(24, 6)), nn.ReLU(), nn.Linear(6, 3)
    model = nn.Sequential(*layers)
    before = copy.deepcopy(model.state_dict())
    initlab.probe_model(model, torch.randn(8, 6, 4), seed=0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
