"""A deep plain convolutional net: no shortcuts, and any number of layers."""

from typing import Literal

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import CHANNEL_NORMS, check_sizes, find_norm, image_shape


class PlainCNN(nn.Module):
    """3×3 convolutions of one width, the first of them strided, then global average pooling and linear logits.

    Xiao et al. 2018, arXiv:1806.05393, trained such a net with 10,000 layers from delta-orthogonal weights: nothing but
    the initialization carries the signal. No convolution has fewer output than input channels, as such weights require.

    Args:
        input_shape: Shape of one sample, an image: (channels, height, width).
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity that follows every convolution.
        depth: Number of convolutions, at least `strided`.
        width: Output channels of each convolution, at least as many as the image has.
        strided: How many of the first convolutions have stride 2; each halves the image, rounding up.
        padding: What the border of one pixel is filled with: `"circular"` wraps the image around, as theory assumes;
            `"zeros"`.
        norm: What stands between a convolution and its activation: `"none"` or `"batch"`.
        bias: Whether convolutions and the output have biases.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        depth: int = 32,
        width: int = 32,
        strided: int = 2,
        padding: Literal["circular", "zeros"] = "circular",
        norm: str = "none",
        bias: bool = True,
    ) -> None:
        super().__init__()
        channels, _, _ = image_shape(input_shape, model="plain_cnn")
        check_sizes(depth=depth, width=width)
        check_sizes(0, strided=strided)
        if strided > depth:
            raise UserError(f"model.strided={strided}: there are only model.depth={depth} convolutions")
        if width < channels:
            raise UserError(f"model.width={width}: expected at least the image's {channels} channels")
        if padding not in ("circular", "zeros"):
            raise UserError(f"model.padding={padding}: expected one of circular, zeros")
        build_norm = find_norm(norm, CHANNEL_NORMS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(
                width if position else channels,
                width,
                kernel_size=3,
                stride=2 if position < strided else 1,
                padding=1,
                padding_mode=padding,
                bias=bias,
            )
            for position in range(depth)
        )
        self.norms = nn.ModuleList(build_norm(width) for _ in range(depth))
        self.activations = nn.ModuleList(activation.module() for _ in range(depth))
        self.output = nn.Linear(width, out_features, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = inputs
        for convolution, norm, activation in zip(self.convolutions, self.norms, self.activations, strict=True):
            signal = activation(norm(convolution(signal)))
        logits: Tensor = self.output(signal.mean((2, 3)))
        return logits
