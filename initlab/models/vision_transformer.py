"""A small vision transformer."""

import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import check_sizes, dropout_layer, image_shape


class VisionTransformer(nn.Module):
    """Patches of an image as tokens, pre-norm transformer blocks, the mean of the tokens, a norm, linear logits.

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
    ) -> None:
        super().__init__()
        channels, height, length = image_shape(input_shape, model="vit")
        check_sizes(patch=patch, width=width, depth=depth, heads=heads, ratio=ratio)
        if height % patch or length % patch:
            raise UserError(f"model.patch={patch}: does not divide the {height}×{length} image into whole patches")
        if width % heads:
            raise UserError(f"model.width={width}: expected a multiple of model.heads={heads}")
        self.patch = patch
        self.embedding = nn.Linear(channels * patch**2, width)
        self.register_buffer("positions", sine_cosine_positions(height // patch, length // patch, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, ratio * width, activation, dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, out_features)

    def residual_branches(self) -> list[list[nn.Module]]:
        """Two branches a block: value and output of the attention, and both layers of the MLP.

        Query and key are in no list: they choose which tokens are mixed, and scaling them does not scale the branch.
        """
        branches = (("attention.value", "attention.out"), ("first", "second"))
        return [[block.get_submodule(name) for name in branch] for block in self.blocks for branch in branches]

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


class TransformerBlock(nn.Module):
    """Two residual branches: attention, and an MLP of two layers, each after a layer norm of its own.

    Args:
        width: Length of a token, a multiple of `heads`.
        heads: Number of heads in the attention.
        hidden: Units of the MLP's hidden layer.
        activation: The nonlinearity between the layers of the MLP.
        dropout: Probability with which an entry of a branch's result is set to zero while training, in [0, 1).

    Input and output shape (batch, tokens, width).
    """

    def __init__(self, width: int, heads: int, hidden: int, activation: Activation, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, hidden)
        self.activation = activation.module()
        self.second = nn.Linear(hidden, width)
        self.dropout = dropout_layer(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """Add both branches to the tokens, one after the other."""
        signal = inputs + self.dropout(self.attention(self.attention_norm(inputs)))
        mlp = self.second(self.activation(self.first(self.mlp_norm(signal))))
        result: Tensor = signal + self.dropout(mlp)
        return result


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762).

    It is written out, as vmap has no batching rule for `scaled_dot_product_attention` on CPUs, and warns.

    Args:
        width: Length of a token, a multiple of `heads`.
        heads: Number of heads; each sees width/heads numbers of a token.

    Input and output shape (batch, tokens, width).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens."""
        value = self._of_heads(self.value, tokens)
        mixed: Tensor = self.out((self.attention_weights(tokens) @ value).transpose(1, 2).flatten(2))
        return mixed

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """How much each token looks at each, shape (batch, heads, tokens, tokens); a query's weights sum to 1."""
        query, key = (self._of_heads(layer, tokens) for layer in (self.query, self.key))
        weights: Tensor = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).softmax(-1)
        return weights

    def _of_heads(self, layer: nn.Module, tokens: Tensor) -> Tensor:
        """What a layer makes of the tokens, shape (batch, heads, tokens, width/heads)."""
        numbers: Tensor = layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return numbers


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
