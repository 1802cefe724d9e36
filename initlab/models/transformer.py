"""What transformers are made of: attention, blocks, and how norms and skips are wired in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.models.parts import ScalarMultiplier, VectorMultiplier, check_sizes, dropout_layer, present

EPS: Final = 1e-5  # what torch's layer norm adds to the variance, and Llama's RMS norm to the mean square

NORMS: Final[Mapping[str, Callable[[int], nn.Module]]] = {
    "pre": nn.LayerNorm,
    "post": nn.LayerNorm,
    "rms": lambda width: nn.RMSNorm(width, EPS),
    "sub": nn.LayerNorm,
    "none": lambda _: nn.Identity(),
}
RESIDUALS: Final = ("plain", "rezero", "skipinit", "layerscale", "deepnorm", "admin")
SCALED_SKIPS: Final = ("deepnorm", "admin")  # the skip grows, which a norm after the sum takes back
ATTENTION_SCALES: Final = ("sqrt", "mup")


@dataclass(frozen=True)
class Wiring:
    """Where the norms of a transformer stand, how its branches join the skip, and by what scores are scaled.

    Attributes:
        norm: `"pre"`: a layer norm before each branch (Xiong et al. 2020, arXiv:2002.04745); `"post"`: after each sum
            (Vaswani et al. 2017, arXiv:1706.03762); `"rms"`: as `"pre"`, with RMS norms (Zhang & Sennrich 2019,
            arXiv:1910.07467); `"sub"`: as `"pre"`, with a second one in each branch before its last layer (Sub-LN,
            Wang et al. 2022, arXiv:2210.06423); `"none"`.
        residual: What a branch is multiplied by before it joins the skip: `"plain"`: nothing; `"skipinit"`: one learned
            number a branch, at first 0 (De & Smith 2020, arXiv:2002.10444); `"rezero"`: one that both branches of a
            block share, at first 0 (Bachlechner et al. 2020, arXiv:2003.04887, without norms there); `"layerscale"`: a
            learned vector a branch (Touvron et al. 2021, arXiv:2103.17239); `"deepnorm"`: nothing, and the skip by
            (2·depth)^¼, with post-norm (Wang et al. 2022, arXiv:2203.00555); `"admin"`: nothing, and the skip by a
            learned vector a branch, at first 1, with post-norm (Liu et al. 2020, arXiv:2004.08249).
        layerscale: Where the vectors of layerscale start.
        attention_scale: What scores are multiplied by, with d the size of a head: `"sqrt"`: 1/√d; `"mup"`:
            √attention_base/d, as μP has it (Yang et al. 2022, arXiv:2203.03466).
        attention_base: The size of a head at which both scales are equal.
    """

    norm: str = "pre"
    residual: str = "plain"
    layerscale: float = 1e-4
    attention_scale: str = "sqrt"
    attention_base: int = 16

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        Raises:
            UserError: an unknown choice.
            RefusedError: DeepNorm or Admin without post-norm, which a sweep over both leaves out.
        """
        choices = {"norm": NORMS, "residual": RESIDUALS, "attention_scale": ATTENTION_SCALES}
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise UserError(f"model.{key}={getattr(self, key)}: expected one of {', '.join(known)}")
        if self.residual in SCALED_SKIPS and self.norm != "post":
            raise RefusedError(
                f"model.residual={self.residual}: normalizes after the sum, not norm={self.norm}; set norm=post"
            )
        check_sizes(attention_base=self.attention_base)

    def build_norm(self, width: int) -> nn.Module:
        """A norm over `width` numbers, or what changes nothing."""
        return NORMS[self.norm](width)

    def inner_norm(self, width: int) -> nn.Module:
        """What stands before the last layer of a branch of that many units: Sub-LN's second norm, or nothing."""
        return self.build_norm(width) if self.norm == "sub" else nn.Identity()

    def last_norm(self, width: int) -> nn.Module:
        """What stands after all blocks: a norm where the sums of the blocks were never normalized, but could be."""
        return nn.Identity() if self.norm == "post" else self.build_norm(width)

    def skip(self, depth: int) -> float:
        """What the skip of each block is multiplied by, in a network of `depth` blocks."""
        return float((2 * depth) ** 0.25) if self.residual == "deepnorm" else 1.0

    def multipliers(self, width: int) -> tuple[nn.Module, nn.Module]:
        """What ends the two branches of a block."""
        if self.residual == "rezero":
            shared = ScalarMultiplier(0.0)
            return shared, shared
        if self.residual == "skipinit":
            return ScalarMultiplier(0.0), ScalarMultiplier(0.0)
        if self.residual == "layerscale":
            return VectorMultiplier(width, self.layerscale), VectorMultiplier(width, self.layerscale)
        return nn.Identity(), nn.Identity()

    def skip_multipliers(self, width: int) -> tuple[nn.Module, nn.Module]:
        """What the two skips of a block go through."""
        if self.residual == "admin":
            return VectorMultiplier(width, 1.0), VectorMultiplier(width, 1.0)
        return nn.Identity(), nn.Identity()

    def score_factor(self, head: int) -> float:
        """What the scores of heads of that size are multiplied by."""
        return float(head**-0.5) if self.attention_scale == "sqrt" else float(self.attention_base**0.5 / head)


class TransformerBlock(nn.Module):
    """Two residual branches: attention, and an MLP of two layers.

    Args:
        width: Length of a token, a multiple of `heads`.
        heads: Number of heads in the attention.
        hidden: Units of the MLP's hidden layer.
        activation: The nonlinearity between the layers of the MLP.
        dropout: Probability with which an entry of a branch's result is set to zero while training, in [0, 1).
        depth: Number of blocks in the network, on which DeepNorm's skip depends.
        wiring: Norms, residuals and the scale of scores.
        bias: Whether the linear layers have biases.

    Input and output shape (batch, tokens, width).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        activation: Activation,
        dropout: float,
        *,
        depth: int,
        wiring: Wiring,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.post, self.skip = wiring.norm == "post", wiring.skip(depth)
        self.attention_norm = wiring.build_norm(width)
        self.attention = Attention(width, heads, wiring, bias=bias)
        self.mlp_norm = wiring.build_norm(width)
        self.first = nn.Linear(width, hidden, bias)
        self.activation = activation.module()
        self.second_norm = wiring.inner_norm(hidden)
        self.second = nn.Linear(hidden, width, bias)
        self.attention_multiplier, self.mlp_multiplier = wiring.multipliers(width)
        self.attention_skip, self.mlp_skip = wiring.skip_multipliers(width)
        self.dropout = dropout_layer(dropout)

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let both branches join the tokens, one after the other.

        Args:
            inputs: The tokens.
            mask: What is added to the scores of each query and key, shape (tokens, tokens); None: nothing.
        """
        seen = inputs if self.post else self.attention_norm(inputs)
        mixed = self.attention_multiplier(self.attention(seen, mask))
        signal = self._joined(self.attention_skip(inputs), mixed, self.attention_norm)
        seen = signal if self.post else self.mlp_norm(signal)
        mlp = self.second(self.second_norm(self.activation(self.first(seen))))
        return self._joined(self.mlp_skip(signal), self.mlp_multiplier(mlp), self.mlp_norm)

    def _joined(self, skipped: Tensor, branch: Tensor, norm: nn.Module) -> Tensor:
        """The sum of skip and branch, normalized by post-norm."""
        signal = (skipped if self.skip == 1 else self.skip * skipped) + self.dropout(branch)
        return norm(signal) if self.post else signal  # type: ignore[no-any-return]  # a module's result has no type


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762).

    It is written out, as vmap has no batching rule for `scaled_dot_product_attention` on CPUs, and warns.

    Args:
        width: Length of a token, a multiple of `heads`.
        heads: Number of heads; each sees width/heads numbers of a token.
        wiring: The scale of scores, and whether a norm stands before the output layer.
        bias: Whether the linear layers have biases.

    Input and output shape (batch, tokens, width).
    """

    def __init__(self, width: int, heads: int, wiring: Wiring | None = None, *, bias: bool = True) -> None:
        super().__init__()
        wiring = wiring or Wiring()
        self.heads, self.factor = heads, wiring.score_factor(width // heads)
        self.query = nn.Linear(width, width, bias)
        self.key = nn.Linear(width, width, bias)
        self.value = nn.Linear(width, width, bias)
        self.out_norm = wiring.inner_norm(width)
        self.out = nn.Linear(width, width, bias)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix the tokens.

        Args:
            tokens: The tokens.
            mask: What is added to the score of each query and key, shape (tokens, tokens); None: nothing.
        """
        value = self._of_heads(self.value, tokens)
        mixed = (self.attention_weights(tokens, mask) @ value).transpose(1, 2).flatten(2)
        result: Tensor = self.out(self.out_norm(mixed))
        return result

    def attention_weights(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each token looks at each, shape (batch, heads, tokens, tokens); a query's weights sum to 1.

        Args:
            tokens: The tokens.
            mask: As in `forward`.
        """
        query, key = (self._of_heads(layer, tokens) for layer in (self.query, self.key))
        scores = query * self.factor @ key.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask
        weights: Tensor = scores.softmax(-1)
        return weights

    def _of_heads(self, layer: nn.Module, tokens: Tensor) -> Tensor:
        """What a layer makes of the tokens, shape (batch, heads, tokens, width/heads)."""
        numbers: Tensor = layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return numbers


def branches_of(blocks: nn.ModuleList) -> list[list[nn.Module]]:
    """Two branches a block: value and output of the attention, and both layers of the MLP.

    Query and key are in no list: they choose which tokens are mixed, and scaling them does not scale the branch.
    """
    branches = (("attention.value", "attention.out"), ("first", "second"))
    return [[block.get_submodule(name) for name in branch] for block in blocks for branch in branches]


def multipliers_of(blocks: nn.ModuleList) -> list[nn.Module]:
    """The learned multipliers that end the branches of some blocks, in order, each once; empty if there are none."""
    names = ("attention_multiplier", "mlp_multiplier")
    return present(block.get_submodule(name) for block in blocks for name in names)


def skip_multipliers_of(blocks: nn.ModuleList) -> list[nn.Module]:
    """The learned multipliers of the skips of some blocks, one a branch, in order; empty if there are none."""
    return present(block.get_submodule(name) for block in blocks for name in ("attention_skip", "mlp_skip"))


def check_heads(width: int, heads: int) -> None:
    """Refuse heads that do not share the numbers of a token evenly.

    Raises:
        UserError: `heads` does not divide `width`.
    """
    if width % heads:
        raise UserError(f"model.width={width}: expected a multiple of model.heads={heads}")


def causal_mask(steps: int) -> Tensor:
    """What is added to scores so that no step sees a later one, shape (steps, steps): 0, or -inf for later keys."""
    return torch.full((steps, steps), -torch.inf).triu(1)
