"""A multilayer perceptron."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.models.parts import UNIT_NORMS, check_sizes, dropout_layer, find_norm


class MLP(nn.Module):
    """Fully connected layers: (linear, norm, activation, dropout) for each hidden layer, then linear logits.

    Example:
        >>> import torch
        >>> model = MLP((1, 8, 8), 10, Activation("tanh"), depth=3, width=32)
        >>> model(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])

    Args:
        input_shape: Shape of one sample; what has several dimensions, such as an image, is flattened.
        out_features: How many numbers it gives for each sample: a logit a class, or an output a target.
        activation: The nonlinearity that follows every hidden layer.
        depth: Number of hidden layers; 0 leaves a linear classifier.
        width: Number of units in each hidden layer.
        hidden: Units of each hidden layer one by one, in place of depth and width; `[]` leaves a linear classifier.
        norm: What stands between a hidden layer and its activation: `"none"`, `"batch"` or `"layer"`.
        dropout: Probability with which a hidden unit is set to zero while training, in [0, 1).
        bias: Whether the linear layers have biases.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        depth: int = 2,
        width: int = 64,
        hidden: Sequence[int] | None = None,
        norm: str = "none",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(0, depth=depth)
        check_sizes(width=width, hidden=hidden or ())
        build_norm = find_norm(norm, UNIT_NORMS)
        layers = [width] * depth if hidden is None else list(hidden)
        sizes = [prod(input_shape), *layers]
        self.hidden = nn.ModuleList(
            nn.Linear(fan_in, fan_out, bias) for fan_in, fan_out in zip(sizes, layers, strict=False)
        )
        self.norms = nn.ModuleList(build_norm(units) for units in layers)
        self.activations = nn.ModuleList(activation.module() for _ in layers)
        self.dropout = dropout_layer(dropout)
        self.output = nn.Linear(sizes[-1], out_features, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = inputs.flatten(1)
        for linear, norm, activation in zip(self.hidden, self.norms, self.activations, strict=True):
            signal = self.dropout(activation(norm(linear(signal))))
        logits: Tensor = self.output(signal)
        return logits
