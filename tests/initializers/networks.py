"""Networks and data that the tests of initializers share, and what the schemes need."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.initializers import InitReport, Surroundings, find_scheme, initialize_model, parse_init
from initlab.initializers.slots import find_slots
from initlab.modules.batch import Batch
from initlab.modules.measuring import measuring

ROWS = 96


def chain(activation: str = "relu", *, width: int = 256, depth: int = 2) -> nn.Sequential:
    """64 inputs, some hidden layers of one width, 64 outputs, in float64."""
    layers: list[nn.Module] = []
    for entering in [64, *[width] * (depth - 1)]:
        layers += [nn.Linear(entering, width), Activation(activation).module()]
    return nn.Sequential(*layers, nn.Linear(width, 64)).double()


class Residual(nn.Module):
    """Three residual branches of two layers without a norm, and a classifier, in float64."""

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        pairs = [(nn.Linear(width, width), nn.Linear(width, width)) for _ in range(3)]
        self.blocks = nn.ModuleList(nn.ModuleList(pair) for pair in pairs)
        self.output = nn.Linear(width, 64)
        self.double()

    def residual_branches(self) -> list[list[nn.Module]]:
        return [list(block.children()) for block in self.blocks]

    def forward(self, inputs: Tensor) -> Tensor:
        signal = torch.relu(self.stem(inputs))
        for first, second in self.residual_branches():
            signal = torch.relu(signal + second(torch.relu(first(signal))))
        logits: Tensor = self.output(signal)
        return logits


def is_special(name: str) -> bool:
    """Whether a scheme needs more than rows and a loss, so that most networks are refused by it."""
    return bool(set(find_scheme(name).needs) - {"batch", "loss"})


def batch_for(model: nn.Module, *, seed: int = 1) -> Batch:
    """Standardized rows with labels, of the width of the network's first layer."""
    generator = torch.Generator().manual_seed(seed)
    first = next(module for module in model.modules() if isinstance(module, nn.Linear))
    inputs = torch.randn(ROWS, first.in_features, generator=generator, dtype=first.weight.dtype)
    classes = [module for module in model.modules() if isinstance(module, nn.Linear)][-1].out_features
    return Batch(inputs, torch.randint(classes, (ROWS,), generator=generator))


def fill(
    model: nn.Module, scheme: str, parameters: dict[str, Any] | None = None, *, activation: str = "relu", seed: int = 0
) -> InitReport:
    """Initialize a network by a scheme, with `batch_for` it, and a loss."""
    return refine(model, scheme, batch_for(model), activation=activation, seed=seed, **(parameters or {}))


def weights_of(model: nn.Module) -> list[Tensor]:
    """The weights of the linear layers and convolutions, in order."""
    return [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


def convolutional(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Convolutions, a pool, a norm and a dense layer for images of 8×8."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), activation(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2), activation(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), activation(),
        nn.Flatten(), nn.Linear(6 * 64, 4),
    ).double()  # fmt: skip


def images(rows: int = 64) -> Tensor:
    return torch.randn(rows, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def outputs_of(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """The output of each layer with a weight, as the network trains."""
    seen: list[Tensor] = []
    hooks = [slot.layer.register_forward_hook(lambda _, __, output: seen.append(output)) for slot in find_slots(model)]
    with measuring(model), torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return seen


def refine(
    model: nn.Module,
    scheme: str,
    batch: Batch | None,
    *,
    activation: str | None = "relu",
    seed: int = 0,
    **parameters: Any,
) -> InitReport:
    """Initialize a network by a scheme, with a batch and a loss."""
    return initialize_model(
        model,
        parse_init({"name": scheme, **parameters}, where="init"),
        Surroundings(Activation(activation) if activation else None, batch=batch, loss=F.cross_entropy),
        seed=seed,
    )
