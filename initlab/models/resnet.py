"""A residual convolutional net for small images."""

from collections.abc import Sequence

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import (
    CHANNEL_NORMS,
    check_sizes,
    find_norm,
    image_shape,
    present,
    scalar_bias,
    scalar_multiplier,
)


class ResNet(nn.Module):
    """ResNet-18 (He et al. 2015, arXiv:1512.03385) for small images: a 3×3 stem of stride 1 and no max-pool.

    Stages of basic blocks follow, each stage but the first halving the image, rounding up, and doubling the channels;
    then global average pooling and linear logits. A shortcut is a 1×1 projection where the block changes the shape,
    else the identity. Without norms it needs an initialization that takes account of the branches, such as Fixup.

    Args:
        input_shape: Shape of one sample, an image: (channels, height, width).
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity after the stem, each block's first convolution, and the sum of branch and shortcut.
        blocks: Number of blocks in each stage; the length of the list is the number of stages.
        width: Channels of the stem and the first stage.
        norm: What follows each convolution: `"batch"` or `"none"`.
        scalars: Whether to add Fixup's rule 3 (Zhang et al. 2019, arXiv:1901.09321): a learned multiplier, at first 1,
            ends each branch, and a learned scalar, at first 0, is added before each convolution, activation and the
            output; a projection shares the one of its block's first convolution.
        bias: Whether convolutions have biases; norms and scalars bring their own. The output always has them.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        blocks: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        norm: str = "batch",
        scalars: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        channels, _, _ = image_shape(input_shape, model="resnet")
        check_sizes(blocks=blocks, width=width)
        if not blocks:
            raise UserError("model.blocks=[]: expected at least one stage")
        self.before_stem = scalar_bias(scalars)
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=bias)
        self.norm = find_norm(norm, CHANNEL_NORMS)(width)
        self.activation = nn.Sequential(scalar_bias(scalars), activation.module())
        self.blocks = nn.ModuleList()
        channels = width
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage and not block else 1
                self.blocks.append(
                    BasicBlock(channels, width << stage, stride, activation, norm=norm, scalars=scalars, bias=bias)
                )
                channels = width << stage
        self.before_output = scalar_bias(scalars)
        self.output = nn.Linear(channels, out_features)

    def residual_branches(self) -> list[list[nn.Module]]:
        """Both 3×3 convolutions of each block, in order."""
        return [[block.get_submodule("first"), block.get_submodule("second")] for block in self.blocks]

    def residual_norms(self) -> list[nn.Module]:
        """The norm after the second convolution of each block, in order; empty where there are none."""
        return present(block.get_submodule("second_norm") for block in self.blocks)

    def residual_multipliers(self) -> list[nn.Module]:
        """The learned multipliers that end the branches, in order; empty where there are none."""
        return present(block.get_submodule("multiplier") for block in self.blocks)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = self.activation(self.norm(self.stem(self.before_stem(inputs))))
        for block in self.blocks:
            signal = block(signal)
        logits: Tensor = self.output(self.before_output(signal.mean((2, 3))))
        return logits


class BasicBlock(nn.Module):
    """φ(shortcut(x) + norm(W₂ φ(norm(W₁ x)))), with 3×3 convolutions.

    Args:
        fan_in: Channels that enter the block.
        fan_out: Channels of both convolutions, which leave the block.
        stride: Of the first convolution: 2 halves the image, rounding up, and 1 keeps its size.
        activation: The nonlinearity φ, after the first convolution and after the sum.
        norm: What follows each convolution: `"batch"` or `"none"`.
        scalars: Whether to add Fixup's learned scalars, as in `ResNet`.
        bias: Whether the convolutions have biases.

    Input shape (batch, fan_in, height, width), output shape (batch, fan_out, ⌈height/stride⌉, ⌈width/stride⌉).
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        stride: int,
        activation: Activation,
        *,
        norm: str,
        scalars: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        build_norm = find_norm(norm, CHANNEL_NORMS)
        self.before_first = scalar_bias(scalars)
        self.first = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=bias)
        self.first_norm = build_norm(fan_out)
        self.between = nn.Sequential(scalar_bias(scalars), activation.module(), scalar_bias(scalars))
        self.second = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=bias)
        self.second_norm = build_norm(fan_out)
        self.multiplier = scalar_multiplier(scalars)
        self.projection = (
            nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=bias), build_norm(fan_out))
            if stride > 1 or fan_in != fan_out
            else None
        )
        self.activation = nn.Sequential(scalar_bias(scalars), activation.module())

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the block."""
        shifted = self.before_first(inputs)
        branch = self.second(self.between(self.first_norm(self.first(shifted))))
        shortcut = inputs if self.projection is None else self.projection(shifted)
        signal: Tensor = self.activation(shortcut + self.multiplier(self.second_norm(branch)))
        return signal
