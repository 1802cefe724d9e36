"""What several networks are made of: norms by name, Fixup's scalars, and checks of what a user configures."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError

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

    def forward(self, inputs: Tensor) -> Tensor:
        """Shift the signal, of any shape."""
        return inputs + self.bias


class ScalarMultiplier(nn.Module):
    """Multiplies the whole signal by one learned number, at first 1.

    Source: Fixup's rule 3, Zhang et al. 2019, arXiv:1901.09321.
    """

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale the signal, of any shape."""
        return inputs * self.factor


def scalar_bias(wanted: bool) -> nn.Module:
    """A `ScalarBias`, or nothing."""
    return ScalarBias() if wanted else nn.Identity()


def scalar_multiplier(wanted: bool) -> nn.Module:
    """A `ScalarMultiplier`, or nothing."""
    return ScalarMultiplier() if wanted else nn.Identity()


def dropout_layer(probability: float) -> nn.Module:
    """Dropout, or nothing where its probability is 0.

    Raises:
        UserError: `probability` is not in [0, 1).
    """
    if not 0 <= probability < 1:
        raise UserError(f"model.dropout={probability}: expected a probability in [0, 1)")
    return nn.Dropout(probability) if probability else nn.Identity()


def find_norm(name: str, norms: Norms) -> Callable[[int], nn.Module]:
    """What builds the norm of that name, given the number of units or channels.

    Raises:
        UserError: there is none of that name.
    """
    if name not in norms:
        raise UserError(f"model.norm={name}: expected one of {', '.join(norms)}")
    return norms[name]


def check_sizes(least: int = 1, /, **sizes: int | Sequence[int]) -> None:
    """Refuse a configured size, or a list that has one, below `least`.

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

    Raises:
        UserError: samples are no images.
    """
    if len(input_shape) != 3:
        raise UserError(
            f"model={model} needs images (channels, height, width), but a sample has shape {tuple(input_shape)}; "
            "use model=mlp"
        )
    channels, height, width = input_shape
    return channels, height, width
