"""Recurrent networks against torch's own."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.slots import find_slots
from initlab.models.recurrent import GRU, LSTM, RNN, RecurrentNetwork
from initlab.modules.stack import stack_members

SIZES: dict[str, Any] = {"width": 4, "depth": 2}


def ours(kind: str, activation: str = "tanh", **settings: Any) -> RecurrentNetwork:
    shape = (5,) if "vocabulary" in settings else (5, 3)
    if kind == "rnn":
        return RNN(shape, 2, Activation(activation), **{**SIZES, **settings}).double()
    return {"lstm": LSTM, "gru": GRU}[kind](shape, 2, **{**SIZES, **settings}).double()


def torchs(model: RecurrentNetwork, kind: str, features: int = 3, **settings: Any) -> nn.RNNBase:
    """torch's layers with the same weights."""
    build = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
    layers: nn.RNNBase = build(features, 4, 2, batch_first=True, **settings).double()
    weights = {
        f"{part}_{side}_l{number}": value
        for number, cell in enumerate(model.cells)
        for side, name in (("ih", "input"), ("hh", "recurrent"))
        for part, value in cell.get_submodule(name).state_dict().items()
    }
    layers.load_state_dict(weights)
    return layers


CASES = [("rnn", {}), ("rnn", {"nonlinearity": "relu"}), ("rnn", {"bias": False}), ("lstm", {}), ("gru", {})]


@pytest.mark.parametrize(("kind", "settings"), [*CASES, ("lstm", {"bias": False}), ("gru", {"bias": False})])
def test_all_outputs_and_gradients_are_those_of_torch(kind: str, settings: dict[str, Any]) -> None:
    bias = {key: value for key, value in settings.items() if key == "bias"}
    model = ours(kind, settings.get("nonlinearity", "tanh"), every_step=True, **bias)
    layers = torchs(model, kind, **settings)
    inputs = torch.randn(6, 5, 3, dtype=torch.float64, requires_grad=True)
    again = inputs.detach().clone().requires_grad_()
    mine, reference = model(inputs), model.output(layers(again)[0])
    torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-14)
    weights = torch.randn(mine.shape, dtype=torch.float64)
    (mine * weights).sum().backward()
    (reference * weights).sum().backward()
    torch.testing.assert_close(inputs.grad, again.grad, rtol=1e-10, atol=1e-13)
    for number, cell in enumerate(model.cells):
        for side, name in (("ih", "input"), ("hh", "recurrent")):
            for part, value in cell.get_submodule(name).named_parameters():
                expected = getattr(layers, f"{part}_{side}_l{number}").grad
                torch.testing.assert_close(value.grad, expected, rtol=1e-10, atol=1e-13)
    last = ours(kind, settings.get("nonlinearity", "tanh"), **bias)
    last.load_state_dict(model.state_dict())
    torch.testing.assert_close(last(inputs), reference[:, -1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_tokens_are_one_hot_inputs(kind: str) -> None:
    model = ours(kind, vocabulary=7)
    tokens = torch.randint(7, (6, 5))
    reference = torchs(model, kind, 7)(torch.eye(7, dtype=torch.float64)[tokens])[0][:, -1]
    torch.testing.assert_close(model(tokens), model.output(reference), rtol=1e-12, atol=1e-14)
    assert model(tokens[:, :1]).shape == (6, 2)  # the first step alone


def test_they_start_as_those_of_torch() -> None:
    """U(±1/sqrt(width)) for every weight and bias of a cell."""
    model = LSTM((5, 3), 2, width=64)
    reference = torch.cat([value.detach().flatten() for value in nn.LSTM(3, 64).parameters()])
    drawn = torch.cat([value.detach().flatten() for value in model.cells.parameters()])
    assert drawn.shape == reference.shape
    for values in (drawn, reference):
        assert float(values.abs().max()) == pytest.approx(1 / 8, rel=1e-3)
        assert float(values.std()) == pytest.approx(1 / 8 / 3**0.5, rel=0.02)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_members_get_the_gradients_that_they_get_alone(kind: str) -> None:
    """By vmap, on tokens and with an answer at each step."""
    models = [ours(kind, vocabulary=7, every_step=True) for _ in range(3)]
    stack = stack_members(models)
    tokens, targets = torch.randint(7, (3, 6, 5)), torch.randint(2, (3, 6, 5))

    def loss(parameters: dict[str, Tensor], inputs: Tensor, classes: Tensor) -> Tensor:
        outputs: Tensor = functional_call(stack.template, parameters, (inputs,))
        return F.cross_entropy(outputs.flatten(0, 1), classes.flatten())

    gradients = vmap(grad(loss))({**stack.parameters}, tokens, targets)
    for place, model in enumerate(models):
        F.cross_entropy(model(tokens[place]).flatten(0, 1), targets[place].flatten()).backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][place], parameter.grad, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("kind", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_each_gate_is_a_map_of_its_own(kind: str, gates: int) -> None:
    """As in torch's layers: its fans, an orthogonal matrix for each, and the same numbers from the same stream."""
    model = ours(kind)
    cells = [slot for slot in find_slots(model) if slot.layer is not model.output]
    assert [slot.blocks for slot in cells] == [gates] * 4
    assert [(slot.fan.fan_in, slot.fan.fan_out) for slot in cells] == [(3, 4), (4, 4), (4, 4), (4, 4)]
    initlab.initialize(model, "orthogonal", seed=0)
    for slot in cells:
        for block in slot.maps():
            smaller = block if len(block) <= block.shape[1] else block.T
            torch.testing.assert_close(smaller @ smaller.T, torch.eye(len(smaller), dtype=torch.float64))
    theirs = find_slots(torchs(model, kind))
    for slot, other in zip(cells, theirs, strict=True):
        assert (slot.stored.gates, slot.stored.recurrent) == (other.stored.gates, other.stored.recurrent)
        assert slot.stored.sizes(slot.weight) == other.stored.sizes(other.weight)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((13,), {}, r"model=lstm needs sequences \(steps, features\), .* shape \(13,\); use model=mlp"),
        ((1, 8, 8), {}, r"model=lstm needs sequences .* shape \(1, 8, 8\); use model=cnn"),
        ((0, 2), {}, r"model=lstm needs sequences of at least one step"),
        ((5, 2), {"vocabulary": 4}, r"model=lstm needs sequences \(steps,\)"),
        ((5, 2), {"width": 0}, r"model.width=0: expected a whole number of at least 1"),
        ((5, 2), {"depth": 0}, r"model.depth=0: expected a whole number of at least 1"),
    ],
)
def test_what_is_no_sequence_is_refused(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LSTM(shape, 2, **settings)
