"""A small vision transformer."""

import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import check_sizes, image_shape
from initlab.models.transformer import (
    TransformerBlock,
    Wiring,
    branches_of,
    check_heads,
    multipliers_of,
    skip_multipliers_of,
)


class VisionTransformer(nn.Module):
    """Patches of an image as tokens, transformer blocks, the mean of the tokens, a norm, linear logits.

    It is the one of Dosovitskiy et al. 2020, arXiv:2010.11929, as Beyer et al. 2022, arXiv:2205.01580, simplify it:
    with fixed positions, and the mean of the tokens in place of a class token. Here the last norm follows the mean, as
    in He et al. 2021, arXiv:2111.06377, so that the initializer alone sets the scale of the first logits. All layers
    are Linear, one for each of query, key, value and output, so that every layer has fans of its own and members can be
    vectorized.

    Args:
        input_shape: Shape of one sample, an image: (channels, height, width).
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity between the two layers of a block's MLP.
        patch: Side of the square patches in pixels; it must divide height and width.
        width: Length of a token, a multiple of `heads` and of 4, at least 8.
        depth: Number of blocks, each an attention and an MLP.
        heads: Number of heads in each attention; each sees width/heads numbers of a token.
        ratio: Hidden units of a block's MLP, as a multiple of `width`.
        dropout: Probability with which an entry of a branch's result is set to zero while training, in [0, 1).
        norm: Which norms there are, and where: `"pre"`, `"post"`, `"rms"`, `"sub"` or `"none"`, as in `Wiring`. With
            `"post"` and `"none"` no norm follows the mean.
        residual: How branches join the skip: `"plain"`, `"rezero"`, `"skipinit"`, `"layerscale"`, `"deepnorm"` or
            `"admin"`, as in `Wiring`.
        layerscale: Where the vectors of layerscale start.
        attention_scale: What scores are multiplied by, with d the size of a head: `"sqrt"`, 1/√d, or `"mup"`,
            √attention_base/d.
        attention_base: The size of a head at which both are equal.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    positions: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        ratio: int = 2,
        dropout: float = 0.0,
        norm: str = "pre",
        residual: str = "plain",
        layerscale: float = 1e-4,
        attention_scale: str = "sqrt",
        attention_base: int = 16,
    ) -> None:
        super().__init__()
        channels, height, length = image_shape(input_shape, model="vit")
        check_sizes(patch=patch, width=width, depth=depth, heads=heads, ratio=ratio)
        if height % patch or length % patch:
            raise UserError(f"model.patch={patch}: does not divide the {height}×{length} image into whole patches")
        check_heads(width, heads)
        wiring = Wiring(norm, residual, layerscale, attention_scale, attention_base)
        self.patch = patch
        self.embedding = nn.Linear(channels * patch**2, width)
        self.register_buffer("positions", sine_cosine_positions(height // patch, length // patch, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, ratio * width, activation, dropout, depth=depth, wiring=wiring)
            for _ in range(depth)
        )
        self.norm = wiring.last_norm(width)
        self.output = nn.Linear(width, out_features)

    def residual_branches(self) -> list[list[nn.Module]]:
        """Two branches a block: value and output of the attention, and both layers of the MLP."""
        return branches_of(self.blocks)

    def residual_multipliers(self) -> list[nn.Module]:
        """The learned multipliers that end the branches, in order; with rezero one a block."""
        return multipliers_of(self.blocks)

    def skip_multipliers(self) -> list[nn.Module]:
        """The learned multipliers of the skips, one a branch, in order; empty but for `residual="admin"`."""
        return skip_multipliers_of(self.blocks)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = self.embedding(self._patches(inputs)) + self.positions
        for block in self.blocks:
            signal = block(signal)
        logits: Tensor = self.output(self.norm(signal.mean(1)))
        return logits

    def _patches(self, images: Tensor) -> Tensor:
        """Cut images into patches, row by row, shape (batch, patches, channels · patch²)."""
        batch, channels, height, width = images.shape
        rows, columns = height // self.patch, width // self.patch
        cut = images.reshape(batch, channels, rows, self.patch, columns, self.patch)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)


def sine_cosine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed positions of a grid of tokens, row by row, shape (rows · columns, width).

    The entries of a token are four quarters: sine and cosine of its column, sine and cosine of its row, each at
    frequencies from 1 down to 1/10,000 in equal ratios.

    Args:
        rows: How many tokens the grid is high.
        columns: How many tokens the grid is wide.
        width: Length of a token, a multiple of 4 of at least 8.

    Raises:
        UserError: `width` is no multiple of 4, or below 8, which would leave only one frequency.

    Source: Beyer et al. 2022, arXiv:2205.01580.
    """
    if width % 4 or width < 8:
        raise UserError(f"model.width={width}: positions need a multiple of 4, of at least 8")
    frequencies = torch.logspace(0, -4, width // 4)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.flatten().unsqueeze(1) * frequencies for place in (column, row)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
