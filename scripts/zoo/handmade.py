"""Small networks of our own, each with something that trips a careless reader of networks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

from scripts.zoo.architecture import Architecture
from scripts.zoo.batches import numbers, words


class Tied(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Embedding(99, 32), nn.Linear(32, 32), nn.Linear(32, 99, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, rows: Tensor) -> Tensor:
        """Scores of the next word."""
        scores: Tensor = self.head(torch.relu(self.body(self.embed(rows))))
        return scores


class Raw(nn.Module):
    """Two raw parameters that are linear maps, which the module declares, and one that it does not."""

    def __init__(self, *, declared: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(16, 32)), nn.Parameter(torch.randn(8, 32))
        self.shift = nn.Parameter(torch.zeros(32))
        self.declared = declared
        self.out = nn.Linear(8, 3)
        if declared:
            self.initlab_weights = lambda: {"first": ("in out", "shift"), "second": "out in"}

    def forward(self, rows: Tensor) -> Tensor:
        """Two raw layers and one of torch's."""
        outputs: Tensor = self.out(torch.tanh(torch.tanh(rows @ self.first + self.shift) @ self.second.T))
        return outputs


class Recurrent(nn.Module):
    """A recurrent layer with an output layer behind it."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(layer.proj_size or layer.hidden_size, 3)

    def forward(self, rows: Tensor) -> Tensor:
        """The scores of the last step."""
        outputs: Tensor = self.out(self.layer(rows)[0][:, -1])
        return outputs


class Attention(nn.Module):
    """Multi-head attention between two normed layers."""

    def __init__(self, **settings: int) -> None:
        super().__init__()
        self.norm, self.attention, self.out = (
            nn.LayerNorm(32),
            nn.MultiheadAttention(32, 4, batch_first=True, **settings),
            nn.Linear(32, 3),
        )
        self.width = settings.get("kdim", 32)

    def forward(self, rows: Tensor) -> Tensor:
        """Scores of the mean over places."""
        normed = self.norm(rows)
        outputs: Tensor = self.out(
            self.attention(normed, normed[..., : self.width], normed[..., : self.width])[0].mean(1)
        )
        return outputs


class Twice(nn.Module):
    """One layer that is called twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(32, 32)
        self.second = self.first
        self.out = nn.Linear(32, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """The shared layer twice, and one output."""
        outputs: Tensor = self.out(torch.relu(self.second(torch.relu(self.first(rows)))))
        return outputs


class Counter(nn.Module):
    """A network with a counter that each call moves, and a buffer that is not saved."""

    calls: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(32, 32), nn.Linear(32, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("scale", torch.ones(()), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Count, and compute."""
        self.calls += 1
        outputs: Tensor = self.out(torch.relu(self.layer(rows * self.scale)))
        return outputs


def frozen_backbone() -> nn.Module:
    """A convolutional network of which only the head trains."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    for parameter in model[:5].parameters():
        parameter.requires_grad_(False)
    return model


def padded_words() -> nn.Module:
    """An embedding with a row for padding, summed over the places."""
    return nn.Sequential(nn.EmbeddingBag(99, 32, mode="sum", padding_idx=0), nn.ReLU(), nn.Linear(32, 3))


def depthwise() -> nn.Module:
    """Convolutions with one input a group, and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU6(),
        nn.Conv2d(32, 32, 3, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU6(),
        nn.Conv2d(32, 64, 1), nn.Flatten(), nn.LazyLinear(10),
    )  # fmt: skip


def spectral_convolutions() -> nn.Module:
    """A critic as in GANs: each look at a weight while training moves the vectors of its norm."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(3, 16, 3, stride=2)), nn.LeakyReLU(0.2), spectral_norm(nn.Conv2d(16, 16, 4, groups=2)),
        nn.LeakyReLU(0.2), nn.Flatten(), spectral_norm(nn.Linear(256, 1)),
    )  # fmt: skip


def made(build: Callable[[], nn.Module], batch: Tensor) -> Callable[[], nn.Module]:
    """The same, with lazy layers made real."""

    def real() -> nn.Module:
        model = build()
        with torch.no_grad():
            model(batch)
        return model

    return real


def networks() -> Iterator[Architecture]:
    """Every network of our own."""

    def mlp() -> nn.Sequential:
        return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    def changed(change: Callable[[nn.Module], object]) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            model = mlp()
            change(model[2])
            return model

        return build

    def transposed() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.ConvTranspose2d(16, 32, 4, groups=2), nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 3),
        )  # fmt: skip

    rows, steps, images = (lambda: numbers(32)), (lambda: numbers(5, 32)), (lambda: numbers(3, 16, 16))
    kinds: list[tuple[str, Callable[[], nn.Module], Callable[[], object]]] = [
        ("mlp", mlp, rows),
        ("tied", Tied, words),
        ("one layer twice", Twice, rows),
        ("raw, declared", lambda: Raw(declared=True), lambda: numbers(16)),
        ("raw, not declared", lambda: Raw(declared=False), lambda: numbers(16)),
        ("lstm", lambda: Recurrent(nn.LSTM(32, 16, num_layers=2, batch_first=True, bidirectional=False)), steps),
        ("lstm with a projection", lambda: Recurrent(nn.LSTM(32, 16, proj_size=8, batch_first=True)), steps),
        ("gru", lambda: Recurrent(nn.GRU(32, 16, batch_first=True)), steps),
        ("attention", Attention, steps),
        ("attention of other widths", lambda: Attention(kdim=24, vdim=24), steps),
        ("grouped and transposed", transposed, images),
        ("depthwise", made(depthwise, numbers(3, 16, 16)), images),
        ("weight norm", changed(lambda layer: weight_norm(layer)), rows),
        ("spectral norm", changed(lambda layer: spectral_norm(layer)), rows),
        ("spectral norm of convolutions", spectral_convolutions, images),
        ("orthogonal layer", changed(lambda layer: orthogonal(layer)), rows),
        ("bfloat16", lambda: mlp().to(torch.bfloat16), lambda: numbers(32).to(torch.bfloat16)),
        ("frozen backbone", frozen_backbone, images),
        ("counter", Counter, rows),
        ("words with padding", padded_words, words),
    ]
    for name, build, batch in kinds:
        yield Architecture(f"handmade/{name}", "our own", build, batch)
