"""A small decoder-only transformer."""

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.models.parts import check_sizes
from initlab.models.transformer import (
    TransformerBlock,
    Wiring,
    branches_of,
    causal_mask,
    check_heads,
    multipliers_of,
    skip_multipliers_of,
)


class GPT(nn.Module):
    """Tokens with learned positions, transformer blocks in which no step sees a later one, a norm, linear logits.

    It is the one of Radford et al. 2019 (GPT-2), smaller, with the norms, residuals and scores of `Wiring`. Where steps
    are vectors of numbers, a linear layer takes the place of the embedding. Query, key, value and output are layers of
    their own, so that each has fans of its own.

    Args:
        input_shape: Shape of one sample: (steps,) of tokens, or (steps, features) of numbers.
        out_features: How many numbers it gives for each answer: a logit a class, or an output a target.
        activation: The nonlinearity between the two layers of a block's MLP.
        vocabulary: How many kinds of tokens there are; None: steps are vectors of numbers.
        every_step: Whether it answers at each step, or only once, after the last.
        width: Length of a token's vector, a multiple of `heads`.
        depth: Number of blocks, each an attention and an MLP.
        heads: Number of heads in each attention; each sees width/heads numbers of a token.
        ratio: Hidden units of a block's MLP, as a multiple of `width`.
        norm: Which norms there are, and where: `"pre"`, `"post"`, `"rms"`, `"sub"` or `"none"`, as in `Wiring`. With
            `"post"` and `"none"` none follows the last block.
        residual: How branches join the skip: `"plain"`, `"rezero"`, `"skipinit"`, `"layerscale"`, `"deepnorm"` or
            `"admin"`, as in `Wiring`.
        layerscale: Where the vectors of layerscale start.
        attention_scale: What scores are multiplied by, with d the size of a head: `"sqrt"`, 1/√d, or `"mup"`,
            √attention_base/d.
        attention_base: The size of a head at which both are equal.
        tied: Whether the output layer's weight is the embedding's (Press & Wolf 2017, arXiv:1608.05859).
        dropout: Probability with which an entry of a branch's result is set to zero while training, in [0, 1).
        bias: Whether the linear layers have biases.

    Input shape (batch, steps), int64, or (batch, steps, features); output shape (batch, steps, out_features), or
    (batch, out_features) with one answer. All sequences have as many steps as `input_shape` says.
    """

    mask: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        vocabulary: int | None = None,
        every_step: bool = False,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        ratio: int = 4,
        norm: str = "pre",
        residual: str = "plain",
        layerscale: float = 1e-4,
        attention_scale: str = "sqrt",
        attention_base: int = 16,
        tied: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if len(input_shape) != (2 if vocabulary is None else 1):
            raise RefusedError(
                "model=gpt needs sequences (steps, features), or (steps,) of tokens of a known vocabulary, but a "
                f"sample has shape {tuple(input_shape)}; use model=mlp, or for images vit"
            )
        check_sizes(width=width, depth=depth, heads=heads, ratio=ratio)
        check_heads(width, heads)
        wiring = Wiring(norm, residual, layerscale, attention_scale, attention_base)
        self.every_step = every_step
        if vocabulary is None:
            self.embedding = nn.Linear(input_shape[1], width, bias)
        else:
            self.tokens = nn.Embedding(vocabulary, width)
        self.positions = Positions(input_shape[0], width)
        self.register_buffer("mask", causal_mask(input_shape[0]), persistent=False)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, ratio * width, activation, dropout, depth=depth, wiring=wiring, bias=bias)
            for _ in range(depth)
        )
        self.norm = wiring.last_norm(width)
        self.output = nn.Linear(width, out_features, bias)
        if tied:
            if vocabulary != out_features:
                what = "vectors of numbers" if vocabulary is None else f"{vocabulary} kinds of tokens"
                raise UserError(f"model.tied=true: needs an output for each token; here are {out_features} for {what}")
            self.output.weight = self.tokens.weight

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
        signal = self.positions(self.embedding(inputs) if hasattr(self, "embedding") else self.tokens(inputs))
        for block in self.blocks:
            signal = block(signal, self.mask)
        if not self.every_step:
            signal = signal[:, -1]
        logits: Tensor = self.output(self.norm(signal))
        return logits


class Positions(nn.Embedding):
    """Adds to each step the learned vector of its place.

    It is an embedding that is looked up in order, and initializers fill it as one.

    Args:
        steps: How many places there are.
        width: Length of a vector.

    Input and output shape (batch, steps, width).
    """

    def __init__(self, steps: int, width: int) -> None:
        super().__init__(steps, width)

    def forward(self, input: Tensor) -> Tensor:
        """Add the vectors of the places."""
        return input + self.weight
