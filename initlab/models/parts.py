"""What several networks are made of: norms by name, Fixup's scalars, and checks of configured sizes."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from initlab.base.errors import RefusedError, UserError

Norms = Mapping[str, Callable[[int], nn.Module]]

UNIT_NORMS: Norms = {"none": lambda _: nn.Identity(), "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
CHANNEL_NORMS: Norms = {"none": lambda _: nn.Identity(), "batch": nn.BatchNorm2d}


class ScalarBias(nn.Module):
    """Adds one learned number, at first 0, to the whole signal.

    Source: Fixup's rule 3, Zhang et al. 2019, arXiv:1901.09321.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def initlab_starts(self) -> dict[str, float]:
        """Where every initializer lets it start; see `initlab.models`."""
        return {"bias": 0.0}

    def forward(self, inputs: Tensor) -> Tensor:
        """Shift the signal, of any shape."""
        return inputs + self.bias


class ScalarMultiplier(nn.Module):
    """Multiplies the whole signal by one learned number.

    Args:
        start: What it is at first: 1 in Fixup's rule 3 (Zhang et al. 2019, arXiv:1901.09321), 0 in SkipInit and ReZero.
    """

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.start = start
        self.factor = nn.Parameter(torch.full((1,), start))

    def initlab_starts(self) -> dict[str, float]:
        """Where every initializer lets it start; see `initlab.models`."""
        return {"factor": self.start}

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale the signal, of any shape."""
        return inputs * self.factor


class VectorMultiplier(nn.Module):
    """Multiplies each unit of a signal by a learned number of its own.

    Args:
        width: How many units there are.
        start: What all numbers are at first.

    Source: LayerScale, Touvron et al. 2021, arXiv:2103.17239.
    """

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.start = start
        self.factor = nn.Parameter(torch.full((width,), start))

    def initlab_starts(self) -> dict[str, float]:
        """Where every initializer lets it start; see `initlab.models`."""
        return {"factor": self.start}

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale the signal, shape (…, units)."""
        return inputs * self.factor


def scalar_bias(wanted: bool) -> nn.Module:
    """A `ScalarBias` if wanted, else a module that changes nothing."""
    return ScalarBias() if wanted else nn.Identity()


def scalar_multiplier(wanted: bool) -> nn.Module:
    """A `ScalarMultiplier` if wanted, else a module that changes nothing."""
    return ScalarMultiplier() if wanted else nn.Identity()


def present(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Those of some modules that do something, each once."""
    return list(dict.fromkeys(module for module in modules if not isinstance(module, nn.Identity)))


def dropout_layer(probability: float) -> nn.Module:
    """Dropout, or a module that changes nothing where the probability is 0.

    Args:
        probability: With which an entry is set to zero while training, in [0, 1).

    Raises:
        UserError: the probability is not in [0, 1).
    """
    if not 0 <= probability < 1:
        raise UserError(f"model.dropout={probability}: expected a probability in [0, 1)")
    return nn.Dropout(probability) if probability else nn.Identity()


def find_norm(name: str, norms: Norms) -> Callable[[int], nn.Module]:
    """Look up what builds a norm.

    Args:
        name: What was configured, e.g. `"none"` or `"batch"`.
        norms: The norms to choose from by name: `UNIT_NORMS` after dense layers, `CHANNEL_NORMS` after convolutions.

    Returns:
        A function from the number of units, or channels, to the norm.

    Raises:
        UserError: `norms` has none of that name.
    """
    if name not in norms:
        raise UserError(f"model.norm={name}: expected one of {', '.join(norms)}")
    return norms[name]


def check_sizes(least: int = 1, /, **sizes: int | Sequence[int]) -> None:
    """Refuse a configured size, or a list with such a size in it, that is too small.

    Args:
        least: The least size that is allowed.
        **sizes: The sizes by their configuration keys, within `model`.

    Raises:
        UserError: naming the key of the first that is too small.
    """
    for key, size in sizes.items():
        if isinstance(size, int) and size < least:
            raise UserError(f"model.{key}={size}: expected a whole number of at least {least}")
        if not isinstance(size, int) and any(entry < least for entry in size):
            raise UserError(f"model.{key}={list(size)}: expected whole numbers of at least {least}")


def image_shape(input_shape: tuple[int, ...], *, model: str) -> tuple[int, int, int]:
    """Channels, height and width of a sample.

    Args:
        input_shape: Shape of one sample, whatever it is.
        model: The network that needs images, by its configured name, for the message.

    Raises:
        RefusedError: samples do not have three dimensions, so they are no images.
    """
    if len(input_shape) != 3:
        instead = "mlp, or rnn, lstm, gru or gpt, which read steps" if len(input_shape) == 2 else "mlp"
        raise RefusedError(
            f"model={model} needs images (channels, height, width), but a sample has shape {tuple(input_shape)}; "
            f"use model={instead}"
        )
    channels, height, width = input_shape
    return channels, height, width
