"""A residual multilayer perceptron."""

from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.models.parts import UNIT_NORMS, check_sizes, find_norm, present, scalar_bias, scalar_multiplier


class ResidualMLP(nn.Module):
    """A linear stem, residual branches of two linear layers each, then linear logits; all in pre-activation order.

    Norm and activation come before a linear layer and never after the sum, as in He et al. 2016, arXiv:1603.05027. So
    the signal runs from the stem to the logits through additions alone, and every layer but the stem sees the output of
    an activation, as an initializer's gain assumes. A branch is W₂ φ(norm(W₁ φ(norm(x)))); one more norm and activation
    stand before the logits.

    Args:
        input_shape: Shape of one sample; what has several dimensions, such as an image, is flattened.
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity φ that precedes every linear layer but the stem.
        depth: Number of residual branches, each of two linear layers.
        width: Units of the stem and of both layers of every branch.
        norm: What stands before each activation: `"none"`, `"batch"` or `"layer"`.
        scalars: Whether to add Fixup's rule 3 (Zhang et al. 2019, arXiv:1901.09321): a learned multiplier, at first 1,
            ends each branch, and a learned scalar, at first 0, is added before each linear layer and each activation.
        bias: Whether the linear layers have biases.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        depth: int = 8,
        width: int = 64,
        norm: str = "none",
        scalars: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(depth=depth, width=width)
        build_norm = find_norm(norm, UNIT_NORMS)

        def preactivation() -> nn.Module:
            return nn.Sequential(build_norm(width), scalar_bias(scalars), activation.module(), scalar_bias(scalars))

        self.before_stem = scalar_bias(scalars)
        self.stem = nn.Linear(prod(input_shape), width, bias)
        self.branches = nn.ModuleList(
            ResidualBranch(width, preactivation, scalars=scalars, bias=bias) for _ in range(depth)
        )
        self.before_output = preactivation()
        self.output = nn.Linear(width, out_features, bias)

    def residual_branches(self) -> list[list[nn.Module]]:
        """Both linear layers of each branch, in order."""
        return [[branch.get_submodule("first"), branch.get_submodule("second")] for branch in self.branches]

    def residual_multipliers(self) -> list[nn.Module]:
        """The learned multipliers that end the branches, in order; empty where there are none."""
        return present(branch.get_submodule("multiplier") for branch in self.branches)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = self.stem(self.before_stem(inputs.flatten(1)))
        for branch in self.branches:
            signal = signal + branch(signal)
        logits: Tensor = self.output(self.before_output(signal))
        return logits


class ResidualBranch(nn.Module):
    """What is added to the signal: two linear layers, each after its preactivation.

    Args:
        width: Length of the signal, and units of both layers.
        preactivation: Builds what stands before a layer, norm and activation; called once for each layer.
        scalars: Whether a learned multiplier, at first 1, ends the branch.
        bias: Whether both linear layers have biases.
    """

    def __init__(self, width: int, preactivation: Callable[[], nn.Module], *, scalars: bool, bias: bool) -> None:
        super().__init__()
        self.before_first = preactivation()
        self.first = nn.Linear(width, width, bias)
        self.before_second = preactivation()
        self.second = nn.Linear(width, width, bias)
        self.multiplier = scalar_multiplier(scalars)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the branch, shape (batch, width)."""
        signal = self.first(self.before_first(inputs))
        branch: Tensor = self.multiplier(self.second(self.before_second(signal)))
        return branch
