"""Gradients where a layer's output is read by more than the next activation, against those that autograd retains."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.models.residual_mlp import ResidualMLP
from initlab.modules.batch import Batch
from initlab.modules.measuring import measuring
from initlab.propagation.layers import find_layout
from initlab.propagation.probe import measure_networks
from initlab.propagation.verdict import judge
from tests.propagation.networks import rows, together

ROWS, WIDTH = 48, 100
LABELS = torch.arange(ROWS) % 10
summed_loss = partial(F.cross_entropy, reduction="sum")


def residual(**settings: object) -> ResidualMLP:
    return ResidualMLP((WIDTH,), 10, Activation("relu"), depth=3, **settings)  # type: ignore[arg-type]  # by name


class Plain(nn.Module):
    """h ← h + W a(h), the skip beside each activation; how the sum is taken is up to the test."""

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.stem, self.output = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 10)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.activations = nn.ModuleList(nn.ReLU() for _ in range(4))
        self.in_place = in_place

    def forward(self, inputs: Tensor) -> Tensor:
        signal = self.stem(inputs)
        for layer, activation in zip(self.layers, self.activations, strict=True):
            branch = layer(activation(signal))
            if self.in_place:
                branch += signal
                signal = branch
            else:
                signal = signal + branch
        outputs: Tensor = self.output(signal)
        return outputs


class Pooled(nn.Module):
    """Pooling before the activation: the layer's output has more numbers than the pre-activation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.pool, self.activation = nn.Conv1d(1, 4, 3), nn.MaxPool1d(2), nn.Tanh()
        self.output = nn.Linear(4 * 49, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        signal = self.activation(self.pool(self.layer(inputs.unsqueeze(1))))
        outputs: Tensor = self.output(signal.flatten(1))
        return outputs


def retained(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """By the names of the layers, the gradient of the summed loss by what each of them returns."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> Tensor:
        output = output.clone()  # a network may change what it gets
        output.retain_grad()
        outputs[name] = output
        return output.clone()

    handles = [
        module.register_forward_hook(lambda _m, _a, output, name=name: keep(name, output))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d)
    ]
    with measuring(model):
        summed_loss(model(inputs), LABELS).backward()
    for handle in handles:
        handle.remove()
    model.zero_grad()
    return {name: output.grad for name, output in outputs.items() if output.grad is not None}


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize(
    ("build", "scheme"),
    [
        (residual, "fixup"),
        (residual, "he"),
        (partial(residual, norm="layer"), "fixup"),
        (partial(residual, norm="batch"), "he"),
        (partial(residual, scalars=True), "fixup"),
        (Plain, "he"),
        (partial(Plain, in_place=True), "he"),
        (Pooled, "xavier"),
    ],
    ids=["fixup", "he", "layer norm", "batch norm", "scalars", "plain", "in place", "pooled"],
)
def test_gradients_are_those_that_autograd_retains(
    build: Callable[[], nn.Module], scheme: str, vectorized: bool
) -> None:
    models = [build().double() for _ in range(2)]
    for seed, model in enumerate(models):
        initlab.initialize(model, scheme, activation="relu", seed=seed, output="he")  # Fixup's own is zero
    batch = Batch(rows(ROWS, WIDTH).double(), LABELS)
    layout = find_layout(models[0], batch)
    found = measure_networks(together(models), layout, batch, direction_seed=0, vectorized=vectorized, loss=summed_loss)
    for member, model in enumerate(models):
        expected = retained(model, batch.inputs)
        assert set(expected) == {layer.name for layer in layout.layers}
        for place, layer in enumerate(layout.layers):
            gradient = expected[layer.name]
            size = float(gradient.square().mean())
            assert float(found["gradient_second_moment"][member, place]) == pytest.approx(size, rel=1e-9), layer.name
            assert layer.entries == gradient[0].numel()


def test_fixup_is_said_to_be_trainable() -> None:
    """Its branches end in zeros; past them the stem gets the gradient of the output whole."""
    table = initlab.probe_model(
        residual(), (rows(ROWS, WIDTH), LABELS), loss=F.cross_entropy, seed=0, scheme="fixup", output="he"
    )
    assert table["gradient_second_moment"].iloc[0] > 1e-3
    found = judge(table)
    assert found.outlook == "trainable"
    assert "past" not in found.reason


def test_skips_do_what_is_predicted() -> None:
    """Both paths back are in the measurement as they are in the theory: without the skip it would be half."""
    table = initlab.probe_model(Plain(), rows(160, WIDTH), seed=0, scheme="he", seeds=12)
    found = table.groupby("position").mean(numeric_only=True)
    ratio = found["gradient_second_moment"] / found["predicted_gradient_second_moment"]
    assert ratio.to_numpy() == pytest.approx(1.0, abs=0.15)
