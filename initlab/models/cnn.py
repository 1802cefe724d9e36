"""A small convolutional net for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import CHANNEL_NORMS, check_sizes, dropout_layer, find_norm, image_shape


class CNN(nn.Module):
    """The net of tutorials: convolutions, a 2×2 max-pool after all but the last, one dense layer, logits.

    Where the activation never decreases it is applied after the pool rather than before: that gives the same numbers
    for a quarter of the work.

    Args:
        input_shape: Shape of one sample, an image: (channels, height, width).
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity that follows every convolution and the dense layer.
        channels: Output channels of each convolution; the length of the list is their number.
        kernel: Side of the square kernels, in pixels.
        padding: Rows and columns of zeros added at each border before a convolution.
        dense: Number of units in the dense layer.
        norm: What follows each convolution: `"none"` or `"batch"`.
        dropout: Probability with which a unit of the dense layer is set to zero while training, in [0, 1).
        bias: Whether convolutions and dense layers have biases.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        channels: Sequence[int] = (32, 64, 64),
        kernel: int = 3,
        padding: int = 0,
        dense: int = 64,
        norm: str = "none",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        image_channels, *sides = image_shape(input_shape, model="cnn")
        check_sizes(channels=channels, kernel=kernel, dense=dense)
        check_sizes(0, padding=padding)
        if not channels:
            raise UserError("model.channels=[]: expected at least one convolution")
        build_norm = find_norm(norm, CHANNEL_NORMS)
        height, width = _size_after(sides, len(channels), kernel, padding)
        sizes = [image_channels, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(fan_in, fan_out, kernel, padding=padding, bias=bias)
            for fan_in, fan_out in zip(sizes, channels, strict=False)
        )
        self.norms = nn.ModuleList(build_norm(size) for size in channels)
        self.activations = nn.ModuleList(activation.module() for _ in channels)
        self.pool = nn.MaxPool2d(2)
        self.pool_first = activation.monotone
        self.dense = nn.Linear(sizes[-1] * height * width, dense, bias)
        self.dense_activation = activation.module()
        self.dropout = dropout_layer(dropout)
        self.output = nn.Linear(dense, out_features, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = inputs
        last = len(self.convolutions) - 1
        blocks = zip(self.convolutions, self.norms, self.activations, strict=True)
        for position, (convolution, norm, activation) in enumerate(blocks):
            signal = norm(convolution(signal))
            if position == last:
                signal = activation(signal)
            elif self.pool_first:
                signal = activation(self.pool(signal))
            else:
                signal = self.pool(activation(signal))
        signal = self.dropout(self.dense_activation(self.dense(signal.flatten(1))))
        logits: Tensor = self.output(signal)
        return logits


def _size_after(size: Sequence[int], convolutions: int, kernel: int, padding: int) -> list[int]:
    """Height and width of the image after all convolutions and the pools between them.

    Args:
        size: Height and width before, in pixels.
        convolutions: How many there are; a 2×2 pool follows each but the last.
        kernel: Side of the square kernels, in pixels.
        padding: Rows and columns of zeros added at each border.

    Raises:
        UserError: nothing is left of the image on the way.
    """
    sides = list(size)
    for position in range(convolutions):
        sides = [side + 2 * padding - kernel + 1 for side in sides]
        if position < convolutions - 1:
            sides = [side // 2 for side in sides]
        if min(sides) < 1:
            raise UserError(
                f"model=cnn: nothing is left of a {size[0]}×{size[1]} image after convolution {position + 1}; "
                "set model.padding=1 or fewer model.channels"
            )
    return sides
